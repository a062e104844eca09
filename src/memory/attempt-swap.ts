import { encodeRecord, MAX_RECORD_BYTES, parseRecord } from '../backend/attempt-record.js';
import {
  CLEAR_ENDED,
  CLEARED_MS,
  RECORD_MS,
  type AttemptChange,
  type AttemptSwap,
  type AttemptView,
} from '../backend/attempts.js';
import { digest } from '../credential/encoding.js';
import type { ChangeOrigin } from '../credential/origin.js';
import { DEFAULT_NAMESPACE, ownPrefix } from '../util/option-checks.js';
import type { CredentialMemory } from './credential-memory.js';

/** The beginning of the keys of our own: a memory is not shared by applications that have to be kept apart. */
export const OWN_PREFIX: string = ownPrefix(DEFAULT_NAMESPACE);

const recordKey = (key: string): string => `${OWN_PREFIX}attempt:${key}`;
const clearedKey = (key: string): string => `${OWN_PREFIX}cleared:${key}`;

/** Remembers that a credential was cleared on purpose. */
export function storeTombstone(memory: CredentialMemory, key: string): void {
  memory.put(clearedKey(key), Buffer.from('1'), memory.now() + CLEARED_MS);
}

/** Ends the clear of a credential that is stored, or that was stored since the clear. */
export function endClear(
  memory: CredentialMemory,
  key: string,
  storedAt: number = -Infinity,
): void {
  const tombstone = memory.peek(clearedKey(key));
  if (tombstone === undefined) return;
  const isStored = memory.peek(key) !== undefined;
  const counts = Math.floor(storedAt) <= memory.now();
  if (isStored || (counts && clearInstant(tombstone) < Math.floor(storedAt)))
    memory.put(clearedKey(key), Buffer.from(CLEAR_ENDED), tombstone.expiresAt);
}

/** Reads the view of one credential, or changes it if it is unchanged. */
export function swapAttempt(
  memory: CredentialMemory,
  { key, change }: AttemptSwap,
  origin: ChangeOrigin,
): AttemptView | 'swapped' {
  const view = viewOf(memory, key);
  if (change?.version !== view.version) return view;
  if (change.write !== undefined && isOther(memory, key, change.write))
    return { ...view, conflict: true };
  const { record, dropTombstone = false, write, announce } = change;
  if (write !== undefined) {
    const { bytes, ttl } = write;
    const keep = ttl === 'keep' ? memory.peek(key)?.expiresAt : undefined;
    memory.put(key, Buffer.from(bytes), typeof ttl === 'number' ? memory.now() + ttl : keep);
  }
  if (record !== undefined) {
    const bytes = Buffer.from(encodeRecord(record));
    memory.put(recordKey(key), bytes, memory.now() + RECORD_MS);
  }
  if (dropTombstone) memory.drop(clearedKey(key));
  if (announce === 'attempt') memory.emit(key, { type: 'attempt' });
  else if (announce === 'saved') memory.emit(key, { type: 'written', origin, reason: undefined });
  return 'swapped';
}

function viewOf(memory: CredentialMemory, key: string): AttemptView {
  const bytes = memory.peek(recordKey(key))?.bytes ?? Buffer.alloc(0);
  const stored = memory.peek(key) !== undefined;
  const tombstone = memory.peek(clearedKey(key));
  const clearedAt = tombstone && clearInstant(tombstone);
  const clearEnded = tombstone?.bytes.toString() === CLEAR_ENDED;
  const text = bytes.length > MAX_RECORD_BYTES ? bytes.length : bytes.toString('latin1');
  return {
    now: Math.floor(memory.now()),
    ...parseRecord(bytes),
    stored,
    conflict: false,
    clearedAt,
    clearEnded,
    version: JSON.stringify([text, stored, String(clearedAt), clearEnded]),
  };
}

function clearInstant({ expiresAt = Infinity }: { expiresAt: number | undefined }): number {
  return expiresAt - CLEARED_MS;
}

/** Whether other bytes are stored than those to replace and those to write. */
function isOther(
  memory: CredentialMemory,
  key: string,
  { bytes, replaces }: NonNullable<AttemptChange['write']>,
): boolean {
  const held = memory.peek(key)?.bytes;
  if (held === undefined || held.equals(bytes)) return false;
  return replaces === 'absent' || digest(held) !== replaces.digest;
}
