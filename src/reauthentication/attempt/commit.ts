import type { AttemptRecord, CommitAttempt, CommitOutcome } from '../../backend/attempts.js';
import { pauseAfter } from '../../time/back-off.js';
import { digest } from '../../credential/encoding.js';
import { OutcomeUnknownError } from '../../errors.js';
import { effectiveTtl } from '../../writing/effective-ttl.js';
import type { AttemptContext, Basis } from './context.js';
import type { DiscardReason } from '../options.js';

/** The pauses between tries of a verb without a reply. */
export const COMMIT_BACK_OFF = { initialMs: 100, maxMs: 5_000 };

type Prepared = Pick<CommitAttempt, 'bytes' | 'ttl'> & {
  /** Whether the credentials have ended already. */
  readonly hasEnded: boolean;
};

/** The pause between a commit and the next attempt. */
export type AfterCommit = Pick<CommitAttempt, 'failures' | 'pauseMs'>;

/** A result that cannot be stored, or not be read back. */
export interface Unusable {
  readonly unusable: unknown;
}

/**
 * Stores the result of an attempt. Repeats the commit until Redis replies, because the result may hold the only valid refresh token.
 *
 * @param after - receives whether the new credentials have ended already
 */
export async function commit<T>(
  { attempts, internals, pauses, commitFailed }: AttemptContext<T>,
  { id, number, startedAt, startedFromNothing = false }: AttemptRecord,
  { expected }: Basis<T>,
  credentials: T,
  after: (hasEnded: boolean) => AfterCommit,
): Promise<
  | Exclude<CommitOutcome, DiscardReason>
  | 'unchanged'
  | Exclude<DiscardReason, 'unusable'>
  | Unusable
> {
  const { backend, key, live } = internals;
  const prepared = await prepare({ internals }, credentials).catch((cause: unknown) => ({ cause }));
  if ('cause' in prepared) return { unusable: prepared.cause };
  const { bytes, ttl, hasEnded } = prepared;
  try {
    if (expected !== 'absent' && digest(bytes) === expected.digest) return 'unchanged';
    let inDoubt = false;
    for (let tries = 1; !pauses.ended; tries += 1) {
      try {
        const outcome = await attempts.commit({
          key,
          id,
          number,
          bytes,
          ttl,
          expected,
          startedAt,
          startedFromNothing,
          ...after(hasEnded),
        });
        if (outcome === 'committed')
          await live.refreshed({ type: 'written', origin: 'self', reason: undefined });
        return outcome;
      } catch (error) {
        inDoubt ||= error instanceof OutcomeUnknownError;
        commitFailed(number, error);
        await pauses.pause(pauseAfter(tries, COMMIT_BACK_OFF, backend.random));
      }
    }
    return inDoubt ? 'unknown' : 'closed';
  } finally {
    bytes.fill(0);
  }
}

/** @throws EncodeError, UnreadableError, InvalidOptionError, ClosedError */
async function prepare<T>(
  { internals }: Pick<AttemptContext<T>, 'internals'>,
  credentials: T,
): Promise<Prepared> {
  const { encoding, live, options } = internals;
  const { bytes, logicalEnd } = await encoding.encode(credentials);
  // Unreadable bytes must not replace a good credential. The codec may keep the bytes that it is given, and these are wiped.
  const again = await encoding.decode({ type: 'bytes', bytes: Buffer.from(bytes) });
  if (again.type === 'unreadable') throw again.error;
  const now = live.serverNow();
  const ttl = effectiveTtl(credentials, undefined, logicalEnd, options, () => now);
  return { bytes, ttl, hasEnded: logicalEnd !== undefined && logicalEnd <= now };
}
