package hub

import "errors"

// ErrShutdown is what Publish and Subscribe say once [Hub.Shutdown] was called.
var ErrShutdown = errors.New("hub: it has been shut down")

// ErrLagged ends the stream of a subscriber that the log has overtaken, if
// [WithGapPolicy] says so.
var ErrLagged = errors.New("hub: the subscriber was too slow: events were dropped before it has read them")
