// Package runtest has the tests that a [run.Store] must pass, and a store in memory for tests.
package runtest
