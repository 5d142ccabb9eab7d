package host

import "strings"

// prefersGzip reports whether a response should be compressed with gzip. accept is the
// request's Accept-Encoding (RFC 9110, section 12.5.3).
func prefersGzip(accept string) bool {
	gzip, others, identity := -1, 0, 0 // weights; that of gzip is not known yet
	for element := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(element, ";")
		weight := weightOf(strings.TrimSpace(parameters))
		switch name = strings.TrimSpace(name); {
		case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"): // section 8.4.1.3
			gzip = weight
		case name == "*":
			others = weight
		case strings.EqualFold(name, "identity"):
			identity = weight
		}
	}
	if gzip < 0 {
		gzip = others
	}
	return gzip > 0 && gzip >= identity
}

// weightOf returns a weight such as "q=0.5" in thousandths. One that is not valid counts as 0.
func weightOf(parameter string) int {
	if parameter == "" {
		return 1000
	}
	digits, ok := strings.CutPrefix(strings.ToLower(parameter), "q=")
	whole, part, _ := strings.Cut(digits, ".")
	if !ok || whole != "0" && whole != "1" || len(part) > 3 {
		return 0
	}
	weight := 0
	for _, d := range (whole + part + "000")[:4] {
		if d < '0' || d > '9' {
			return 0
		}
		weight = 10*weight + int(d-'0')
	}
	if weight > 1000 { //nolint:mnd // see above
		return 0
	}
	return weight
}
