-- A missing stream is created, so that even an empty one has a last ID.
if not last then
	redis.call('XGROUP', 'CREATE', KEYS[1], 'yieldsse', '$', 'MKSTREAM')
	redis.call('XGROUP', 'DESTROY', KEYS[1], 'yieldsse')
end
return epoch
