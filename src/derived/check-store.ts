import { InvalidOptionError } from '../errors.js';

/** Refuses what is not a store that can be watched. */
export function checkStore(store: unknown): void {
  const streams = store as Record<'changes$' | 'state$' | 'status$', unknown> | null | undefined;
  for (const name of ['changes$', 'state$', 'status$'] as const) {
    if (typeof (streams?.[name] as { subscribe?: unknown } | undefined)?.subscribe !== 'function') {
      throw new InvalidOptionError('store', 'must be an ObservableCredentialStore');
    }
  }
}
