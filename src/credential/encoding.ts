import { hash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { AsyncContext } from '../time/async-context.js';
import type { Clock } from '../time/clock.js';
import type { CredentialCodec } from './codec.js';
import type { Content } from './content.js';
import { freezePlain } from './snapshot.js';
import { ClosedError, EncodeError, UnreadableError } from '../errors.js';
import { isWellFormed } from '../util/option-checks.js';
import { isThenable, abortable, thenSync, withDeadline } from '../time/timers.js';

/** Instants before March 1973 are seconds that were mistaken for milliseconds. */
const EARLIEST_MS = 1e11;
const LATEST_MS = 8.64e15;

/** The number of values that are remembered, so that each causes one warning. */
const MOST_REPORTED = 1_000;

/** The caller's function that gives the end of credentials. */
export type ExpiresAt<T> = (credentials: T) => Date | number | null | undefined;

export interface EncodingOptions<T> extends CredentialCodec<T> {
  /** The context in which the functions of the caller run. */
  readonly context: AsyncContext;
  readonly maxBytes: number;
  readonly decodeTimeoutMs: number;
  readonly onCallbackError: (error: unknown, where: string) => void;
}

/** The owner of an {@link Encoding}, which shares its parts: there may be very many encodings. */
export interface EncodingScope<T> {
  readonly options: EncodingOptions<T>;
  readonly clock: Clock;
  /** The id, or the pattern of ids, that messages name. */
  readonly subject?: string;
}

/** The parts of an {@link Encoding} that most encodings never need. */
interface OnDemand {
  /** The values that `load` has warned of; created by the first. */
  reported?: Set<string>;
  /** Created on the first wait. */
  closing?: AbortController;
}

export interface Encoded {
  readonly bytes: Buffer;
  readonly logicalEnd: number | undefined;
}

export type Decoded<T> =
  | { readonly type: 'readable'; readonly credentials: T; readonly logicalEnd: number | undefined }
  | {
      readonly type: 'unreadable';
      readonly error: UnreadableError;
      /** `onCallbackError` has received the error behind it. */
      readonly isReported?: true;
    };

/**
 * Converts between credentials and bytes, and confines the caller's functions: deadlines, a size limit, and none of their errors passed on.
 * There are no private methods, because they would cost each credential a field.
 */
export class Encoding<T> {
  readonly #scope: EncodingScope<T>;
  readonly #expiresAt: ExpiresAt<T> | undefined;
  #onDemand: OnDemand | undefined;

  constructor(scope: EncodingScope<T>, expiresAt: ExpiresAt<T> | undefined) {
    this.#scope = scope;
    this.#expiresAt = expiresAt;
  }

  /** Stops the waits for the caller's functions; each waiting call rejects with a ClosedError. */
  close(): void {
    this.closer().abort(new ClosedError());
  }

  /**
   * Synchronous where `serialize` is.
   *
   * @throws EncodeError; rejects with it or with a ClosedError
   */
  encode(credentials: T): Encoded | Promise<Encoded> {
    return thenSync(this.serialize(credentials), (one) => this.encoded(credentials, one));
  }

  /**
   * Synchronous where `deserialize` is.
   *
   * @param again - these very bytes failed before, so that the caller's own error was reported already
   */
  decode(
    content: Exclude<Content, { type: 'absent' }>,
    again = false,
  ): Decoded<T> | Promise<Decoded<T>> {
    if (content.type === 'foreign')
      return unreadable(content.reason, foreignMessages[content.reason]);
    const failed = (error: unknown): Decoded<T> => this.undecodable(error, again);
    let result: T | Promise<T>;
    try {
      const { context, deserialize } = this.#scope.options;
      const deserialized = context.run(() => deserialize(content.bytes));
      result = isThenable(deserialized)
        ? this.inTime(
            deserialized,
            (ms) =>
              new UnreadableError(
                'timeout',
                `${this.callOf('deserialize')} did not settle within ${ms} ms`,
              ),
          )
        : deserialized;
    } catch (error) {
      return failed(error);
    }
    return result instanceof Promise
      ? result.then((one) => this.judge(one), failed)
      : this.judge(result);
  }

  /** As {@link decode}, for credentials that are kept: frozen, because everybody in the process shares them. */
  decodeHeld(
    content: Exclude<Content, { type: 'absent' }>,
    again = false,
  ): Decoded<T> | Promise<Decoded<T>> {
    return thenSync(this.decode(content, again), (one) => this.frozen(one, again));
  }

  /** Whether `load` has warned of this value of this credential. */
  wasReported(id: string, digest: string): boolean {
    return this.#onDemand?.reported?.has(`${digest} ${id}`) === true;
  }

  /** Warns once of a value that `load` shows as `undefined`. */
  report(
    id: string,
    digest: string,
    { error, isReported }: Extract<Decoded<T>, { type: 'unreadable' }>,
  ): void {
    if (this.wasReported(id, digest)) return;
    const reported = ((this.#onDemand ??= {}).reported ??= new Set());
    reported.add(`${digest} ${id}`);
    const [oldest] = reported;
    if (reported.size > MOST_REPORTED && oldest !== undefined) reported.delete(oldest);
    if (isReported !== true) this.#scope.options.onCallbackError(error, 'load');
  }

  /** The logical end of credentials that were decoded before. */
  judge(credentials: T): Decoded<T> {
    const end = this.logicalEnd(credentials);
    if (typeof end === 'string') return unreadable('expires-at', end);
    return { type: 'readable', credentials, logicalEnd: end?.at };
  }

  protected frozen(decoded: Decoded<T>, again: boolean): Decoded<T> {
    try {
      if (decoded.type === 'readable') freezePlain(decoded.credentials);
      return decoded;
    } catch (error) {
      // The getters of a value from a custom codec may throw.
      if (!again) this.#scope.options.onCallbackError(error, 'deserialize');
      return unreadable(
        'decode',
        `the value that ${this.callOf('deserialize')} returned could not be frozen`,
      );
    }
  }

  protected encoded(credentials: T, serialized: unknown): Encoded {
    const bytes = bytesOf(serialized, this.callOf('serialize'));
    const { maxBytes } = this.#scope.options;
    if (bytes.length > maxBytes) {
      throw new EncodeError(
        'too-large',
        `${this.callOf('serialize')} returned more than maxBytes (${String(maxBytes)}) bytes`,
      );
    }
    const end = this.logicalEnd(credentials);
    if (typeof end === 'string') throw new EncodeError('expires-at', end);
    return { bytes, logicalEnd: end?.at };
  }

  protected serialize(credentials: T): unknown {
    const failed = (error: unknown): never => {
      if (error instanceof EncodeError || this.isClosing(error)) throw error;
      // The error may quote the credential.
      this.#scope.options.onCallbackError(error, 'serialize');
      throw new EncodeError('threw', `${this.callOf('serialize')} threw`);
    };
    try {
      const { context, serialize } = this.#scope.options;
      const result: unknown = context.run(() => serialize(credentials));
      if (!isThenable(result)) return result;
      return this.inTime(
        result,
        (ms) =>
          new EncodeError('timeout', `${this.callOf('serialize')} did not settle within ${ms} ms`),
      ).catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  protected undecodable(error: unknown, again: boolean): Decoded<T> {
    if (error instanceof UnreadableError) return { type: 'unreadable', error };
    if (this.isClosing(error)) throw error;
    // The error may quote the bytes; that of JSON.parse does.
    if (!again) this.#scope.options.onCallbackError(error, 'deserialize');
    return {
      ...unreadable('decode', `${this.callOf('deserialize')} could not read the stored bytes`),
      isReported: true,
    };
  }

  protected inTime<R>(result: PromiseLike<R>, late: (ms: string) => Error): Promise<R> {
    const { decodeTimeoutMs } = this.#scope.options;
    const { signal } = this.closer();
    const settled = abortable(Promise.resolve(result), signal);
    return withDeadline(this.#scope.clock, settled, decodeTimeoutMs, () =>
      late(String(decodeTimeoutMs)),
    );
  }

  protected closer(): AbortController {
    const onDemand = (this.#onDemand ??= {});
    if (onDemand.closing === undefined) {
      onDemand.closing = new AbortController();
      // Every write that waits for `serialize` adds a listener.
      setMaxListeners(0, onDemand.closing.signal);
    }
    return onDemand.closing;
  }

  protected isClosing(error: unknown): boolean {
    const signal = this.#onDemand?.closing?.signal;
    return signal?.aborted === true && error === signal.reason;
  }

  protected callOf(name: string): string {
    const { subject } = this.#scope;
    return subject === undefined ? name : `${name} of "${subject}"`;
  }

  /** The instant, or the message of the failure. */
  protected logicalEnd(credentials: T): { readonly at: number } | undefined | string {
    const expiresAt = this.#expiresAt;
    if (expiresAt === undefined) return undefined;
    let end: unknown;
    let at: unknown;
    try {
      end = this.#scope.options.context.run(() => expiresAt(credentials));
      at = end instanceof Date ? end.getTime() : end;
    } catch (error) {
      this.#scope.options.onCallbackError(error, 'expiresAt');
      return `${this.callOf('expiresAt')} threw`;
    }
    if (end === undefined || end === null) return undefined;
    // A promise is no instant; its rejection must not go unhandled.
    if (isThenable(end))
      Promise.resolve(end).catch((error: unknown) => {
        this.#scope.options.onCallbackError(error, 'expiresAt');
      });
    if (typeof at !== 'number' || !Number.isFinite(at) || at > LATEST_MS) {
      return `${this.callOf('expiresAt')} returned neither a valid Date nor epoch milliseconds`;
    }
    if (at < EARLIEST_MS)
      return `${this.callOf('expiresAt')} returned a number of seconds, by its size; it must return epoch milliseconds`;
    return { at };
  }
}

function bytesOf(serialized: unknown, call: string): Buffer {
  if (typeof serialized === 'string') {
    if (isWellFormed(serialized)) return Buffer.from(serialized);
    throw new EncodeError('not-bytes', `${call} returned a string with a lone surrogate`);
  }
  if (serialized instanceof Uint8Array) return Buffer.from(serialized);
  throw new EncodeError('not-bytes', `${call} returned neither a string nor a Uint8Array`);
}

/** Identifies stored bytes without showing them; never leaves the process except inside a staged copy beside the bytes. */
export function digest(bytes: Uint8Array): string {
  return hash('sha1', bytes, 'hex');
}

const foreignMessages = {
  'wrong-type': 'the key holds another Redis type than a string',
  'too-large': 'the key holds more than maxBytes bytes',
} as const;

function unreadable(
  reason: UnreadableError['reason'],
  message: string,
): Extract<Decoded<never>, { type: 'unreadable' }> {
  return { type: 'unreadable', error: new UnreadableError(reason, message) };
}
