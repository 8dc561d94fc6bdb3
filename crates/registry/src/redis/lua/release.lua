-- KEYS: lease, epoch. ARGV: stream, epoch, retention ms, channel.
local newest = redis.call('GET', KEYS[2])
if newest and tonumber(newest) > tonumber(ARGV[2]) then
  return 0
end
-- The number after it is skipped, so that this epoch is not the newest any more and can't be renewed.
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('INCR', KEYS[2])
if redis.call('DEL', KEYS[1]) > 0 then
  redis.call('PUBLISH', ARGV[4], 'owner ' .. ARGV[1])
end
return 1
