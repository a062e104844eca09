import type { Observation, Written } from '../backend/backend.js';
import { OutcomeUnknownError } from '../errors.js';
import type { Ttl } from '../backend/ttl.js';

/** Redis rounds ends and a reply travels; an end within this distance of the requested one counts as equal. */
const TTL_SLACK_MS = 1_000;

interface RequestedWrite {
  readonly bytes: Buffer;
  readonly ttl: Ttl;
}

/**
 * Resolves a lost reply by reading: the write happened if the key holds its bytes and its end; else the outcome stays unknown.
 *
 * @throws the error itself when it is another one, or when the reading does not prove the write
 */
export async function resolveWrite(
  error: unknown,
  { bytes, ttl }: RequestedWrite,
  read: () => Promise<Observation>,
  elapsedMs: () => number,
): Promise<Written> {
  if (!(error instanceof OutcomeUnknownError)) throw error;
  const found = await read().catch(() => undefined);
  if (found?.content.type !== 'bytes' || !found.content.bytes.equals(bytes)) throw error;
  const left = found.expiresAt === undefined ? 'none' : found.expiresAt - found.serverNow;
  const asRequested =
    typeof ttl === 'number' && typeof left === 'number'
      ? left <= ttl + TTL_SLACK_MS && left >= ttl - elapsedMs() - TTL_SLACK_MS
      : ttl === 'keep' || ttl === left;
  if (!asRequested) throw error;
  return { announced: true };
}

/** As {@link resolveWrite}, for a removal: an absent key counts as removed. */
export async function resolveRemoval(
  error: unknown,
  read: () => Promise<Observation>,
): Promise<boolean> {
  if (!(error instanceof OutcomeUnknownError)) throw error;
  const found = await read().catch(() => undefined);
  if (found?.content.type !== 'absent') throw error;
  return true;
}
