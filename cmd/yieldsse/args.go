package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// longFlags returns args with two dashes before each long flag that has only one: -json
// becomes --json. Flags of one letter, the values of flags and everything after "--" stay
// as they are. Any other argument with one dash is an error.
func longFlags(root *cobra.Command, args []string) ([]string, error) {
	cmd, _, err := root.Find(args)
	if err != nil {
		return args, nil //nolint:nilerr // cobra will find the error again, and report it
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	flags := cmd.Flags()

	all := make([]string, 0, len(args))
	isValue := false // of the previous flag
	for i, arg := range args {
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		flag := flags.Lookup(name)
		switch {
		case isValue:
			isValue = false
		case arg == "--":
			return append(all, args[i:]...), nil
		case len(arg) < 2 || arg[0] != '-':
		case flag != nil && len(name) > 1:
			arg = "--" + strings.TrimLeft(arg, "-")
			isValue = !hasValue && flag.NoOptDefVal == ""
		case arg[1] != '-':
			var known bool
			if isValue, known = letters(flags, arg[1:]); !known {
				return nil, usageError("unknown flag: -%s: see %s --help", name, cmd.CommandPath())
			}
		}
		all = append(all, arg)
	}
	return all, nil
}

// letters reports whether the last of these one-letter flags takes the next
// argument, and whether all of them are known.
func letters(flags *pflag.FlagSet, s string) (valueFollows, known bool) {
	for i := range len(s) {
		flag := flags.ShorthandLookup(s[i : i+1])
		if flag == nil {
			return false, false
		}
		if flag.NoOptDefVal == "" { // the rest, if any, is its value
			return i == len(s)-1, true
		}
	}
	return false, true
}
