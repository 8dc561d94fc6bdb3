-- KEYS: records, until. ARGV: server, record, record ms, channel.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local live = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or '0') > now
local before = redis.call('HGET', KEYS[1], ARGV[1])

redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])

-- All of a record but its load.
local function standing(text)
  local record = cjson.decode(text)
  return cjson.encode({record.address, record.capacity_millicores, record.draining, record.version})
end
local known, same = pcall(function() return standing(before) == standing(ARGV[2]) end)
if not (live and known and same) then
  redis.call('PUBLISH', ARGV[4], 'servers')
end
return 1
