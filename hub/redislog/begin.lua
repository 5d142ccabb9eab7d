-- The beginning of all scripts that write. A stream that does not exist begins a new
-- epoch, and so does one that has lost its end.
--
-- KEYS: the stream, and its epoch, "<epoch> <the stream's last ID before it> <another ID>". The
-- other ID is the latest of the time when the epoch began and all IDs that were seen then.
-- ARGV: the name of a new epoch; event IDs that were seen, the highest of each epoch. A new epoch
-- begins if the stream lacks one of them: one of the present epoch that is after its last ID, or
-- one of another epoch that is after that other ID, because only another server has it. In place
-- of an ID, * is always lacking.
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
local now = redis.call('TIME')
local latest = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)) .. '-0'
if last and before(latest, last) then
	latest = last
end
local lost, name, began = not last or not epoch, nil, nil
if epoch then
	name, began = string.match(epoch, '^%w+'), string.match(epoch, ' %S+ (%S+)$')
end
for seen, id in string.gmatch(ARGV[2], '(%w+)%-(%S+)') do
	if id == '*' then
		lost = lost or seen == name
	else
		lost = lost or seen == name and before(last, id) or seen ~= name and began and before(began, id)
		if before(latest, id) then
			latest = id
		end
	end
end
if lost then
	epoch = ARGV[1] .. ' ' .. (last or '0-0') .. ' ' .. latest
	redis.call('SET', KEYS[2], epoch)
end
