-- KEYS: origins' deadlines. ARGV: beginning of the keys of viewers, streams. Returns for each stream the viewers at all origins,
-- or '' where they are not known.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local origins = redis.call('ZRANGEBYSCORE', KEYS[1], now + 1, '+inf')
local sums = {}
for at = 2, #ARGV do
  local sum = #origins > 0 and 0 or nil
  for _, origin in ipairs(origins) do
    local counts = redis.call('HMGET', ARGV[1] .. origin, ARGV[at], '*')
    if counts[1] then
      sum = sum and sum + (tonumber(counts[1]) or 0)
    elseif counts[2] then
      sum = nil
    end
  end
  table.insert(sums, sum and string.format('%.0f', sum) or '')
end
return sums
