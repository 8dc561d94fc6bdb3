-- KEYS: lease, turn. ARGV: stream, server, epoch, retention ms, channel.
local epoch = number(ARGV[3])
if not owns(ARGV[2], epoch) then
  return 0
end
-- The number after it is skipped, so that this epoch is not the newest any more and can't be renewed.
redis.call('HSET', KEYS[2], 'newest', text(after(epoch)), 'server', '')
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if redis.call('DEL', KEYS[1]) > 0 then
  redis.call('PUBLISH', ARGV[5], 'owner ' .. ARGV[1])
end
return 1
