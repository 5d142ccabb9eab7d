package hubtest

var checks = []struct {
	name     string
	check    func(*fixture)
	parallel bool // it waits most of the time
}{
	{"one order", checkOrder, false},
	{"events as they were", checkEvents, false},
	{"resume", checkResume, false},
	{"resume after what is trimmed", checkResumeTrimmed, false},
	{"resume ahead of the hub", checkAhead, false},
	{"patterns", checkPatterns, false},
	{"the topic of an ID", checkTopicOf, false},
	{"resume not too far back", checkMaxReplay, false},
	{"selections", checkSelections, false},
	{"keys", checkKeys, false},
	{"idempotency", checkIdempotency, false},
	{"refused", checkRefused, false},
	{"pages", checkPages, true},
	{"pages that are trimmed", checkPagesTrimmed, true},
	{"events that are large", checkLarge, false},
	{"slow subscriber", checkSlow, true},
	{"slow subscriber that must end", checkSlowEnd, false},
	{"kick", checkKick, false},
	{"kick while it reads pages", checkKickPaging, true},
	{"kick after a publish", checkKickAtOnce, false},
	{"shutdown", checkShutdown, false},
	{"statistics", checkStats, false},
	{"storm", checkStorm, true},
	{"storm with trimming", checkStormTrimmed, true},
	{"a process dies", checkDeath, true},
	{"the server is killed", checkKill, true},
	{"the server comes back empty", checkEmpty, true},
	{"trimming passes a follower", checkFollowerTrimmed, true},
	{"shutdown while the network stalls", checkShutdownStalled, true},
	{"the network stalls", checkStall, true},
	{"the network stalls to the server", checkStallToServer, true},
	{"the network stalls from the server", checkStallToClient, true},
	{"connections break", checkCut, true},
}
