// Package check finds out what is wrong with an event stream, as yieldsse check
// tells it.
//
// [Run] connects a few times, one connection after the other, and writes down what
// it sees: these are the [Facts]. They are judged by the subjects, each of them a
// small function of the facts that returns findings. To look at one thing more, add
// a subject to the list.
//
//	report, err := check.Run(ctx, check.Config{Request: req, Client: client})
//	if err != nil {
//		return err // nothing answers there
//	}
//	for _, f := range report.Findings {
//		fmt.Println(f.Severity, f.Subject, f.Seen)
//	}
package check
