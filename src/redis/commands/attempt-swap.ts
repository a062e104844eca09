import { MAX_RECORD_BYTES, encodeRecord, parseRecord } from '../../backend/attempt-record.js';
import {
  CLEAR_ENDED,
  CLEARED_MS,
  RECORD_MS,
  type AttemptChange,
  type AttemptSwap,
  type AttemptView,
} from '../../backend/attempts.js';
import { UnavailableError } from '../../errors.js';
import type { CommandConnection } from '../connection/connection.js';
import { hideBytes } from '../client/hidden-bytes.js';
import { readFailure, replyWord, writeFailure } from '../reply-errors.js';
import {
  malformed,
  replyBytes,
  replyCount,
  replyEnd,
  replyInstant,
  replyList,
  replyNames,
  replyOk,
  replyText,
  replyWhole,
} from '../reply-parser.js';
import type { HelperNames } from './helper-names.js';
import { runScript } from './reader.js';
import { script, type Script } from './scripts.js';
import type { Publication } from './writes/transaction.js';
import { STAGE_MS } from './writes/staged-write.js';

/*
 * Reads what lies beside a credential, or changes it if it is unchanged. The script knows no rule of attempts. It needs no more rights than
 * STRLEN, GET, SET, DEL, TIME, PEXPIRETIME (before Redis 7 PTTL) and PUBLISH; without a right to read the tombstone's end its instant is unknown.
 *
 * KEYS[1] the record, KEYS[2] the tombstone, KEYS[3] the credential; KEYS[4], if the credential is to be written, the staged copy: SHA-1
 * (40 hex digits) of the bytes to replace, or 40 dashes for none, then the new bytes
 * ARGV[1] the version that the change follows from, '' to read only; ARGV[2] the new record, '' for none; ARGV[3] milliseconds to keep it;
 * ARGV[4] '1' to drop the tombstone; ARGV[5] the credential's milliseconds to live | 'keep' | 'none'; ARGV[6] channel, '' for none;
 * ARGV[7] announcement
 * Returns { question, key, 'swapped', announced } | { question, key, 'unstaged' } (the copy is gone; nothing was written)
 *   | { question, key, 'view', version, now, record, stored, conflict, end of the tombstone, 1 if its clear has ended }: end -2 for no
 *   tombstone, -1 for an end that is not known
 */
const SWAP: Script = script(`
local function says(...)
  return { tonumber(ARGV[#ARGV]), KEYS[3], ... }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local staged = KEYS[4] and redis.call('GET', KEYS[4])
if staged then redis.call('DEL', KEYS[4]) end
local sizes = {}
for i = 1, 3 do
  local size = redis.pcall('STRLEN', KEYS[i])
  if type(size) == 'table' then
    if not string.find(size.err, 'WRONGTYPE', 1, true) then return size end
    size = -1
  end
  sizes[i] = size
end
local function text(i, most)
  return sizes[i] > 0 and sizes[i] <= most and redis.call('GET', KEYS[i]) or ''
end
local record, tombstone = text(1, ${String(MAX_RECORD_BYTES)}), text(2, 128)
local stored = sizes[3] ~= 0 or redis.call('GET', KEYS[3]) ~= false
local version = table.concat({ sizes[1], redis.sha1hex(record), sizes[2], redis.sha1hex(tombstone), stored and 1 or 0 }, ' ')
local function view(conflict)
  local ends = -2
  if sizes[2] > 0 then
    ends = redis.pcall('PEXPIRETIME', KEYS[2])
    if type(ends) == 'table' then
      local left = redis.pcall('PTTL', KEYS[2])
      ends = type(left) == 'number' and left >= 0 and now + left or -1
    end
  end
  local ended = tombstone == '${CLEAR_ENDED}' and 1 or 0
  return says('view', version, now, record, stored and 1 or 0, conflict, ends, ended)
end
if ARGV[1] ~= version then return view(0) end
if KEYS[4] then
  if not staged then return says('unstaged') end
  local bytes = string.sub(staged, 41)
  if stored then
    local held = sizes[3] >= 0 and redis.call('GET', KEYS[3])
    if held ~= bytes and not (held and redis.sha1hex(held) == string.sub(staged, 1, 40)) then
      return view(1)
    end
  end
  if ARGV[5] == 'keep' then
    redis.call('SET', KEYS[3], bytes, 'KEEPTTL')
  elseif ARGV[5] == 'none' then
    redis.call('SET', KEYS[3], bytes)
  else
    redis.call('SET', KEYS[3], bytes, 'PX', ARGV[5])
  end
end
if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if ARGV[4] == '1' then redis.call('DEL', KEYS[2]) end
if ARGV[6] == '' then return says('swapped', 0) end
local published = redis.pcall('PUBLISH', ARGV[6], ARGV[7])
return says('swapped', type(published) == 'table' and 0 or 1)
`);

