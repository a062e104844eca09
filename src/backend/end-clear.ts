import { AttemptVerbs } from './attempt-verbs.js';
import type { AttemptBackend } from './attempts.js';

/**
 * A credential is stored again, which ends an earlier clear: a later removal by other means is then no logout, for every instance. Never
 * rejects: an instance without the rights, or without a link, leaves this to the others.
 *
 * @param storedAt - the server's time of the reading that found the credential; `undefined` when only the present counts
 */
export function endClear(
  backend: AttemptBackend,
  key: string,
  storedAt: number | undefined,
): Promise<void> {
  return new AttemptVerbs(backend).settle({ key, id: '', storedAt }).catch(() => undefined);
}
