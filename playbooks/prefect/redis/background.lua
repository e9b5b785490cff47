-- Asked by the Redis exporter at each scrape: how many background processes have told
-- Redis within the last 30 seconds that they are alive. Readers of the events that died
-- stay in Redis's own list, so that cannot be asked.
redis.call('SELECT', 1)
local now = tonumber(redis.call('TIME')[1])
return {'background_alive', tostring(redis.call('ZCOUNT', 'prefect:workers', now - 30, '+inf'))}
