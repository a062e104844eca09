import type { AttemptRecord } from '../backend/attempts.js';
import type { AttemptContext } from './attempt-context.js';

/** The lease came when nobody wanted it any longer. Never rejects. */
export async function releaseLease<T>(
  { attempts, internals: { key } }: AttemptContext<T>,
  { id, number, failures }: AttemptRecord,
): Promise<void> {
  const end = { key, id, number, failures, pauseMs: 0, endsAt: undefined, oauthError: undefined };
  await attempts.end({ ...end, outcome: 'needless' }).catch(() => undefined);
}

/** What stood in the way of the credentials before does not of those that are there now. */
export function clearFailure<T>(
  { attempts, internals: { key } }: AttemptContext<T>,
  id: string,
): void {
  // Who does not reach Redis now need not: the end of the new credentials tells them apart, but for those without one.
  attempts.clearFailure({ key, id }).catch(() => undefined);
}
