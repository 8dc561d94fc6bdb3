-- KEYS: lease, turn. ARGV: stream, server, address, epoch, broadcast or '', lease ms, retention ms, channel.
-- Returns {'renewed'}, or {'fenced', newest epoch, its server or ''}.
local epoch = number(ARGV[4])
local is_owner, newest, owner = owns(ARGV[2], epoch)
if not is_owner then
  return {'fenced', text(newest), owner}
end
redis.call('HSET', KEYS[2], 'newest', text(epoch), 'server', ARGV[2], 'aired', text(epoch))
redis.call('PEXPIRE', KEYS[2], ARGV[7])

local before = redis.call('HMGET', KEYS[1], 'server', 'address', 'epoch', 'broadcast')
local same = before[1] == ARGV[2] and before[2] == ARGV[3] and before[3] == ARGV[4] and (before[4] or '') == ARGV[5]
if same then
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
else
  write_lease(ARGV[2], ARGV[3], epoch, ARGV[5], ARGV[6])
  redis.call('PUBLISH', ARGV[8], 'owner ' .. ARGV[1])
end
return {'renewed'}
