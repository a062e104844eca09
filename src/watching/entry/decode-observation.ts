import type { Observation } from '../../backend/backend.js';
import { snapshotOf, type Known, type DecodedReading } from '../../credential/state.js';
import { digest, type Decoded, type Encoding } from '../../credential/encoding.js';
import { Outline } from '../../credential/outline.js';
import { thenSync } from '../../time/timers.js';

/**
 * Decodes an observation. Known bytes are not decoded again, unless their decoding failed, or their value is needed and not held. The result
 * is a promise only when the codec returned one. `unchanged`: nothing follows from the observation.
 *
 * @param needsValue - whether a handle watches
 */
export function decodeObservation<T>(
  { content, expiresAt: ttlEnd, serverNow }: Observation,
  known: Known<T> | Outline,
  encoding: Encoding<T>,
  needsValue: boolean,
): DecodedReading<T> | 'unchanged' | Promise<DecodedReading<T>> {
  if (content.type === 'absent') return { type: 'absent' };
  const name = content.type === 'bytes' ? digest(content.bytes) : content.reason;
  const again = name === known.digest;
  if (!needsValue && known instanceof Outline && known.isUnchanged(name, ttlEnd, serverNow))
    return 'unchanged';
  const held = again && !(known instanceof Outline) ? snapshotOf(known.state) : undefined;
  const decoded =
    held === undefined ? encoding.decodeHeld(content, again) : encoding.judge(held.credentials);
  return thenSync(decoded, (one) => readingOf(one, name, ttlEnd));
}

function readingOf<T>(
  decoded: Decoded<T>,
  name: string,
  ttlEnd: number | undefined,
): DecodedReading<T> {
  if (decoded.type === 'unreadable') return { ...decoded, digest: name, ttlEnd };
  return {
    type: 'readable',
    digest: name,
    credentials: decoded.credentials,
    ttlEnd,
    end: minDefined(decoded.logicalEnd, ttlEnd),
  };
}

/** The earlier of two ends; `undefined` stands for no end. */
export function minDefined(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
