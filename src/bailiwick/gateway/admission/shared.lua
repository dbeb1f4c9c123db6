-- Buckets, requests in flight and budgets of all gateways, in one atomic call. The arithmetic is that of bucket.py.
--
-- KEYS: one counter per limit.
-- ARGV: 1. what (take | settle);  2. now in ms (empty: the clock of Redis, one for all gateways);  3. the request's name;
--       4. its lease in ms;  5. per limit, all in one text because each argument costs the gateway time: kind, most,
--       number (take: what is needed; settle: what is given back, may be negative), known (budgets: tokens that the
--       gateway knows to be spent; a Redis that came back empty learns it from there).
-- Returns one text: 1 or 0 (let in or not), then per limit the level or what is left, and the wait in ms (of a budget: 1).
local SCALE = 60000
local what, now, member, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function text(number)
  return string.format('%.0f', number)
end

local function level_of(key, most)
  local held = redis.call('HMGET', key, 'level', 'at')
  if not held[1] then
    return most * SCALE
  end
  return math.min(most * SCALE, tonumber(held[1]) + math.max(0, now - tonumber(held[2])) * most)
end

local function keep(key, level, most)
  redis.call('HSET', key, 'level', text(level), 'at', text(now))
  -- a bucket that is full again is as good as none
  redis.call('PEXPIRE', key, text(math.ceil((most * SCALE - level) / most) + 1000))
end

local limits, admitted, said = {}, true, string.gmatch(ARGV[5], '%S+')
for index, key in ipairs(KEYS) do
  local kind, most, number, known = said(), tonumber(said()), tonumber(said()), tonumber(said())
  local left, wait = 0, 0
  if kind == 'requests' or kind == 'tokens' then
    left = level_of(key, most)
    wait = math.max(0, math.ceil((number * SCALE - left) / most))
  elseif kind == 'in_flight' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
    left = most - redis.call('ZCARD', key)
    if left < number then wait = 1000 end
  else
    left = most - math.max(known, tonumber(redis.call('GET', key) or '0'))
    if left < number then wait = 1 end
  end
  if wait > 0 then admitted = false end
  limits[index] = {kind = kind, most = most, number = number, left = left, wait = wait}
end

if what == 'settle' then
  for index, key in ipairs(KEYS) do
    local limit = limits[index]
    if limit.kind == 'tokens' then
      keep(key, math.min(limit.most * SCALE, limit.left + limit.number * SCALE), limit.most)
    elseif limit.kind == 'in_flight' then
      redis.call('ZREM', key, member)
    elseif limit.kind == 'budget' then
      redis.call('SET', key, text(math.max(0, limit.most - limit.left - limit.number)), 'PX', '172800000')
    end
  end
  return '1'
end

local answer = {admitted and '1' or '0'}
for index, key in ipairs(KEYS) do
  local limit = limits[index]
  if admitted then
    if limit.kind == 'requests' or limit.kind == 'tokens' then
      limit.left = limit.left - limit.number * SCALE
      keep(key, limit.left, limit.most)
    elseif limit.kind == 'in_flight' then
      redis.call('ZADD', key, text(now + lease), member)
      redis.call('PEXPIRE', key, text(2 * lease))
      limit.left = limit.left - limit.number
    else
      redis.call('SET', key, text(limit.most - limit.left + limit.number), 'PX', '172800000')
      limit.left = limit.left - limit.number
    end
  end
  answer[#answer + 1] = text(limit.left)
  answer[#answer + 1] = text(limit.wait)
end
return table.concat(answer, ' ')
