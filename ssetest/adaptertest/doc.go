// Package adaptertest is for authors of adapters. It has the two suites that each adapter
// of this project passes. An adapter's own tests call both:
//
//	var mount = adaptertest.Mount{Serve: serve}
//
//	func TestConformance(t *testing.T)  { adaptertest.Conformance(t, mount, mount.Detached()) }
//	func TestDifferential(t *testing.T) { adaptertest.Differential(t, mount) }
//
// [Conformance] has one check for each promise. [Differential] runs random programs, and
// compares their results with a model.
package adaptertest
