import { causesOf, headerOf, readAt } from './error-shapes.js';

/**
 * The pause that the provider asks for, in milliseconds: `retryAfterMs` of the error, the headers `Retry-After-Ms` and `Retry-After` (seconds, or
 * a date), or `retryAfter` in seconds, where Slack's client puts it.
 *
 * @param now - epoch milliseconds, for a date
 */
export function retryAfterMs(error: unknown, now: number): number | undefined {
  for (const at of causesOf(error)) {
    const asked =
      finite(readAt(at, ['retryAfterMs'])) ??
      fromText(headerOf(at, 'retry-after-ms')) ??
      fromHeader(headerOf(at, 'retry-after'), now) ??
      inSeconds(finite(readAt(at, ['retryAfter'])));
    if (asked !== undefined) return Math.max(0, asked);
  }
  return undefined;
}

function finite(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function fromText(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+(\.\d+)?$/.test(text) ? finite(Number(text)) : undefined;
}

function inSeconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}

function fromHeader(text: string | undefined, now: number): number | undefined {
  const seconds = fromText(text);
  if (seconds !== undefined || text === undefined) return inSeconds(seconds);
  // `Date.parse` takes a number for a year.
  const date = /^[A-Za-z]/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : date - now;
}
