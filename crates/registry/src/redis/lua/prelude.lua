-- Put before every script of a stream. KEYS: lease, turn.
-- Epochs are whole numbers below 2^53, which Lua still tells apart. One that is not was never given out.
local LIMIT = 9007199254740992
local function number(field)
  local value = tonumber(field or '')
  if value and value >= 0 and value < LIMIT then
    return value
  end
end
local function text(epoch)
  return string.format('%.0f', epoch)
end

-- The epoch after this one, at least the clock's milliseconds: above every epoch that was ever given out, also by a Redis
-- that has lost the newest ones and was told of an older one since.
local function after(epoch)
  local time = redis.call('TIME')
  local clock = time[1] * 1000 + math.floor(time[2] / 1000)
  if epoch and epoch + 1 < LIMIT then
    return math.max(epoch, clock) + 1
  end
  return clock + 1
end

-- Whether the stream is this server's under this epoch, as far as is known; the newest epoch, and whose that is, or ''.
local function owns(server, epoch)
  local held = redis.call('HMGET', KEYS[1], 'server', 'epoch')
  local turn = redis.call('HMGET', KEYS[2], 'server', 'newest')
  local newest = math.max(number(held[2]) or 0, number(turn[2]) or 0)
  local latest = number(turn[2]) == newest and turn or held
  if not epoch or newest > epoch then
    return false, newest, latest[1] or ''
  end
  for _, other in ipairs({ held, turn }) do
    if number(other[2]) == epoch and other[1] ~= server then
      return false, newest, other[1] or ''
    end
  end
  return true, newest, server
end

local function write_lease(server, address, epoch, broadcast, lease_ms)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'server', server, 'address', address, 'epoch', text(epoch))
  if broadcast ~= '' then
    redis.call('HSET', KEYS[1], 'broadcast', broadcast)
  end
  redis.call('PEXPIRE', KEYS[1], lease_ms)
end
