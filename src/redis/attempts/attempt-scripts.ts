import { CLEARED_MS, SAME_END_MS } from '../../backend/attempts.js';
import { script, type Script } from '../commands/scripts.js';

/*
 * One attempt at a time, whoever asks. What is stored is JSON, so that these scripts need no more rights than GET, STRLEN, SET, DEL, TIME and
 * PUBLISH; without PTTL a clear counts however long ago it was.
 *
 * Common to all: KEYS[1] the record of the last attempt, KEYS[2] the mark of a clear, KEYS[3] the credential; ARGV[1] this attempt's id,
 * ARGV[2] this node, ARGV[3] milliseconds to keep the record. Instants are whole milliseconds of the server's clock, but for ends of
 * credentials, which are kept as they were given: Lua's JSON would round them.
 */
const PRELUDE = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local shape = {
  id = 'string', node = 'string', outcome = 'string', number = 'number', startedAt = 'number',
  leaseEndsAt = 'number', failures = 'number', notBefore = 'number'
}
local function load()
  local text = redis.pcall('GET', KEYS[1])
  if type(text) ~= 'string' then return nil end
  local fine, record = pcall(cjson.decode, text)
  if not fine or type(record) ~= 'table' then return nil end
  for name, kind in pairs(shape) do
    if type(record[name]) ~= kind then return nil end
  end
  if record.endsAt ~= nil and not tonumber(record.endsAt) then return nil end
  return record
end
local function store(record)
  local text = cjson.encode(record)
  redis.call('SET', KEYS[1], text, 'PX', ARGV[3])
  return text
end
local function stored()
  local size = redis.pcall('STRLEN', KEYS[3])
  return type(size) == 'table' or size > 0 or redis.call('GET', KEYS[3]) ~= false
end
local function marked(before)
  if before and before >= ${String(Number.MAX_SAFE_INTEGER)} then return false end
  if type(redis.pcall('GET', KEYS[2])) ~= 'string' then return false end
  local left = before and redis.pcall('PTTL', KEYS[2])
  return type(left) ~= 'number' or left < 0 or now - ${String(CLEARED_MS)} + left >= before
end
local function anew(number, failures)
  return {
    id = ARGV[1], node = ARGV[2], number = tonumber(number), startedAt = now, leaseEndsAt = 0,
    outcome = 'running', failures = tonumber(failures), notBefore = 0, lost = not stored() or nil
  }
end
local function unlessBlank(record, own)
  if record and record.id ~= ARGV[1] and record.blank == true and own ~= '1' then return nil end
  return record
end
local function same(a, b)
  if not a or not b then return not a and not b end
  return math.abs(tonumber(a) - tonumber(b)) <= ${String(SAME_END_MS)}
end
local function tell(channel, message)
  if channel ~= '' then redis.pcall('PUBLISH', channel, message) end
end
`;

/*
 * ARGV[4] lease, ARGV[5] shortest interval (milliseconds); ARGV[6] end of the credential, '' for none; ARGV[7] a clear before this
 * instant does not matter, '' if any does
 * Returns { 'started', record } | { 'held' | 'early' | 'fatal', record, milliseconds left } | { 'cleared' }
 */
export const START_ATTEMPT: Script = script(`${PRELUDE}
local old = load()
local ends = ARGV[6] ~= '' and ARGV[6] or nil
if old and old.id == ARGV[1] then
  if old.outcome == 'running' then old.leaseEndsAt = now + tonumber(ARGV[4]) end
  return { 'started', store(old) }
end
if old and old.outcome == 'running' and old.leaseEndsAt > now then
  return { 'held', cjson.encode(old), math.ceil(old.leaseEndsAt - now) }
end
local here = stored()
if not here and marked(tonumber(ARGV[7])) then return { 'cleared' } end
if old then
  local text = cjson.encode(old)
  if old.outcome == 'fatal' and (not here or same(old.endsAt, ends)) then
    return { 'fatal', text, 0 }
  end
  if old.notBefore > now then return { 'early', text, math.ceil(old.notBefore - now) } end
