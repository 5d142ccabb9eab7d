# Each module has its own go.mod; go.work joins them, except e2e/frameworks,
# e2e/frontends and e2e/middleware, which take minutes to compile.
modules = $(shell go list -m -f '{{.Dir}}') $(CURDIR)/e2e/frameworks $(CURDIR)/e2e/frontends $(CURDIR)/e2e/middleware

# The tools, which .ci/run installs in the versions that it names.
export PATH := $(PATH):$(shell go env GOPATH)/bin

fuzztime ?= 10s

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## run all tests of all modules, with the race detector
	go test -race -shuffle=on work
	cd e2e/middleware && go test -race -shuffle=on .
	cd e2e/frameworks && go test -race -shuffle=on .
	cd e2e/frontends && go test -race -shuffle=on . && go test -tags sdks -run TestGoClients .

.PHONY: lint
lint: ## run the linters, which have go vet, in each module
	@for m in $(modules); do (cd $$m && golangci-lint run ./...) || exit; done

.PHONY: fmt
fmt: ## format all Go files
	gofmt -s -w .

.PHONY: fuzz
fuzz: ## fuzz each target of core for fuzztime (10s)
	@for f in $$(go test -list '^Fuzz' ./core | grep '^Fuzz'); do \
		go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(fuzztime) ./core || exit; done

.PHONY: bench
bench: ## compare this library with its peers
	go run ./bench

.PHONY: demo
demo: ## serve the demo on 127.0.0.1:8080 and the next five ports
	go run ./examples/demo

.PHONY: tidy
tidy: ## tidy the go.mod of each module
	@for m in $(modules); do (cd $$m && go mod tidy) || exit; done

.PHONY: ci
ci: ## run what CI runs for each change
	.ci/run

.PHONY: release
release: ## commit and tag the release VERSION (v0.1.0), without a push
	.ci/release "$(VERSION)"
