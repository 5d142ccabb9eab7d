// Package e2e tests the project from outside, together with software that others wrote.
// Each package in its subdirectories needs different programs: browsers (EventSource in
// Chromium and Firefox), demo (the demo's page in both), clients (curl, Node, Python),
// proxies (nginx, HAProxy, Apache httpd, Caddy), python (the Python apps that the
// examples were ported from) and rolling (nginx, HAProxy, Redis). Packages frameworks (servers and frameworks without an
// adapter), http3, middleware and openapi are separate modules.
package e2e
