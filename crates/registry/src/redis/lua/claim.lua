-- KEYS: lease, turn. ARGV: stream, server, address, epoch to go on from or '', lease ms, retention ms, channel.
-- Returns {'held', server, address, epoch, broadcast}, {'passed', epoch} or {'granted', epoch}.
local from = number(ARGV[4])
local held = redis.call('HMGET', KEYS[1], 'server', 'address', 'epoch', 'broadcast')
local lease = number(held[3])
-- A lease below the epoch to go on from was renewed after that one was forgotten here: it is one of the past.
if lease and (not from or lease > from) then
  return {'held', held[1], held[2], held[3], held[4] or ''}
end

local turn = redis.call('HMGET', KEYS[2], 'newest', 'aired')
local aired = number(turn[2])
if from and aired and aired > from then
  return {'passed', text(aired)}
end

local epoch = after(number(turn[1]))
for _, known in ipairs({ from or 0, aired or 0 }) do
  if known >= epoch then
    epoch = after(known)
  end
end
redis.call('HSET', KEYS[2], 'newest', text(epoch), 'server', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
write_lease(ARGV[2], ARGV[3], epoch, '', ARGV[5])
redis.call('PUBLISH', ARGV[7], 'owner ' .. ARGV[1])
return {'granted', text(epoch)}
