import type { Clock } from '../time/clock.js';
import { InvalidOptionError } from '../errors.js';

/** A TTL in milliseconds must stay an exact integer on its way through Redis and its scripts. */
const MAX_TTL_SECONDS = Math.floor(2 ** 52 / 1000);
const MAX_KEY_BYTES = 1024;
const MAX_REASON_LENGTH = 256;

const MAX_NAMESPACE_LENGTH = 64;

/** The namespace of the store's own keys and channels, where the caller names no other. */
export const DEFAULT_NAMESPACE = 'credstream';

/**
 * No colon, which ends the namespace in every name; no braces, which would move helper keys to another slot; nothing that means something in the
 * patterns of rights and subscriptions; no space, which ends a pattern in a rule; no `@`, which would reach Redis's own `__keyspace@0__`.
 */
const NAMESPACE = /^[\w.-]+$/;

/** The beginning of the names of all keys and channels of a namespace. */
export function ownPrefix(namespace: string): string {
  return `${namespace}:`;
}

export function checkNamespace(value: unknown, option = 'namespace'): string {
  if (typeof value !== 'string')
    throw new InvalidOptionError(option, `must be a string, not ${describeType(value)}`);
  if (value === '') throw new InvalidOptionError(option, 'must not be empty');
  if (value.length > MAX_NAMESPACE_LENGTH)
    throw new InvalidOptionError(
      option,
      `must have at most ${String(MAX_NAMESPACE_LENGTH)} characters`,
    );
  if (!NAMESPACE.test(value))
    throw new InvalidOptionError(
      option,
      'must consist of the letters a to z and A to Z, digits, dots, hyphens and underscores',
    );
  return value;
}

const CONTROL = /[\u0000-\u001f\u007f]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Characters that start a new line of a log, steer a terminal, hide or turn text around, or do not survive UTF-8. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** Whether people can be shown a text as it is. */
export function isPlainText(text: string): boolean {
  return !UNSAFE.test(text);
}

export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

/** @param reserved - the beginning of the backend's own keys, where it is known already */
export function checkKey(key: unknown, option = 'key', reserved?: string): string {
  if (typeof key !== 'string')
    throw new InvalidOptionError(option, `must be a string, not ${describeType(key)}`);
  if (key === '') throw new InvalidOptionError(option, 'must not be empty');
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new InvalidOptionError(option, `must have at most ${String(MAX_KEY_BYTES)} bytes`);
  }
  if (!isWellFormed(key)) throw new InvalidOptionError(option, 'must not hold a lone surrogate');
  if (CONTROL.test(key)) throw new InvalidOptionError(option, 'must not hold control characters');
  if (reserved !== undefined && key.startsWith(reserved)) {
    throw new InvalidOptionError(
      option,
      `must not begin with ${reserved}, which the store uses itself`,
    );
  }
  return key;
}

/**
 * Refuses an id that does not lead to a key of its own below `prefix`, which has been checked.
 *
 * @returns the key
 */
export function checkId(id: unknown, prefix: string, reserved: string): string {
  if (typeof id !== 'string')
    throw new InvalidOptionError('id', `must be a string, not ${describeType(id)}`);
  if (id === '') throw new InvalidOptionError('id', 'must not be empty');
  return checkKey(prefix + id, 'id', reserved);
}

export function checkCount(value: unknown, option: string, max: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= max)
    return value;
  const upTo = max === Infinity ? '' : ` to ${String(max)}`;
  throw new InvalidOptionError(
    option,
    `must be a whole number from 1${upTo}, not ${describeType(value)}`,
  );
}

/** Whether {@link checkKey} accepts the key. */
export function isKey(key: string, reserved: string): boolean {
  return (
    key !== '' &&
    (key.length <= MAX_KEY_BYTES / 3 || Buffer.byteLength(key) <= MAX_KEY_BYTES) &&
    isWellFormed(key) &&
    !CONTROL.test(key) &&
    !key.startsWith(reserved)
  );
}

export function checkTtlSeconds(ttl: unknown, option = 'ttlSeconds'): number {
  if (typeof ttl !== 'number' || !Number.isSafeInteger(ttl) || ttl < 1 || ttl > MAX_TTL_SECONDS) {
    throw new InvalidOptionError(
      option,
      `must be a whole number of seconds from 1 to ${String(MAX_TTL_SECONDS)}, not ${describeType(ttl)}`,
    );
  }
  return ttl;
}

/** Checks a duration; `Infinity` is allowed only where `max` is. */
export function checkMs(
  value: unknown,
  option: string,
  min = 1,
  max: number = 2 ** 31 - 1,
): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    const upTo = max === Infinity ? 'or more, or Infinity' : `to ${String(max)}`;
    throw new InvalidOptionError(
      option,
      `must be a number of milliseconds from ${String(min)} ${upTo}, not ${describeType(value)}`,
    );
  }
  return value;
}

/** Whether {@link checkReason} accepts it. */
export function isReason(reason: unknown): reason is string {
  return typeof reason === 'string' && reason.length <= MAX_REASON_LENGTH && isPlainText(reason);
}

export function checkReason(reason: unknown): string | undefined {
  if (reason === undefined || isReason(reason)) return reason;
  throw new InvalidOptionError(
    'reason',
    `must be a string of at most ${String(MAX_REASON_LENGTH)} characters, none of them a control character`,
  );
}

export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw new InvalidOptionError('signal', `must be an AbortSignal, not ${describeType(signal)}`);
}

export function checkFunction(value: unknown, option: string): void {
  if (value !== undefined && typeof value !== 'function') {
    throw new InvalidOptionError(option, `must be a function, not ${describeType(value)}`);
  }
}

export function checkBoolean(value: unknown, option: string): void {
  if (value !== undefined && typeof value !== 'boolean') {
    throw new InvalidOptionError(option, `must be true or false, not ${describeType(value)}`);
  }
}

export function checkClock(value: unknown): Clock {
  const clock = value as Partial<Clock> | null;
  for (const part of ['now', 'monotonic', 'setTimer', 'nextTurn'] as const) {
    if (typeof clock?.[part] !== 'function') {
      throw new InvalidOptionError('clock', `must be a Clock, not ${describeType(value)}`);
    }
  }
  return clock as Clock;
}

/** Names the type of a value without showing the value. */
export function describeType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number') return describeNumber(value);
  return typeof value === 'object' ? 'an object' : typeof value;
}

/** Numbers of options are no secrets, but which number it is matters less than what is wrong with it. */
function describeNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value < 0) return 'a negative number';
  return value === 0 ? '0' : Number.isInteger(value) ? 'number' : 'a fraction';
}
