-- The beginning of all scripts about runs.
--
-- KEYS: the name of a key's runs, which has the ID of the run that the key has now. Next to it,
-- in the same slot, are a hash for each run, and a list of its entries.
local name = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function integer(n) return string.format('%.0f', n) end

local function hash(id) return name .. ':' .. id end

local function list(id) return name .. ':' .. id .. ':events' end

local function hint(what) redis.call('PUBLISH', name .. ':' .. what, '') end

-- keep sets for how long a run is held, and for how long its key leads to it.
local function keep(id, data, head)
	redis.call('PEXPIRE', hash(id), integer(data))
	redis.call('PEXPIRE', list(id), integer(data))
	if redis.call('GET', name) == id then
		redis.call('PEXPIRE', name, integer(head)) -- which deletes it if that is 0
	end
end

-- field returns a field of a run, as a number.
local function field(id, f) return tonumber(redis.call('HGET', hash(id), f) or 0) end

-- finish records the end of a run.
local function finish(id, ...)
	redis.call('HSET', hash(id), 'ended', integer(now), ...)
	local retention, lease = field(id, 'retention'), field(id, 'lease')
	keep(id, math.max(retention, lease), retention)
	hint('events')
end

-- state returns the outcome of a run: '' if it goes on, false if it is not held. A run whose lease has
-- ended is lost from now on.
local function state(id)
	if not id or redis.call('EXISTS', hash(id)) == 0 then
		return false
	end
	local outcome = redis.call('HGET', hash(id), 'outcome')
	if outcome then
		return outcome
	end
	if field(id, 'until') > now then
		return ''
	end
	finish(id, 'outcome', 'lost', 'events', redis.call('LLEN', list(id)))
	return 'lost'
end

-- renew renews the lease of a run.
local function renew(id)
	local retention, lease = field(id, 'retention'), field(id, 'lease')
	redis.call('HSET', hash(id), 'until', integer(now + lease))
	local ttl = lease + math.max(retention, lease)
	keep(id, ttl, ttl)
end

-- record returns what is known of a run: the time, how many entries it has, and its fields.
local function record(id)
	return {integer(now), redis.call('LLEN', list(id)), id, redis.call('HGETALL', hash(id))}
end
