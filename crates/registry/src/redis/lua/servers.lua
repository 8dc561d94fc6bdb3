-- KEYS: records, until. ARGV: channel. Removes the records that ran out, returns the others.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)
for _, server in ipairs(gone) do
  redis.call('HDEL', KEYS[1], server)
  redis.call('ZREM', KEYS[2], server)
end
if #gone > 0 then
  redis.call('PUBLISH', ARGV[1], 'servers')
end
return redis.call('HVALS', KEYS[1])
