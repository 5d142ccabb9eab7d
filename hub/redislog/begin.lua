-- The beginning of all scripts that write. A stream that does not exist begins a new
-- epoch, and so does one that has lost its end.
--
-- KEYS: the stream, and its epoch, "<epoch> <the stream's last ID before it> <when it began>".
-- The time is in ms.
-- ARGV: the name of a new epoch; event IDs that were seen, the highest of each epoch. A new epoch
-- begins if the stream lacks one of them: one of the present epoch that is after its last ID, or
-- one of another epoch that is from after the present one began, so it was added to another
-- server. In place of an ID, * is always lacking.
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
local lost, name, began, latest = not last or not epoch, '', math.huge, 0
if epoch then
	name = string.match(epoch, '^%w+')
	began = tonumber(string.match(epoch, ' (%d+)$')) or began
end
for seen, id in string.gmatch(ARGV[2], '(%w+)%-(%S+)') do
	local ms = tonumber(string.match(id, '^%d+')) or 0
	latest = math.max(latest, ms)
	if seen ~= name then
		lost = lost or ms > began
	else
		lost = lost or id == '*' or before(last, id)
	end
end
if lost then
	local from, now = last or '0-0', redis.call('TIME')
	latest = math.max(latest, tonumber(string.match(from, '^%d+')), now[1] * 1000 + math.floor(now[2] / 1000))
	epoch = ARGV[1] .. ' ' .. from .. ' ' .. string.format('%.0f', latest)
	redis.call('SET', KEYS[2], epoch)
end
