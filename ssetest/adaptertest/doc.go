// Package adaptertest is for authors of adapters: it has the suites that each adapter of
// this project passes. An adapter's own test mounts both:
//
//	var mount = adaptertest.Mount{Serve: serve}
//
//	func TestConformance(t *testing.T)  { adaptertest.Conformance(t, mount) }
//	func TestDifferential(t *testing.T) { adaptertest.Differential(t, mount) }
//
// [Conformance] has one check for each promise. [Differential] makes random programs,
// and compares what comes of them with what a model says.
package adaptertest
