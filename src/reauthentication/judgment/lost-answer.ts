import { causesOf, readAt } from './error-shapes.js';
import { httpStatus } from './http-status.js';

/** Codes of connections that were never made: the request did not reach the provider. */
const NEVER_SENT: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Codes of connections that ended, or calls that were given up, after the request may have gone out. */
const LOST: ReadonlySet<unknown> = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ESOCKETTIMEDOUT',
  // axios, at its own deadline
  'ECONNABORTED',
  'ERR_STREAM_PREMATURE_CLOSE',
  'UND_ERR_SOCKET',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_ABORTED',
  'AbortError',
  'TimeoutError',
]);

/** Answers of a proxy that lost the provider's own. */
const LOST_STATUS: readonly unknown[] = [502, 504];

/** Whether the provider may have acted on a request whose answer was lost: a refresh token that it carried may be spent. */
export function isAnswerLost(error: unknown): boolean {
  for (const at of causesOf(error)) {
    const code = readAt(at, ['code']);
    if (NEVER_SENT.has(code) || readAt(at, ['syscall']) === 'connect') return false;
    if (LOST.has(code) || LOST.has(readAt(at, ['name']))) return true;
    if (LOST_STATUS.includes(httpStatus(at))) return true;
  }
  return false;
}
