// Package e2e tests the project from outside, against software that nobody here
// wrote. Each package below it needs something else: browsers (EventSource in
// Chromium and Firefox), demo (its page in both), clients (curl, Node, Python),
// proxies (nginx, HAProxy, Apache httpd, Caddy), python (the apps that the examples
// were moved from) and frameworks (servers and frameworks that no adapter is for).
// Package middleware beside them is a module of its own.
package e2e
