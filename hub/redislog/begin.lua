-- The beginning of all scripts that write. A stream that does not exist begins a new
-- epoch, and so does one that has lost its end.
--
-- KEYS: the stream, and its epoch, "<epoch> <the stream's last ID before it>".
-- ARGV: the name of a new epoch; the highest event IDs that were seen, one of each epoch.
local function before(a, b)
	local pattern = '^(%d+)-(%d+)$'
	local ms1, seq1 = string.match(a, pattern)
	local ms2, seq2 = string.match(b, pattern)
	if ms1 ~= ms2 then
		return tonumber(ms1) < tonumber(ms2)
	end
	return tonumber(seq1) < tonumber(seq2)
end

local last
if redis.call('EXISTS', KEYS[1]) == 1 then
	local info = redis.call('XINFO', 'STREAM', KEYS[1])
	for i = 1, #info, 2 do
		if info[i] == 'last-generated-id' then
			last = info[i + 1]
		end
	end
end
local epoch = redis.call('GET', KEYS[2])
local lost = not last or not epoch
if not lost then
	for name, id in string.gmatch(ARGV[2], '(%w+)%-(%d+%-%d+)') do
		lost = lost or name == string.match(epoch, '^%w+') and before(last, id)
	end
end
if lost then
	epoch = ARGV[1] .. ' ' .. (last or '0-0')
	redis.call('SET', KEYS[2], epoch)
end
