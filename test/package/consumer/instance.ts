// An instance of somebody who installed the library, steered by versions.test.ts, which runs two packed versions of the library side by side.
import { readFileSync } from 'node:fs';

import { type AttemptRequest, Reauthenticator, RedisCredentialStore } from 'credstream';

export interface Token {
  readonly token: string;
}

/** What the test tells the program to do. */
export type Order =
  | { readonly does: 'save'; readonly token: string; readonly reason: string }
  | { readonly does: 'clear'; readonly reason: string }
  /** Asks for credentials. */
  | { readonly does: 'get' }
  /** Reports the credential as refused by the service. */
  | { readonly does: 'reject' }
  /** Answers the call of `refresh` or `login`. */
  | { readonly does: 'answer'; readonly token: string };

/** What the program tells the test. */
export type Said =
  | { readonly says: 'ready'; readonly version: string }
  | { readonly says: 'change'; readonly change: object; readonly token: string | undefined }
  | { readonly says: 'state'; readonly state: object; readonly error: string | undefined }
  | { readonly says: 'call'; readonly attempt: number }
  | { readonly says: 'got'; readonly token: string };

const [url = '', key = '', name = ''] = process.argv.slice(2);
const say = (said: Said): void => void process.send?.(said);

const store = new RedisCredentialStore<Token>(url, {
  ...{ key, name },
  // Nothing but announcements tells of a change in time.
  ...{ heartbeatMs: 600_000, pollMs: 600_000, probeMs: 600_000 },
});
let answer: ((token: Token) => void) | undefined;
const obtain = ({ attempt }: AttemptRequest): Promise<Token> =>
  new Promise((resolve) => {
    answer = resolve;
    say({ says: 'call', attempt });
  });
const auth = new Reauthenticator<Token>(store, {
  minIntervalMs: 10,
  backOffMs: 20,
  maxBackOffMs: 50,
  refresh: obtain,
  login: obtain,
});

store.changes$.subscribe(({ type, origin, ...change }) => {
  const reason = 'reason' in change ? change.reason : undefined;
  const token = 'snapshot' in change ? change.snapshot.credentials.token : undefined;
  say({ says: 'change', change: { type, origin, reason }, token });
});
auth.state$.subscribe((state) => {
  const { error, ...shown } = { error: undefined, ...state };
  say({ says: 'state', state: shown, error: error?.message });
});

async function obey(order: Order): Promise<void> {
  if (order.does === 'save') await store.save({ token: order.token }, { reason: order.reason });
  else if (order.does === 'clear') await store.clear({ reason: order.reason });
  else if (order.does === 'get') say({ says: 'got', token: (await auth.credentials()).token });
  else if (order.does === 'answer') answer?.({ token: order.token });
  else auth.reject(store.current!);
}

await store.ready();
process.on('message', (order) => void obey(order as Order));
const manifest = new URL('../package.json', import.meta.resolve('credstream'));
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
say({ says: 'ready', version });
