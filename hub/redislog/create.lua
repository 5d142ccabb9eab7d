-- An empty stream has an ID to begin after.
if not last then
	redis.call('XGROUP', 'CREATE', KEYS[1], 'yieldsse', '$', 'MKSTREAM')
	redis.call('XGROUP', 'DESTROY', KEYS[1], 'yieldsse')
end
return epoch
