import type { AttemptRecord, CommitAttempt, CommitOutcome } from '../backend/attempts.js';
import { pauseAfter } from '../time/back-off.js';
import { digest } from '../credential/encoding.js';
import { OutcomeUnknownError } from '../errors.js';
import { effectiveTtl } from '../writing/effective-ttl.js';
import type { AttemptContext, Basis } from './attempt-context.js';
import type { DiscardReason } from './options.js';

/** Between tries of saying what Redis has to know. */
export const COMMIT_BACK_OFF = { initialMs: 100, maxMs: 5_000 };

type Prepared = Pick<CommitAttempt, 'bytes' | 'ttl'> & {
  /** It has ended already. */
  readonly over: boolean;
};

/** How the cluster goes on after a commit. */
export type AfterCommit = Pick<CommitAttempt, 'failures' | 'pauseMs'>;

/**
 * Stores what an attempt brought: again and again while Redis does not answer, because it may hold the only valid refresh token.
 *
 * @param after - told whether the new credentials have ended already
 */
export async function commit<T>(
  { attempts, internals, pauses, wasEvicted, troubled }: AttemptContext<T>,
  { id, number, startedAt, startedFromNothing = false }: AttemptRecord,
  { expected, ttlEnd }: Basis<T>,
  credentials: T,
  after: (over: boolean) => AfterCommit,
): Promise<Exclude<CommitOutcome, DiscardReason> | 'unchanged' | DiscardReason> {
  const { backend, key, live } = internals;
  const prepared = await prepare({ internals }, credentials).catch(() => undefined);
  if (prepared === undefined) return 'unusable';
  const { bytes, ttl, over } = prepared;
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
        expectedTtlEnd: ttlEnd,
        evicted: wasEvicted(),
        startedAt,
        startedFromNothing,
        ...after(over),
      });
      if (outcome === 'committed')
        await live.refreshed({ type: 'written', origin: 'self', reason: undefined });
      return outcome;
    } catch (error) {
      inDoubt ||= error instanceof OutcomeUnknownError;
      troubled(number, error);
      await pauses.pause(pauseAfter(tries, COMMIT_BACK_OFF, backend.random));
    }
  }
  return inDoubt ? 'unknown' : 'closed';
}

/** @throws EncodeError, InvalidOptionError, ClosedError; `undefined` for what could not be read back */
async function prepare<T>(
  { internals }: Pick<AttemptContext<T>, 'internals'>,
  credentials: T,
): Promise<Prepared | undefined> {
  const { encoding, live, options } = internals;
  const { bytes, logicalEnd } = await encoding.encode(credentials);
  // Nobody may lose a good credential to one that nobody can read.
  const again = await encoding.decode({ type: 'bytes', bytes });
  if (again.type === 'unreadable') return undefined;
  const now = live.serverNow();
  const ttl = effectiveTtl(credentials, undefined, logicalEnd, options, () => now);
  return { bytes, ttl, over: logicalEnd !== undefined && logicalEnd <= now };
}
