import {
  ATTEMPT_OUTCOMES,
  OAUTH_ERROR_CODES,
  type AttemptOutcome,
  type AttemptRecord,
  type AttemptView,
  type OAuthErrorCode,
} from './attempts.js';
import { isInstanceName } from '../util/instance-name.js';

/*
 * The one parser of the record of an attempt. Other clients may write any bytes to its key: text that breaks a rule below counts as no
 * record, and never reaches a state or an error.
 */

/** A backend does not fetch a longer record. */
export const MAX_RECORD_BYTES = 4_096;

/** The largest number of attempts and of failures in a record. */
export const MAX_COUNT = 1_000_000_000;

/** Rises with the meaning of a record. A version reads the records of all before it, or it would start beside their attempts. */
const VERSION = 1;

const ID = /^[\w:.-]{1,128}$/;
/** States show the instance to people, therefore only the random id of a backend is accepted. */
const INSTANCE = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;
const OUTCOMES: ReadonlySet<unknown> = new Set(ATTEMPT_OUTCOMES);
const CODES: ReadonlySet<unknown> = new Set(OAUTH_ERROR_CODES);

export function encodeRecord(record: AttemptRecord): string {
  return JSON.stringify({ v: VERSION, ...record });
}

/** Parses bytes that any client may have written; without a record when they are none, or one of a newer version. */
export function parseRecord(bytes: Buffer): Pick<AttemptView, 'record' | 'newer'> {
  if (bytes.length === 0 || bytes.length > MAX_RECORD_BYTES) return { record: undefined };
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return { record: undefined };
  }
  if (typeof value !== 'object' || value === null) return { record: undefined };
  const fields = value as Readonly<Record<string, unknown>>;
  const { v = 1 } = fields;
  if (isWhole(v, VERSION + 1, MAX_COUNT)) return { record: undefined, newer: true };
  return { record: isWhole(v, 1, VERSION) ? recordOf(fields) : undefined };
}

function recordOf(value: Readonly<Record<string, unknown>>): AttemptRecord | undefined {
  const { id, instance, number, startedAt, leaseEndsAt, outcome, failures, notBefore } = value;
  const { name, changedAt, inDoubt, startedFromNothing, committed, endsAt, oauthError } = value;
  const fits =
    isText(id, ID) &&
    isText(instance, INSTANCE) &&
    isWhole(number, 1, MAX_COUNT) &&
    isWhole(startedAt) &&
    isWhole(leaseEndsAt) &&
    isOutcome(outcome) &&
    isWhole(failures, 0, MAX_COUNT) &&
    isWhole(notBefore) &&
    isOptional(name, isInstanceName) &&
    isOptional(changedAt, isWholeNumber) &&
    isOptional(inDoubt, isBoolean) &&
    isOptional(startedFromNothing, isBoolean) &&
    isOptional(committed, (one) => isText(one, ID)) &&
    isOptional(endsAt, isNumber) &&
    isOptional(oauthError, isCode);
  if (!fits) return undefined;
  return {
    ...{ id, instance, number, startedAt, leaseEndsAt, outcome, failures, notBefore },
    ...(name !== undefined && { name }),
    ...(changedAt !== undefined && { changedAt }),
    ...{ inDoubt, startedFromNothing, committed, endsAt, oauthError },
  };
}

function isText(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}

function isWhole(value: unknown, min = 0, max: number = Number.MAX_SAFE_INTEGER): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max;
}

function isWholeNumber(value: unknown): value is number {
  return isWhole(value);
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

function isOutcome(value: unknown): value is AttemptOutcome {
  return OUTCOMES.has(value);
}

function isCode(value: unknown): value is OAuthErrorCode {
  return CODES.has(value);
}

function isOptional<V>(value: unknown, is: (one: unknown) => one is V): value is V | undefined {
  return value === undefined || is(value);
}
