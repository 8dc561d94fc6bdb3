-- KEYS: lease, turn, handoff. ARGV: server, epoch, document or '', document ms.
-- Returns {'written'}, or {'fenced', newest epoch, its server or ''}.
local is_owner, newest, owner = owns(ARGV[1], number(ARGV[2]))
if not is_owner then
  return {'fenced', text(newest), owner}
end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[3])
else
  redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
end
return {'written'}
