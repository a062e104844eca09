import { createHash } from 'node:crypto';
import { CLEAR_ENDED, CLEARED_MS } from '../../backend/attempts.js';

/** A script and the digest under which Redis caches it. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

/** The last argument of every script is the number of the question, which the reply repeats. */
export function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/** The longest text that the store keeps in the epoch key; a longer one is of another client, and is not fetched. */
export const EPOCH_BYTES = 64;

/*
 * Reads a key in one step: read apart, bytes and end would belong to different states.
 *
 * KEYS[1] the credential; KEYS[2], if given, the epoch key. ARGV[1] the largest size to return. Returns
 * { question, key, size, bytes or nil, end, now in microseconds, epoch or nil }: size -1 for another type than a string, larger than ARGV[1]
 * or 0 without bytes; end negative for none; epoch -1 for one that is not ours. Lua's numbers are exact up to 2^53, as in JavaScript.
 *
 * Question (the last argument) and key bind the reply: a reply to another question is never taken for this one.
 *
 * PEXPIRETIME gives the end itself. Redis 6 has only PTTL: there the end is a sum that wobbles by a millisecond. The script reads again
 * where the server was held up between TIME and PTTL, which would look like a renewal.
 */
const readWith = (end: string): string => `
local now = redis.call('TIME')
local size = redis.pcall('STRLEN', KEYS[1])
local bytes = false
if type(size) == 'table' then
  if not string.find(size.err, 'WRONGTYPE', 1, true) then return size end
  size = -1
elseif size <= tonumber(ARGV[1]) then
  bytes = redis.call('GET', KEYS[1])
end
local reply = { tonumber(ARGV[#ARGV]), KEYS[1], size, bytes, ${end}, now[1] * 1000000 + now[2] }
if KEYS[2] then
  local length = redis.pcall('STRLEN', KEYS[2])
  if type(length) == 'table' then
    if not string.find(length.err, 'WRONGTYPE', 1, true) then return length end
    length = ${String(EPOCH_BYTES)} + 1
  end
  reply[7] = -1
  if length <= ${String(EPOCH_BYTES)} then reply[7] = redis.call('GET', KEYS[2]) end
end
return reply
`;

/** The end of a key, computed from PTTL between two readings of the clock. */
const ENDS_BY_PTTL = `
local function ends(key)
  local left, before, after
  for _ = 1, 10 do
    before = redis.call('TIME')
    left = redis.call('PTTL', key)
    if left < 0 then return left end
    after = redis.call('TIME')
    if (after[1] - before[1]) * 1000000 + after[2] - before[2] < 1000 then break end
  end
  return before[1] * 1000 + math.floor(before[2] / 1000) + left
end
`;

/** For Redis 7 and later. */
export const READ: Script = script(readWith(`redis.call('PEXPIRETIME', KEYS[1])`));

/** For Redis 6.2. */
export const READ_BY_PTTL: Script = script(`
${ENDS_BY_PTTL}${readWith('ends(KEYS[1])')}`);

/*
 * Reads many keys in one step.
 *
 * KEYS the credentials. ARGV[1] the largest size to return; ARGV[2] the bytes to return in all. Returns
 * { question, now in microseconds, then for each key: key, size, bytes or nil, end }: as above, with size -2 for bytes that no longer fitted.
 */
const readManyWith = (end: string): string => `
local now = redis.call('TIME')
local most, left = tonumber(ARGV[1]), tonumber(ARGV[2])
local reply = { tonumber(ARGV[#ARGV]), now[1] * 1000000 + now[2] }
for i, key in ipairs(KEYS) do
  local size = redis.pcall('STRLEN', key)
  local bytes = false
  if type(size) == 'table' then
    if not string.find(size.err, 'WRONGTYPE', 1, true) then return size end
    size = -1
  elseif size <= most then
    if size > left then
      size = -2
    else
      bytes = redis.call('GET', key)
      left = left - size
    end
  end
  reply[i * 4 - 1] = key
  reply[i * 4] = size
  reply[i * 4 + 1] = bytes
  reply[i * 4 + 2] = ${end}
end
return reply
`;

