-- KEYS: records, until. ARGV: server, channel.
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('ZREM', KEYS[2], ARGV[1]) > 0 then
  redis.call('PUBLISH', ARGV[2], 'servers')
end
return 1
