-- KEYS: and one for the idempotency key, if there is one.
-- ARGV: and for how many ms that is kept, and what XADD takes behind the stream,
-- but for MINID an age in ms. It returns the ID of the event.
epoch = string.match(epoch, '^%w+') .. '-'
if KEYS[3] then
	local id = redis.call('GET', KEYS[3])
	if id then
		local place = string.sub(id, #epoch + 1)
		if id == epoch .. place then
			return id
		end
		if #redis.call('XRANGE', KEYS[1], place, place) > 0 then -- it has outlived its epoch
			return epoch .. place
		end
	end
end
local args = {'XADD', KEYS[1]}
for i = 5, #ARGV do
	args[#args + 1] = ARGV[i]
end
if args[3] == 'MINID' then -- by the clock that gives the IDs
	local now = redis.call('TIME')
	args[5] = string.format('%.0f', math.max(now[1] * 1000 + now[2] / 1000 - args[5], 0))
end
args[#args + 1] = 'after'
args[#args + 1] = epoch .. (last or '0-0')
local id = epoch .. redis.call(unpack(args))
if KEYS[3] then
	redis.call('SET', KEYS[3], id, 'PX', ARGV[4])
end
return id
