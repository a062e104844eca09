import type { AttemptHint, Hint } from '../../backend/backend.js';
import type { ChangeOrigin } from '../../credential/origin.js';
import { isInstanceName } from '../../util/instance-name.js';
import { isReason } from '../../util/option-checks.js';

/**
 * The message that a write publishes beside the keyspace notification: kind, instance, time, reason. Never the value, nor anything derived
 * from it.
 */
export interface Announcement {
  /** `attempt`: a re-authentication has ended without a write. */
  readonly kind: 'saved' | 'cleared' | 'attempt';
  readonly instance: string;
  readonly name: string;
  readonly at: number;
  readonly reason: string | undefined;
}

/** Announcements of this package have a few hundred characters; a longer message comes from another sender. */
const MAX_LENGTH = 4_096;

/** Rises with the meaning of a message. */
const VERSION = 1;

/** The form of the random id of an instance. */
const INSTANCE = /^[\w-]{1,64}$/;

export function encodeAnnouncement({ kind, instance, name, at, reason }: Announcement): string {
  return JSON.stringify({ v: VERSION, kind, instance, name, at: Math.floor(at), reason });
}

/** Parses a message that any client may have sent: always a hint, with the labels that have the right form. */
export function hintFrom(message: string, self: string): Hint | AttemptHint {
  const { v = 1, kind, instance, name, reason } = parse(message);
  // A newer version may mean something else by the same words.
  if (!Number.isInteger(v) || Number(v) < 1 || Number(v) > VERSION)
    return { type: 'written', origin: 'unknown', reason: undefined };
  if (kind === 'attempt') return { type: 'attempt' };
  const origin = originFrom(instance, name, self);
  const why = isReason(reason) ? reason : undefined;
  return kind === 'cleared'
    ? { type: 'removed', as: 'cleared', origin, reason: why }
    : { type: 'written', origin, reason: why };
}

function originFrom(instance: unknown, name: unknown, self: string): ChangeOrigin {
  if (typeof instance !== 'string' || !INSTANCE.test(instance)) return 'unknown';
  return instance === self ? 'self' : { instance, name: isInstanceName(name) ? name : '' };
}

function parse(message: string): Record<string, unknown> {
  if (message.length > MAX_LENGTH) return {};
  try {
    const value: unknown = JSON.parse(message);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

const REMOVALS: ReadonlyMap<string, 'expired' | 'evicted' | 'cleared'> = new Map([
  ['expired', 'expired'],
  ['evicted', 'evicted'],
  ['del', 'cleared'],
  ['rename_from', 'cleared'],
  ['move_from', 'cleared'],
]);

/** Events that say nothing of the value, or come beside another event that does; a read of an absent key causes `keymiss` itself. */
const NO_HINTS: ReadonlySet<string> = new Set(['keymiss', 'new', 'overwritten', 'type_changed']);

/** Translates the event name of a keyspace notification; an unknown name means that something changed. `undefined`: no hint. */
export function hintFromEvent(event: string): Hint | undefined {
  if (NO_HINTS.has(event)) return undefined;
  const as = REMOVALS.get(event);
  if (as === undefined) return { type: 'written', origin: 'out-of-band', reason: undefined };
  return {
    type: 'removed',
    as,
    origin: as === 'cleared' ? 'out-of-band' : 'unknown',
    reason: undefined,
  };
}
