import type {
  ChangeSource,
  CredentialChangeType,
  NotificationMode,
  ReauthenticationCause,
} from 'credstream';

import type { Asked } from '../login/login-news.js';
import type { InstanceChange } from '../instances/instance-change.js';
import type { Rehearsal } from '../scenes/rehearsal.js';

/** The latencies of one step, by instance. */
export interface SummaryColumn {
  readonly title: string;
  /** `write`: from just before the write to the moment the instance was told · `deadline`: from the server's deadline on. */
  readonly since: 'write' | 'deadline';
  readonly ms: Readonly<Record<string, number>>;
}

/** Everything that the demo has to say; `--json` prints it as it is. */
export type DemoEvent =
  | {
      readonly event: 'redis';
      readonly product: string;
      readonly version: string;
      readonly port: number;
      readonly how: string;
    }
  | { readonly event: 'embedded'; readonly why: string }
  | { readonly event: 'oauth'; readonly issuer: string; readonly tokenSeconds: number }
  | {
      readonly event: 'instance';
      readonly instance: string;
      readonly where: string;
      readonly notifications: NotificationMode;
    }
  | ({ readonly event: 'rehearsal' } & Rehearsal)
  | {
      readonly event: 'scene';
      readonly scene: string;
      readonly title: string;
      readonly seconds: number;
    }
  | { readonly event: 'step'; readonly step: string; readonly does: string }
  | {
      readonly event: 'told';
      readonly step: string;
      readonly instance: string;
      readonly type: CredentialChangeType;
      readonly since: SummaryColumn['since'];
      readonly latencyMs: number;
      readonly source: ChangeSource;
      readonly origin: InstanceChange['origin'];
      readonly reason?: string;
      readonly lastsMs?: number;
      readonly tokenBytes?: number;
    }
  | {
      readonly event: 'used';
      readonly step: string;
      /** HTTP status by instance; null where it holds no token. */
      readonly status: Readonly<Record<string, number | null>>;
    }
  /** An instance holds the lease and is about to ask the provider. */
  | {
      readonly event: 'calling';
      readonly instance: string;
      readonly attempt: number;
      readonly cause: ReauthenticationCause;
      readonly inDoubt: boolean;
    }
  /** How many refresh tokens the provider has exchanged since the instances share a login. */
  | { readonly event: 'refreshed'; readonly refreshes: number }
  | {
      readonly event: 'received';
      readonly instance: string;
      /** From the provider's answer to the instance that asked, to the moment this instance had the tokens. */
      readonly latencyMs: number;
      readonly refreshed: 'by itself' | 'by another';
      readonly lastsMs: number;
    }
  | { readonly event: 'killed'; readonly instance: string; readonly refreshes: number }
  | {
      readonly event: 'took-over';
      readonly instance: string;
      /** From just before the kill to the moment this instance was about to ask the provider. */
      readonly afterMs: number;
      readonly leaseMs: number;
      readonly spreadMs: number;
    }
  | { readonly event: 'left-out'; readonly why: string }
  | {
      readonly event: 'logins';
      readonly refreshes: number;
      readonly revoked: number;
      readonly asked: Readonly<Record<string, Asked>>;
    }
  | { readonly event: 'summary'; readonly columns: readonly SummaryColumn[] }
  | {
      readonly event: 'result';
      readonly ok: boolean;
      readonly seconds: number;
      readonly problem?: string;
    };

/** Where events go. */
export type Report = (event: DemoEvent) => void;
