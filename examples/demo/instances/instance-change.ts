import type { ChangeSource, CredentialChange, CredentialChangeType } from 'credstream';

import type { AccessToken } from '../access-token.js';

/** A change as an instance tells it to the demo: everything but the credential. */
export interface InstanceChange {
  readonly type: CredentialChangeType;
  /** When the instance was told, on the clock that all processes share. */
  readonly toldAtMs: number;
  readonly source: ChangeSource;
  readonly origin: 'self' | 'other-instance' | 'out-of-band' | 'unknown';
  readonly reason?: string;
  /** How long the credential lasts from the moment it was observed; absent without an end. */
  readonly lastsMs?: number;
  readonly tokenBytes?: number;
}

export function describeChange(
  change: CredentialChange<AccessToken>,
  toldAtMs: number,
): InstanceChange {
  const { type, source, origin } = change;
  const reason = 'reason' in change ? change.reason : undefined;
  const end = 'snapshot' in change ? change.expiresAt : undefined;
  return {
    type,
    toldAtMs,
    source,
    origin: typeof origin === 'object' ? 'other-instance' : origin,
    ...(reason !== undefined && { reason }),
    ...(end !== undefined && { lastsMs: end - change.at }),
    ...('snapshot' in change && { tokenBytes: Buffer.byteLength(change.credentials.accessToken) }),
  };
}
