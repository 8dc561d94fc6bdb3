-- KEYS: lease, turn. ARGV: stream, server, address, epoch, broadcast or '', lease ms, retention ms, channel.
-- Returns {'granted', epoch}, or {'fenced', newest epoch, its server or ''}.
local is_owner, newest, owner = owns(ARGV[2], number(ARGV[4]))
if not is_owner then
  return {'fenced', text(newest), owner}
end
local next = math.max(after(number(redis.call('HGET', KEYS[2], 'newest'))), after(number(ARGV[4])))
redis.call('HSET', KEYS[2], 'newest', text(next), 'server', ARGV[2], 'aired', text(next))
redis.call('PEXPIRE', KEYS[2], ARGV[7])
write_lease(ARGV[2], ARGV[3], next, ARGV[5], ARGV[6])
redis.call('PUBLISH', ARGV[8], 'owner ' .. ARGV[1])
return {'granted', text(next)}
