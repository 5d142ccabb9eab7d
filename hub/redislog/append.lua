-- KEYS: and one for the idempotency key.
-- ARGV: and whether there is one, for how many ms it is kept, and what XADD takes
-- behind the stream. It returns the ID of the event.
if ARGV[4] ~= '' then
	local id = redis.call('GET', KEYS[3])
	if id then
		return id
	end
end
epoch = string.match(epoch, '^%w+') .. '-'
local args = {'XADD', KEYS[1]}
for i = 6, #ARGV do
	args[#args + 1] = ARGV[i]
end
args[#args + 1] = 'after'
args[#args + 1] = epoch .. (last or '0-0')
local id = epoch .. redis.call(unpack(args))
if ARGV[4] ~= '' then
	redis.call('SET', KEYS[3], id, 'PX', ARGV[5])
end
return id
