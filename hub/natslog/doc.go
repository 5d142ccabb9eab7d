// Package natslog keeps the events of hubs in a JetStream stream of NATS, so that an
// event that one process publishes reaches the subscribers of all, and a client may
// reconnect to any of them:
//
//	nc, err := nats.Connect("nats://127.0.0.1:4222", nats.MaxReconnects(-1))
//	...
//	defer nc.Close()
//	js, err := jetstream.New(nc)
//	...
//	h := hub.New(hub.WithLog(natslog.New(js, "events")))
//	defer h.Shutdown(ctx)
//
// If the stream does not exist, the first call creates it. An event of the topic
// "orders.eu" is a message of the subject "events.orders.eu": its data is the
// payload, and the rest is in headers. So other programs can read it, and
// what they publish there is an event too, unless the hub's Publish would refuse it:
// such a message is skipped and counted, see [hub.LogStats]. A space in a topic is
// "%20" in the subject, and "%" is "%25".
//
// It needs NATS 2.11 or later. The stream decides how safe an event is once Publish has
// returned: with three replicas ([WithReplicas]) it survives the death of
// one server. A single server that is killed loses nothing. If its machine loses
// power it may lose what was not synced yet, which is up to 2 minutes' worth unless
// sync_interval in its configuration says otherwise.
//
// Markers that the server puts into the stream where messages are gone
// (SubjectDeleteMarkerTTL) are not events.
//
// A stream that was trimmed, deleted or emptied yields a gap. So does one that has
// lost its end, or was restored from a copy, if a process that has seen or added what was
// lost is still running when the stream comes back. If all processes were restarted
// with it, none of them knows: the server uses the lost sequence numbers again, and a client
// that comes with the ID of a lost event continues after it, and may miss what came
// before without being told. If one power cut can stop the server and all processes, set
// sync_interval to always, or have replicas elsewhere.
package natslog
