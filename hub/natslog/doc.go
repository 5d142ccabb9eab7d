// Package natslog keeps the events of hubs in a JetStream stream of NATS, so that
// what one process publishes reaches the subscribers of all, and a client may
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
// The stream is made when it is first used, if it is missing. An event of the topic
// "orders.eu" is a message of the subject "events.orders.eu": its data is the
// payload, and what else it has is in headers. So other programs can read it, and
// what they publish there is an event too, unless the hub's Publish would refuse it:
// such a message is left out and counted, see [hub.FollowStats]. A blank in a topic is
// "%20" in the subject, and "%" is "%25".
//
// It needs NATS 2.11 or later. How safe an event is once Publish has returned is
// the stream's to say: with three replicas ([WithReplicas]) it survives the death of
// one server. A lone server that is killed loses nothing, but when its machine loses
// power it may lose what was not yet synced, 2 minutes' worth unless sync_interval
// in its configuration says otherwise.
//
// What the server puts into the stream to mark that messages are gone
// (SubjectDeleteMarkerTTL) is no event.
//
// A stream that was trimmed, deleted or emptied is told as a gap. So is one that has
// lost its end, or was restored from a copy, by any process that has seen what was
// lost and is still there when the stream comes back. If all processes were started
// anew with it, none of them knows: sequence numbers are given again, and a client
// that comes with one of the lost end goes on behind it, and may miss what came
// before untold. Where one power cut takes the server and all processes, set
// sync_interval to always, or have replicas elsewhere.
package natslog
