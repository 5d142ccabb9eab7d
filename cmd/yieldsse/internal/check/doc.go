// Package check finds out what is wrong with an event stream. It is the engine of
// yieldsse check.
//
// [Run] connects a few times, one connection after the other, and records what it sees
// as [Facts]. Then the subjects judge them: each is a small function of the facts that
// returns findings. To check one more thing, add a subject to the list.
//
//	report, err := check.Run(ctx, check.Config{Request: req, Client: client})
//	if err != nil {
//		return err // there was no answer
//	}
//	for _, f := range report.Findings {
//		fmt.Println(f.Severity, f.Subject, f.Seen)
//	}
package check
