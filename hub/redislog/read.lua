-- It is a script and no transaction, since a server whose memory is full queues no
-- commands.
--
-- KEYS: the stream, and its epoch. ARGV: an ID, and how many entries are wanted
-- from there on.
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
if ARGV[2] ~= '0' then
	entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
end
return {redis.call('GET', KEYS[2]), last, first, entries}