/** For Redis 7 and later. */
export const READ_MANY: Script = script(readManyWith(`redis.call('PEXPIRETIME', key)`));

/** For Redis 6.2. */
export const READ_MANY_BY_PTTL: Script = script(`
${ENDS_BY_PTTL}${readManyWith('ends(key)')}`);

/*
 * Writes or removes only the expected bytes, in one step. Neither the bytes nor their digest may be arguments, because tracing records the
 * arguments of scripts in full; they come in a staged copy in the same slot.
 *
 * KEYS[1] the credential; KEYS[2] the staged copy: SHA-1 (40 hex digits) of the expected bytes, then the new bytes; KEYS[3], if given, the
 * tombstone, which 'set' ends. ARGV[1] 'set' or 'del'; ARGV[2] milliseconds | 'keep' | 'none', or the tombstone's value; ARGV[3] channel, '' for none; ARGV[4]
 * announcement. Returns { question, key, outcome, announced }: outcome 'done' | 'conflict' | 'unstaged' (the copy is gone; nothing was
 * written).
 */
export const WRITE_IF: Script = script(`
local function says(outcome, announced)
  return { tonumber(ARGV[#ARGV]), KEYS[1], outcome, announced }
end
local staged = redis.call('GET', KEYS[2])
if not staged then return says('unstaged', 0) end
redis.call('DEL', KEYS[2])
local held = redis.pcall('GET', KEYS[1])
if type(held) ~= 'string' or redis.sha1hex(held) ~= string.sub(staged, 1, 40) then
  return says('conflict', 0)
end
if ARGV[1] == 'del' then
  if KEYS[3] then redis.pcall('SET', KEYS[3], ARGV[2], 'PX', ${String(CLEARED_MS)}) end
  redis.call('DEL', KEYS[1])
elseif ARGV[2] == 'keep' then
  redis.call('SET', KEYS[1], string.sub(staged, 41), 'KEEPTTL')
elseif ARGV[2] == 'none' then
  redis.call('SET', KEYS[1], string.sub(staged, 41))
else
  redis.call('SET', KEYS[1], string.sub(staged, 41), 'PX', ARGV[2])
end
if ARGV[1] == 'set' and KEYS[3] then
  redis.pcall('SET', KEYS[3], '${CLEAR_ENDED}', 'XX', 'KEEPTTL')
end
if ARGV[3] == '' then return says('done', 0) end
local published = redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return says('done', type(published) == 'table' and 0 or 1)
`);

/*
 * Ends the clears of credentials that are stored again, in one step with the check: a clear that comes later has a tombstone of its own.
 *
 * KEYS each credential, and after it its tombstone. ARGV for each credential: '', or the time by which it was stored, in milliseconds: an earlier
 * clear ends also if it is gone. A time to come is that of another server, and counts for nothing. Returns { question, the first key }.
 *
 * Where PTTL stands in for PEXPIRETIME, the clock is read after it: a clear may seem later than it was, never earlier.
 */
export const END_CLEARS: Script = script(`
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function isBefore(tombstone, at)
  if not at or at > now() then return false end
  local ends = redis.pcall('PEXPIRETIME', tombstone)
  if type(ends) == 'table' then
    local left = redis.pcall('PTTL', tombstone)
    ends = type(left) == 'number' and left >= 0 and now() + left or -1
  end
  return ends >= 0 and ends - ${String(CLEARED_MS)} < at
end
for i = 1, #KEYS, 2 do
  local size = redis.pcall('STRLEN', KEYS[i])
  if type(size) == 'table' then
    if not string.find(size.err, 'WRONGTYPE', 1, true) then return size end
    size = -1
  end
  local isStored = size ~= 0 or redis.call('GET', KEYS[i]) ~= false
  if isStored or isBefore(KEYS[i + 1], tonumber(ARGV[(i + 1) / 2])) then
    redis.call('SET', KEYS[i + 1], '${CLEAR_ENDED}', 'XX', 'KEEPTTL')
  end
end
return { tonumber(ARGV[#ARGV]), KEYS[1] }
`);
