package host

import (
	"strings"
)

// encodingOf returns which of the offered content codings a response should have, or "" for
// none. accept is the request's Accept-Encoding (RFC 9110, section 12.5.3). If the client
// likes several as much as any, it is the one that is offered first.
func encodingOf(accept string, offered ...string) (coding string) {
	weights := make(map[string]int, 4) //nolint:mnd // as most browsers send
	for element := range strings.SplitSeq(strings.ToLower(accept), ",") {
		name, parameters, _ := strings.Cut(element, ";")
		if name = strings.TrimSpace(name); name == "x-gzip" {
			name = "gzip" // RFC 9110, section 8.4.1.3
		}
		weights[name] = weightOf(strings.TrimSpace(parameters))
	}
	best := max(weights["identity"], 1)
	for _, name := range offered {
		weight, named := weights[name]
		if !named {
			weight = weights["*"]
		}
		if weight > best || weight == best && coding == "" {
			coding, best = name, weight
		}
	}
	return coding
}

// weightOf returns a weight such as "q=0.5" in thousandths. One that is not valid counts as 0.
func weightOf(parameter string) int {
	if parameter == "" {
		return 1000
	}
	digits, ok := strings.CutPrefix(parameter, "q=")
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
