// Package hubtest has the suite that hubs pass, whatever [hub.Log] they stand on,
// and a Log in memory that fails on demand.
package hubtest
