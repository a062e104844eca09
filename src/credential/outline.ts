import { UnreadableError } from '../errors.js';
import { StoredSnapshot, type CredentialSnapshot } from './snapshot.js';
import { absent, hasEnded, unknown, type DecodedReading, type Known } from './state.js';

/** `neverValid`: the credential was past its end at its first observation, so that no `expired` change was emitted. */
type OutlineType = 'present' | 'expired' | 'neverValid' | 'unreadable';

const unreadable = new UnreadableError('decode', 'the stored bytes could not be read');

/**
 * The part of a known state that stays when nobody needs the value: the digest of the stored bytes and their end. One small object, because
 * there may be very many.
 */
export class Outline {
  readonly digest: string;
  readonly #type: OutlineType;
  readonly #end: number | undefined;
  readonly #ttlEnd: number | undefined;
  readonly #toleranceMs: number;

  constructor(digest: string, type: OutlineType, end: number | undefined, known: Known<unknown>) {
    this.digest = digest;
    this.#type = type;
    this.#end = end;
    this.#ttlEnd = known.ttlEnd;
    this.#toleranceMs = known.toleranceMs;
  }

  /** When to read again because it ends, as long as it is valid. */
  get end(): number | undefined {
    return this.#end;
  }

  /**
   * Whether a reading shows valid credentials unchanged, so that nothing follows from it. The bytes of any other reading must be decoded.
   *
   * @param digest - the digest of the bytes that were read
   */
  isUnchanged(digest: string, ttlEnd: number | undefined, now: number): boolean {
    return (
      this.#type === 'present' &&
      ttlEnd === this.#ttlEnd &&
      digest === this.digest &&
      !hasEnded(this.#end, now)
    );
  }

  /**
   * The full known state. Its value is that of the reading, if the reading has the same bytes; otherwise the value is lost, and the snapshot
   * only takes part in comparisons.
   */
  recall<T>(id: string, reading?: DecodedReading<T>): Known<T> {
    const { digest } = this;
    const same = reading?.type !== 'absent' && reading?.digest === digest ? reading : undefined;
    const common = { digest, ttlEnd: this.#ttlEnd, toleranceMs: this.#toleranceMs };
    if (this.#type === 'unreadable') {
      const error = same?.type === 'unreadable' ? same.error : unreadable;
      return { ...common, state: { type: 'unreadable', error } };
    }
    const credentials = same?.type === 'readable' ? same.credentials : (undefined as T);
    const snapshot: CredentialSnapshot<T> = new StoredSnapshot(
      id,
      credentials,
      this.#end,
      digest,
      undefined,
    );
    if (this.#type === 'present') return { ...common, state: { type: 'present', snapshot } };
    return {
      ...common,
      ...(this.#type === 'neverValid' && { neverValid: true }),
      state: { type: 'expired', previous: snapshot, expiresAt: this.#end },
    };
  }
}

/** The outline of a known state; an expired credential whose bytes are gone leaves nothing. */
export function outlineOf(known: Known<unknown>): Outline | Known<never> {
  const { state, digest } = known;
  if (state.type === 'unknown') return unknown;
  if (digest === undefined || state.type === 'absent') return absent;
  switch (state.type) {
    case 'present':
      return new Outline(digest, 'present', state.snapshot.expiresAt, known);
    case 'expired':
      return new Outline(
        digest,
        known.neverValid ? 'neverValid' : 'expired',
        state.expiresAt,
        known,
      );
    case 'unreadable':
      return new Outline(digest, 'unreadable', undefined, known);
  }
}
