package redislog

import (
	_ "embed" // for the beginning of the scripts

	"github.com/redis/go-redis/v9"
)

// The scripts about the runs of a key.
var (
	//go:embed runs.lua
	runsLua string

	claimScript = redis.NewScript(runsLua + `
local id = redis.call('GET', name)
local now_has = state(id)
if now_has == '' or now_has and id == ARGV[1] then
	return record(id)
end
id = ARGV[1]
redis.call('SET', name, id)
redis.call('HSET', hash(id), 'starter', ARGV[2], 'lease', ARGV[3], 'retention', ARGV[4], 'started', integer(now))
renew(id)
return record(id)`)

	addScript = redis.NewScript(runsLua + `
local id, first = ARGV[1], tonumber(ARGV[2])
if state(id) ~= '' then
	return 'it has ended, or is not held'
end
local n = redis.call('LLEN', list(id))
if first > n + 1 then
	finish(id, 'outcome', 'lost', 'events', n)
	return 'it has only ' .. n .. ' events'
end
local from = 4 + n + 1 - first
if from <= #ARGV then
	redis.call('RPUSH', list(id), unpack(ARGV, from))
	redis.call('HSET', hash(id), 'bytes', ARGV[3])
	hint('events')
end
renew(id)
return {redis.call('HGET', hash(id), 'stop')}`)

	endScript = redis.NewScript(runsLua + `
local id = ARGV[1]
local outcome = state(id)
if outcome and outcome ~= '' and redis.call('HGET', hash(id), 'end') == ARGV[6] then
	return false
end
if outcome ~= '' then
	return 'it has ended already, or is not held'
end
local n = redis.call('LLEN', list(id))
if n ~= tonumber(ARGV[4]) then
	finish(id, 'outcome', 'lost', 'events', n)
	return 'it has ' .. n .. ' events instead of ' .. ARGV[4]
end
finish(id, 'outcome', ARGV[2], 'clean', ARGV[3], 'events', ARGV[4], 'bytes', ARGV[5], 'end', ARGV[6], 'message', ARGV[7])
return false`)

	getScript = redis.NewScript(runsLua + `
local id = redis.call('GET', name)
if not state(id) or not redis.call('GET', name) then
	return false
end
return record(id)`)

	pageScript = redis.NewScript(runsLua + `
local id, at, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if not state(id) then
	return false
end
local page, bytes = {}, 0
while bytes < most do
	local some = redis.call('LRANGE', list(id), at, at + 31)
	for _, entry in ipairs(some) do
		page[#page + 1] = entry
		bytes = bytes + #entry
	end
	at = at + #some
	if #some < 32 then
		break
	end -- of if
end
return {record(id), page, at, redis.call('LLEN', list(id)) - at}`)

	stopScript = redis.NewScript(runsLua + `
local id = redis.call('GET', name)
local outcome = state(id)
if not outcome then
	return false
end
if outcome == '' and redis.call('HEXISTS', hash(id), 'stop') == 0 then
	redis.call('HSET', hash(id), 'stop', ARGV[1])
	hint('stop')
end
return record(id)`)
)