end
local blank = not here and not marked() and (not old or old.blank == true)
local doubtful = { running = true, unanswered = true }
if old and old.inDoubt == true then doubtful.failed, doubtful.needless = true, true end
local doubt = old and doubtful[old.outcome]
local text = store({
  id = ARGV[1], node = ARGV[2], number = (old and old.number or 0) + 1, startedAt = now,
  leaseEndsAt = now + tonumber(ARGV[4]), outcome = 'running', failures = old and old.failures or 0,
  notBefore = now + tonumber(ARGV[5]), endsAt = ends, inDoubt = doubt or nil,
  blank = blank or nil, committed = old and (old.outcome == 'committed' and old.id or old.committed) or nil
})
redis.call('DEL', KEYS[2])
return { 'started', text }
`);

/*
 * ARGV[4] lease (milliseconds); ARGV[5] number and ARGV[6] failures, for a record that was lost; ARGV[7] '1' if this one is blank. One
 * that is not takes the lease back from one that is.
 * Returns 'held' | 'superseded' | 'ended'
 */
export const RENEW_ATTEMPT: Script = script(`${PRELUDE}
local old = unlessBlank(load(), ARGV[7])
if old and old.id ~= ARGV[1] then return 'superseded' end
if old and old.outcome ~= 'running' then return 'ended' end
local record = old or anew(ARGV[5], ARGV[6])
record.blank = ARGV[7] == '1' or nil
record.leaseEndsAt = now + tonumber(ARGV[4])
store(record)
return 'held'
`);

/*
 * KEYS[4] the staged copy: SHA-1 (40 hex digits) of the bytes it started from, or 40
 * dashes for none, then the new bytes
 * ARGV[4] number; ARGV[5] failures; ARGV[6] pause; ARGV[7] milliseconds to live | 'keep' | 'none'; ARGV[8] when the old bytes were to end, ''
 * for never; ARGV[9] '1' if they were evicted; ARGV[10] when the attempt started; ARGV[11] channel, '' for none; ARGV[12] announcement;
 * ARGV[13] '1' if this one is blank
 * Returns 'committed' | 'superseded' | 'conflict' | 'cleared' | 'unstaged' (the copy is gone; nothing was written)
 */
export const COMMIT_ATTEMPT: Script = script(`${PRELUDE}
local staged = redis.call('GET', KEYS[4])
redis.call('DEL', KEYS[4])
local old = unlessBlank(load(), ARGV[13])
if old and old.committed == ARGV[1] then return 'committed' end
if old and old.id ~= ARGV[1] then return 'superseded' end
if old and old.outcome == 'committed' then return 'committed' end
if not staged then return 'unstaged' end
if marked() then return 'cleared' end
local expected, bytes = string.sub(staged, 1, 40), string.sub(staged, 41)
local held = redis.pcall('GET', KEYS[3])
if type(held) == 'table' then return 'conflict' end
if held and held ~= bytes and redis.sha1hex(held) ~= expected then return 'conflict' end
if not held then
  local nothing = string.rep('-', 40)
  local due = tonumber(ARGV[8])
  local lost = ARGV[9] == '1' or (due and now >= due) or not old or old.lost
  if expected ~= nothing and not lost then return 'cleared' end
  if now - tonumber(ARGV[10]) >= ${String(CLEARED_MS)} then return 'cleared' end
end
if ARGV[7] == 'keep' then
  redis.call('SET', KEYS[3], bytes, 'KEEPTTL')
elseif ARGV[7] == 'none' then
  redis.call('SET', KEYS[3], bytes)
else
  redis.call('SET', KEYS[3], bytes, 'PX', ARGV[7])
end
store({
  id = ARGV[1], node = ARGV[2], number = tonumber(ARGV[4]), startedAt = old and old.startedAt or now,
  leaseEndsAt = 0, outcome = 'committed', failures = tonumber(ARGV[5]), notBefore = now + tonumber(ARGV[6])
})
tell(ARGV[11], ARGV[12])
return 'committed'
`);

/*
 * ARGV[4] outcome; ARGV[5] number; ARGV[6] failures; ARGV[7] pause; ARGV[8] end of the credential, '' for none; ARGV[9] oauthError, '' for
 * none; ARGV[10] channel, '' for none; ARGV[11] announcement
 * Returns 'done' | 'superseded' | 'committed' (and left alone)
 */
export const END_ATTEMPT: Script = script(`${PRELUDE}
local old = load()
if old and old.id ~= ARGV[1] then return 'superseded' end
if old and old.outcome == 'committed' then return 'committed' end
local record = old or anew(ARGV[5], ARGV[6])
record.leaseEndsAt, record.outcome = 0, ARGV[4]
record.failures, record.notBefore = tonumber(ARGV[6]), now + tonumber(ARGV[7])
record.endsAt = ARGV[8] ~= '' and ARGV[8] or nil
record.oauthError = ARGV[9] ~= '' and ARGV[9] or nil
store(record)
tell(ARGV[10], ARGV[11])
return 'done'
`);

/*
 * While the credential is stored, the mark of a clear is of a time before.
 * Returns 'done', or 'superseded' when another attempt has come since
 */
export const ABSOLVE_ATTEMPT: Script = script(`${PRELUDE}
if stored() then redis.call('DEL', KEYS[2]) end
local old = load()
if not old or old.id ~= ARGV[1] or old.outcome ~= 'fatal' then return 'superseded' end
old.outcome, old.failures, old.notBefore = 'needless', 0, 0
store(old)
return 'done'
`);
