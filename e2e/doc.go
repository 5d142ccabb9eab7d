// Package e2e tests the project from where its users are: in a real browser.
package e2e
