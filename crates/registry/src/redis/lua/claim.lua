-- KEYS: lease, epoch. ARGV: stream, server, address, expected epoch or '', lease ms, retention ms, channel.
-- Returns {'held', server, address, epoch, broadcast} or {'granted', epoch}.
local held = redis.call('HMGET', KEYS[1], 'server', 'address', 'epoch', 'broadcast')
if held[3] and held[3] ~= ARGV[4] then
  return {'held', held[1], held[2], held[3], held[4] or ''}
end

-- A counter that is missing starts from the clock: above every epoch that was ever given out.
local newest = redis.call('GET', KEYS[2])
if not newest then
  local time = redis.call('TIME')
  newest = string.format('%d%03d', time[1], math.floor(time[2] / 1000))
end
if ARGV[4] ~= '' and tonumber(ARGV[4]) > tonumber(newest) then
  newest = ARGV[4]
end
redis.call('SET', KEYS[2], newest, 'PX', ARGV[6])
redis.call('INCR', KEYS[2])
local epoch = redis.call('GET', KEYS[2])

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'server', ARGV[2], 'address', ARGV[3], 'epoch', epoch)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', ARGV[7], 'owner ' .. ARGV[1])
return {'granted', epoch}
