import { filter, firstValueFrom, map, merge, take, timer } from 'rxjs';

import type { NotificationMode, ObservableCredentialStore } from 'credstream';

import type { AccessToken } from '../access-token.js';
import { monotonicMs } from '../monotonic-clock.js';
import { describeChange, type InstanceChange } from './instance-change.js';

/** A little more than a store waits for the answer to its probe. */
const MODE_DEADLINE_MS = 2_500;

/** All that an instance does with its store: tells every change from now on. Resolves when it is live. */
export async function watch(
  store: ObservableCredentialStore<AccessToken>,
  tell: (change: InstanceChange) => void,
): Promise<NotificationMode> {
  store.on('change', (change) => {
    const toldAtMs = monotonicMs();
    tell(describeChange(change, toldAtMs));
  });
  await store.ready();
  return settledMode(store);
}

/** A store is live before it has tried whether notifications arrive; that they do not takes a while to find out. */
async function settledMode(
  store: ObservableCredentialStore<AccessToken>,
): Promise<NotificationMode> {
  const arriving$ = store.status$.pipe(
    filter(({ notifications }) => notifications === 'keyspace'),
    take(1),
  );
  const modes$ = merge(arriving$, timer(MODE_DEADLINE_MS)).pipe(
    map(() => store.status.notifications),
  );
  return firstValueFrom(modes$);
}

/** See {@link DemoInstance.useToken}. Reads memory, not Redis. */
export async function useToken(
  store: ObservableCredentialStore<AccessToken>,
  url: string,
): Promise<number | undefined> {
  const token = store.current?.credentials.accessToken;
  if (token === undefined) return undefined;
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  await response.body?.cancel();
  return response.status;
}
