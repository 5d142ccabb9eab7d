-- More KEYS: one for the idempotency key, if there is one.
-- More ARGV: for how many ms that key is kept; how many events are kept, and for how
-- many ms, both without a bound if 0; and the fields of the event. It returns its ID.
epoch = string.match(epoch, '^%w+') .. '-'
if KEYS[3] then
	local id = redis.call('GET', KEYS[3])
	if id then
		local place = string.sub(id, #epoch + 1)
		if id == epoch .. place then
			return id
		end
		if #redis.call('XRANGE', KEYS[1], place, place) > 0 then -- the event has outlived its epoch
			return epoch .. place
		end
	end
end
local args = {'XADD', KEYS[1]}
if tonumber(ARGV[4]) > 0 then
	args = {'XADD', KEYS[1], 'MAXLEN', '~', ARGV[4]}
end
args[#args + 1] = '*'
for i = 6, #ARGV do
	args[#args + 1] = ARGV[i]
end
args[#args + 1] = 'after'
args[#args + 1] = epoch .. (last or '0-0')
local id = epoch .. redis.call(unpack(args))
if tonumber(ARGV[5]) > 0 then -- by the clock that the IDs are made of
	local now = redis.call('TIME')
	local oldest = math.max(now[1] * 1000 + now[2] / 1000 - ARGV[5], 0)
	redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', oldest))
end
if KEYS[3] then
	redis.call('SET', KEYS[3], id, 'PX', ARGV[3])
end
return id
