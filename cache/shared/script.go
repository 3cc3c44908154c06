package shared

// script is all that Redis is asked to do. Its first line is another for each time that a
// Link has found a Redis: so Redis knows the script if and only if it is still the one that
// was found. Redis keeps no scripts over a restart, and hands none to those who take over.
//
// Of a row there are three keys: its values, a hash by scope; the token of those who are
// asking the database for it; its writers, by when they are given up. A resource has a
// token of all its rows, its epoch, and such writers too.
const script = `
local op = ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local function mark(key, id, hold)
  redis.call('ZADD', key, now + hold, id)
  if hold == 0 then redis.call('ZREM', key, id) end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2]
  if last then redis.call('PEXPIREAT', key, string.format('%.0f', last)) end
end

-- read: epoch, writers, then values, token, writers of each row;
-- a token to begin with, its time, that of an epoch, the scope
if op == 'read' then
  local e = redis.call('GET', KEYS[1])
  if not e then
    e = ARGV[2]
    redis.call('SET', KEYS[1], e)
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[4]) -- a replica refuses this
  local shut = redis.call('EXISTS', KEYS[2]) == 1
  local out = {e, string.format('%.0f', now)}
  for i = 3, #KEYS, 3 do
    local said = ''
    if not shut and redis.call('EXISTS', KEYS[i + 2]) == 0 then
      local v = redis.pcall('HGET', KEYS[i], ARGV[5])
      if type(v) == 'string' and #v >= 32 and string.sub(v, 1, 18) == 'F1' .. e
        and (tonumber(string.sub(v, 19, 31)) or 0) > now then
        said = v
      elseif type(v) ~= 'table' then
        local l = redis.call('GET', KEYS[i + 1])
        if not l then
          l = ARGV[2]
          redis.call('SET', KEYS[i + 1], l)
        end
        redis.call('PEXPIRE', KEYS[i + 1], ARGV[3])
        said = 'L' .. l
      end
    end
    out[#out + 1] = said
  end
  return out
end

-- fill: the same keys; epoch, scope, then token, time, value of each row
if op == 'fill' then
  if redis.call('GET', KEYS[1]) ~= ARGV[2] or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
  local kept = 0
  for i = 3, #KEYS, 3 do
    local a = i + 1
    if redis.call('GET', KEYS[i + 1]) == ARGV[a] and redis.call('EXISTS', KEYS[i + 2]) == 0 then
      if redis.call('HLEN', KEYS[i]) >= 256 then redis.call('DEL', KEYS[i]) end
      redis.call('HSET', KEYS[i], ARGV[3], ARGV[a + 2])
      if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[a + 1]) then redis.call('PEXPIRE', KEYS[i], ARGV[a + 1]) end
      kept = kept + 1
    end
  end
  return kept
end

-- rows: values, token, writers of each row; the writer, how long it still holds them
if op == 'rows' then
  for i = 1, #KEYS, 3 do
    redis.call('DEL', KEYS[i], KEYS[i + 1])
    mark(KEYS[i + 2], ARGV[2], tonumber(ARGV[3]))
  end
  return 0
end

-- all: epoch, writers; the writer, how long it still holds them, another epoch, its time
if op == 'all' then
  redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
  mark(KEYS[2], ARGV[2], tonumber(ARGV[3]))
  return 0
end

return 0`
