import type { CredentialChange, CredentialState, StoreStatus } from 'credstream';

import type { ExpiresAt } from '../../../src/credential/encoding.js';
import { OwnEntry } from '../../../src/watching/own-entry.js';
import { resolveStoreOptions } from '../../../src/stores/options.js';
import type { SharedStoreOptions } from '../../../src/watching/entry-options.js';
import { ScriptedBackend } from './scripted-backend.js';

export interface Token {
  readonly token: string;
  readonly expiresAt?: number;
}

export interface LiveWorld {
  readonly backend: ScriptedBackend;
  readonly clock: ScriptedBackend['clock'];
  readonly live: OwnEntry<Token>;
  readonly changes: CredentialChange<Token>[];
  readonly states: CredentialState<Token>[];
  readonly statuses: StoreStatus[];
  /** What the changes say, in short. */
  emitted(): string[];
  token(): string | undefined;
  /** Takes back the watch that {@link watched} began. */
  release(): void;
}

type Options = Partial<SharedStoreOptions<Token>> & {
  readonly expiresAt?: ExpiresAt<Token>;
  readonly serverAheadMs?: number;
};

/** The bytes of a token: its name, and its logical end if it has one. */
export function bytesOf({ token, expiresAt }: Token): string {
  return expiresAt === undefined ? token : `${token}@${String(expiresAt)}`;
}

function deserialize(bytes: Buffer): Token {
  const [token = '', expiresAt] = bytes.toString('utf8').split('@');
  if (token === 'garbage') throw new SyntaxError('garbage');
  return expiresAt === undefined ? { token } : { token, expiresAt: Number(expiresAt) };
}

/** A watched credential on a scripted backend, before anything was observed. */
export function liveWorld({
  serverAheadMs,
  expiresAt = (token) => token.expiresAt,
  ...options
}: Options = {}): LiveWorld {
  const backend = new ScriptedBackend(serverAheadMs);
  const { shared } = resolveStoreOptions<Token>({ key: 'key', serialize: bytesOf, deserialize });
  const all = { ...shared, maxBytes: 1_000, onCallbackError: () => {}, ...options };
  const live = new OwnEntry<Token>('id', 'key', all, backend, expiresAt);
  const changes: CredentialChange<Token>[] = [];
  const states: CredentialState<Token>[] = [];
  const statuses: StoreStatus[] = [];
  live.events$.subscribe((event) => {
    if (event.type === 'status') statuses.push(event.status);
    if (event.type !== 'state') return;
    if (event.state !== undefined) states.push(event.state);
    if (event.change !== undefined) changes.push(event.change);
  });
  return {
    backend,
    clock: backend.clock,
    live,
    changes,
    states,
    statuses,
    emitted: () =>
      changes.map((one) => ('snapshot' in one ? `${one.type} ${one.credentials.token}` : one.type)),
    token: () => live.current?.credentials.token,
    release: live.retain(),
  };
}

/** As {@link liveWorld}, live and up to date with what is stored. */
export async function watched(
  stored: Token | undefined,
  { inMs, ...options }: Options & { readonly inMs?: number } = {},
): Promise<LiveWorld> {
  const world = liveWorld(options);
  if (stored !== undefined) world.backend.put(bytesOf(stored), inMs);
  await world.clock.settle();
  return world;
}
