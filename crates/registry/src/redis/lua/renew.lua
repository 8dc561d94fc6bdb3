-- KEYS: lease, epoch. ARGV: stream, server, address, epoch, broadcast or '', lease ms, retention ms, channel.
-- Returns the newest epoch; the renewal was refused when that is another one.
local newest = redis.call('GET', KEYS[2])
if newest and tonumber(newest) > tonumber(ARGV[4]) then
  return newest
end
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[7])

local before = redis.call('HMGET', KEYS[1], 'server', 'address', 'epoch', 'broadcast')
local same = before[1] == ARGV[2] and before[2] == ARGV[3] and before[3] == ARGV[4] and (before[4] or '') == ARGV[5]
if not same then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'server', ARGV[2], 'address', ARGV[3], 'epoch', ARGV[4])
  if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[1], 'broadcast', ARGV[5])
  end
  redis.call('PUBLISH', ARGV[8], 'owner ' .. ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return ARGV[4]
