// Package hubtest has the suite that hubs pass, whichever [hub.Log] they use,
// and a Log in memory that fails on demand.
package hubtest
