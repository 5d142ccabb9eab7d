// Package e2e tests the project from outside, against software that nobody here
// wrote: browsers, other clients, proxies, and the views in Python that the
// examples were moved from.
package e2e
