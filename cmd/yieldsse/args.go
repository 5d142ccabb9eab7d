package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// longFlags returns args with two dashes before each long flag of the command
// that has only one: -json becomes --json. Other single dashes are left alone, and
// so are the values of flags and what follows "--".
func longFlags(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil {
		return args
	}
	cmd.InitDefaultHelpFlag()
	flags := cmd.Flags()

	all := make([]string, 0, len(args))
	isValue := false // of the flag before it
	for i, arg := range args {
		switch {
		case isValue:
			isValue = false
		case arg == "--":
			return append(all, args[i:]...)
		case len(arg) > 2 && arg[0] == '-':
			name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			switch flag := flags.Lookup(name); {
			case flag != nil && len(name) > 1:
				arg = "--" + strings.TrimLeft(arg, "-")
				isValue = !hasValue && flag.NoOptDefVal == ""
			case arg[1] != '-':
				isValue = valueFollows(flags, arg[1:])
			}
		case len(arg) == 2 && arg[0] == '-':
			isValue = valueFollows(flags, arg[1:])
		}
		all = append(all, arg)
	}
	return all
}

// valueFollows reports whether the last of these one-letter flags takes the next
// argument.
func valueFollows(flags *pflag.FlagSet, letters string) bool {
	for i := range len(letters) {
		flag := flags.ShorthandLookup(letters[i : i+1])
		if flag == nil {
			return false
		}
		if flag.NoOptDefVal == "" { // the rest is its value, if there is a rest
			return i == len(letters)-1
		}
	}
	return false
}
