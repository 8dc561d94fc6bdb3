-- KEYS: handoff. Returns {} or {document, milliseconds that are left}.
local document = redis.call('GET', KEYS[1])
if not document then
  return {}
end
return {document, tostring(redis.call('PTTL', KEYS[1]))}
