-- This is a script and not a transaction, because a server whose memory is full does not
-- queue commands.
--
-- KEYS: the stream, and its epoch. ARGV: an ID, how many entries are wanted from there
-- on, and how many bytes are enough. At least two entries are returned if they exist.
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then
	return false
end
local last, first, entries = '', '', {}
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
	if info[i] == 'last-generated-id' then
		last = info[i + 1]
	elseif info[i] == 'first-entry' and info[i + 1] then
		first = info[i + 1][1]
	end
end
local from, left, enough = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local step = 2
while left > 0 and enough > 0 do
	step = math.min(step, left)
	local some = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', step)
	for _, entry in ipairs(some) do
		entries[#entries + 1] = entry
		for _, text in ipairs(entry[2]) do
			enough = enough - #text
		end
	end
	if #some < step then
		break
	end
	from, left, step = '(' .. some[step][1], left - step, 2 * step
end
return {redis.call('GET', KEYS[2]), last, first, entries}
