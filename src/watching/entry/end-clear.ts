import type { Backend, FeedCondition } from '../../backend/backend.js';
import type { CredentialChange } from '../../credential/change.js';
import type { Known, Labels, Step } from '../../credential/state.js';

/**
 * Ends the clear of a key that is stored again, where Redis runs scripts for this user.
 *
 * @param storedAt - the server's time of a reading that found the key stored: it may be gone by now, or soon
 */
export function endClear(
  condition: FeedCondition | undefined,
  backend: Pick<Backend, 'endClear'>,
  key: string,
  storedAt: number,
): void {
  if (condition?.scriptsRefused === undefined) void backend.endClear(key, storedAt);
}

/**
 * Whether a foreign client may have stored the key after a clear: the key was absent, or a removal was hinted at, or no hint came that would
 * tell. The saves of this package end a clear themselves. A first reading does not count, because very many come at once.
 */
export function mayEndClear(
  before: Known<unknown>,
  { known, change }: Step<unknown>,
  { write, removal }: Labels,
  isHinted: boolean,
): boolean {
  if (known.digest === undefined || before.state.type === 'unknown') return false;
  if (write?.origin === 'self' || typeof write?.origin === 'object') return false;
  if (before.digest === undefined) return true;
  return change !== undefined && (removal !== undefined || !isHinted);
}

/** Whether an instance of this package has cleared the key, which leaves a tombstone of now. */
export function isClear(change: CredentialChange<unknown> | undefined): boolean {
  if (change?.type !== 'cleared') return false;
  return change.origin === 'self' || typeof change.origin === 'object';
}
