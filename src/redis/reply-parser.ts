import { MalformedReplyError } from './reply-errors.js';

/*
 * The strict parser of replies. Each function returns its argument, narrowed, or throws a `MalformedReplyError`, which ends the connection:
 * whoever speaks so is not Redis, or its replies have lost their questions. Every comparison is written so that NaN fails it.
 */

/** No string of Redis is longer. */
export const MAX_STRING_BYTES: number = 2 ** 31;

/** Instants of a server's clock lie between the years 2000 and 2200. */
const EARLIEST_MS = Date.UTC(2000, 0);
const LATEST_MS = Date.UTC(2200, 0);

const CONTROL = /\p{Cc}/u;

/** @throws MalformedReplyError always */
export function malformed(): never {
  throw new MalformedReplyError();
}

/** A list with exactly `length` elements, or with any number of them. @throws MalformedReplyError */
export function replyList(reply: unknown, length?: number): readonly unknown[] {
  if (!Array.isArray(reply) || (length !== undefined && reply.length !== length)) malformed();
  return reply as readonly unknown[];
}

/** A whole number from `min` to `max`. @throws MalformedReplyError */
export function replyWhole(
  reply: unknown,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof reply === 'number' && Number.isSafeInteger(reply) && reply >= min && reply <= max)
    return reply;
  return malformed();
}

/** An instant of the server's clock, in milliseconds. @throws MalformedReplyError */
export function replyInstant(ms: number): number {
  return ms >= EARLIEST_MS && ms < LATEST_MS ? ms : malformed();
}

/**
 * The end of a key, as PEXPIRETIME gives it: -2 for an absent key, -1 for a key without an end. Any client may set an end that is very far
 * away, or one that has just passed, so that such an end is no fault of the reply: an end after the year 2200 counts as that year.
 *
 * @throws MalformedReplyError
 */
export function replyEnd(reply: unknown): number {
  if (typeof reply !== 'number' || !Number.isInteger(reply)) malformed();
  if (reply === -1 || reply === -2) return reply;
  return reply >= EARLIEST_MS ? Math.min(reply, LATEST_MS) : malformed();
}

/** Bytes of at most `max`. @throws MalformedReplyError */
export function replyBytes(reply: unknown, max: number): Buffer {
  return Buffer.isBuffer(reply) && reply.length <= max ? reply : malformed();
}

/** Text of at most `max` characters, none of them a control character. @throws MalformedReplyError */
export function replyText(reply: unknown, max: number): string {
  if (typeof reply !== 'string' && !Buffer.isBuffer(reply)) malformed();
  if (reply.length > max * 4) malformed();
  const text = reply.toString();
  return text.length <= max && !CONTROL.test(text) ? text : malformed();
}

/** Text of at most `max` characters, in lines. @throws MalformedReplyError */
export function replyLines(reply: unknown, max: number): string {
  if (typeof reply !== 'string' || reply.length > max) return malformed();
  return reply;
}

/** Checks that a reply names what the question named. @throws MalformedReplyError */
export function replyNames(reply: unknown, name: string): void {
  if (typeof reply === 'string' ? reply !== name : !isBytesOf(reply, name)) malformed();
}

function isBytesOf(reply: unknown, text: string): boolean {
  // A text has at least as many bytes in UTF-8 as it has characters.
  return Buffer.isBuffer(reply) && reply.length >= text.length && reply.toString() === text;
}

/** The reply of a command that gives nothing but `OK`, or `null` where its condition fails. @throws MalformedReplyError */
export function replyOk(reply: unknown): true | null {
  if (reply === null) return null;
  replyNames(reply, 'OK');
  return true;
}

/** The reply of a command that counts. @throws MalformedReplyError */
export function replyCount(reply: unknown): number {
  return replyWhole(reply, 0);
}