/** Stands for a digest where no bytes are to be replaced. */
const NO_DIGEST = '-'.repeat(40);

/** The version is two sizes, two digests and a flag. */
const MAX_VERSION = 128;

/** A change that was carried out, and whether the announcement was. */
export interface Swapped {
  readonly announced: boolean;
}

/**
 * Swaps over one connection. Neither the bytes of the credential nor a digest of them are arguments of the script, because tracing records
 * those in full; they come in a staged copy in the same slot.
 *
 * @throws RefusedError, UnavailableError, OutcomeUnknownError
 */
export async function swapAttempt(
  connection: CommandConnection,
  { key, change }: AttemptSwap,
  names: HelperNames,
  publication: Publication | undefined,
): Promise<AttemptView | Swapped> {
  const keys = [names.attempt(key), names.cleared(key), key];
  const copy = change?.write && {
    name: names.stage(key),
    bytes: stagedCopy(change.write),
  };
  // Sent at once: the connection keeps the order, and the script finds the copy or says that there is none.
  const staging =
    copy && connection.call((client) => client.set(copy.name, copy.bytes, 'PX', STAGE_MS), replyOk);
  if (copy !== undefined) keys.push(copy.name);
  const args = [String(keys.length), ...keys, ...changeArguments(change, publication)];
  const swapping = runScript(connection, SWAP, 'EVALSHA', 'EVAL', args, (reply) =>
    replySwap(reply, key),
  );
  const [staged, swapped] = await Promise.allSettled([staging, swapping]);
  copy?.bytes.fill(0);
  if (swapped.status === 'fulfilled') {
    if (swapped.value !== 'unstaged') return swapped.value;
    if (staged.status === 'rejected') throw writeFailure(staged.reason);
    throw new UnavailableError('the staged copy was gone; nothing was written');
  }
  // A demoted master stays one on this connection; the next connection is made to whatever is the master then.
  if (replyWord(swapped.reason) === 'READONLY') connection.kill();
  if (copy !== undefined)
    await connection.call((client) => client.del(copy.name), replyCount).catch(() => undefined);
  throw change === undefined ? readFailure(swapped.reason) : writeFailure(swapped.reason);
}

function stagedCopy({ bytes, replaces }: NonNullable<AttemptChange['write']>): Buffer {
  const digest = replaces === 'absent' ? NO_DIGEST : replaces.digest;
  return hideBytes(Buffer.concat([Buffer.from(digest), bytes]));
}

function changeArguments(
  change: AttemptSwap['change'],
  publication: Publication | undefined,
): readonly string[] {
  if (change === undefined) return [''];
  const { version, record, dropTombstone = false, write } = change;
  return [
    version,
    record === undefined ? '' : encodeRecord(record),
    String(RECORD_MS),
    dropTombstone ? '1' : '',
    String(write?.ttl ?? ''),
    publication?.channel ?? '',
    publication?.message ?? '',
  ];
}

function replySwap(reply: readonly unknown[], key: string): AttemptView | Swapped | 'unstaged' {
  replyNames(reply[1], key);
  switch (replyText(reply[2], 16)) {
    case 'swapped':
      return { announced: replyWhole(replyList(reply, 4)[3], 0, 1) === 1 };
    case 'unstaged':
      replyList(reply, 3);
      return 'unstaged';
    case 'view':
      return replyView(replyList(reply, 10).slice(3));
    default:
      return malformed();
  }
}

function replyView([
  version,
  now,
  record,
  stored,
  conflict,
  end,
  ended,
]: readonly unknown[]): AttemptView {
  const tombstoneEnd = replyEnd(end);
  return {
    now: replyInstant(replyWhole(now, 0)),
    ...parseRecord(replyBytes(record, MAX_RECORD_BYTES)),
    stored: replyWhole(stored, 0, 1) === 1,
    conflict: replyWhole(conflict, 0, 1) === 1,
    clearedAt:
      tombstoneEnd === -2 ? undefined : tombstoneEnd < 0 ? Infinity : tombstoneEnd - CLEARED_MS,
    clearEnded: replyWhole(ended, 0, 1) === 1,
    version: replyText(version, MAX_VERSION),
  };
}
