import { setMaxListeners } from 'node:events';
import type { Expected, Hint, Observation } from '../backend/backend.js';
import { digestOf, StoredSnapshot, type CredentialSnapshot } from '../credential/snapshot.js';
import type {
  ClearOptions,
  SaveOptions,
  SaveReceipt,
  UpdateContext,
  UpdateOptions,
  UpdateReceipt,
} from '../credential/contract.js';
import { digest, type Decoded, type Encoded } from '../credential/encoding.js';
import { ClosedError, ConflictError, InvalidOptionError } from '../errors.js';
import { KeyTypeCheck } from './key-type-check.js';
import { checkFunction } from '../util/option-checks.js';
import { checkOptions } from '../util/options.js';
import { resolveRemoval, resolveWrite } from './lost-replies.js';
import { CLEAR_OPTIONS, replicationOf, SAVE_OPTIONS, UPDATE_OPTIONS } from './options.js';
import { replicasOf, Replications } from './replication.js';
import { minDefined } from '../watching/entry/decode-observation.js';
import { effectiveTtl } from './effective-ttl.js';
import { endAfter, type ServerTime } from '../time/server-time.js';
import { RedactedReceipt } from './redacted-receipt.js';
import { setLongTimeout, abortable } from '../time/timers.js';
import type { WatchedEntry } from '../watching/watched.js';
import { WriteQueue } from './write-queue.js';

const LONGEST_PAUSE_MS = 200;

type UpdateFunction<T> = (
  current: T | undefined,
  context: UpdateContext,
) => T | undefined | Promise<T | undefined>;

type DecodedContent<T> =
  | { readonly type: 'absent' }
  | (Decoded<T> & { readonly digest: string; readonly ttlEnd: number | undefined });

/** Reads and writes one credential, in the order of the calls. */
export class CredentialWriter<T> {
  readonly #entry: WatchedEntry<T>;
  readonly #typeCheck: KeyTypeCheck<T>;
  readonly #queue = new WriteQueue();
  readonly #replications = new Replications();
  #time: ServerTime | undefined;
  /** Aborted by `close()`: no command is sent and no pause continues from then on. */
  readonly #closing = new AbortController();

  constructor(entry: WatchedEntry<T>) {
    this.#entry = entry;
    this.#typeCheck = new KeyTypeCheck(entry, () => this.#read());
    // Every paused update adds a listener.
    setMaxListeners(0, this.#closing.signal);
  }

  /**
   * @param held - the credentials are shared with the whole process, and therefore frozen
   * @param once - a value that `load` has warned of causes no other warning
   */
  async readDecoded(held = false, once = false): Promise<DecodedContent<T>> {
    const { content, expiresAt: ttlEnd } = await this.#read();
    if (content.type === 'absent') return content;
    const { encoding } = this.#entry;
    const name = content.type === 'bytes' ? digest(content.bytes) : content.reason;
    const again = once && encoding.wasReported(this.#entry.id, name);
    const decoded = await (held
      ? encoding.decodeHeld(content, again)
      : encoding.decode(content, again));
    return { ...decoded, ttlEnd, digest: name };
  }

  /** The credentials; `undefined` for none, and, with a warning, for a value that cannot be read. */
  async load(): Promise<T | undefined> {
    const found = await this.readDecoded(false, true);
    if (found.type === 'readable') return found.credentials;
    if (found.type === 'unreadable')
      this.#entry.encoding.report(this.#entry.id, found.digest, found);
    return undefined;
  }

  /** @throws UnreadableError */
  async read(): Promise<CredentialSnapshot<T> | undefined> {
    const found = await this.readDecoded(true);
    if (found.type === 'absent') return undefined;
    if (found.type === 'unreadable') throw found.error;
    return new StoredSnapshot(
      this.#entry.id,
      found.credentials,
      minDefined(found.logicalEnd, found.ttlEnd),
      found.digest,
      this.#entry.withdrawalOf(found.digest),
    );
  }

  /** The instant so many seconds after this call, by the server's clock. */
  async endsIn(seconds: number): Promise<number> {
    endAfter(0, seconds);
    const { clock } = this.#entry.backend;
    const askedAt = clock.monotonic();
    // A machine that slept does not know how late it is.
    if (this.#time === undefined || this.#time.hasStepped()) await this.#read();
    return endAfter(this.#serverNow() - (clock.monotonic() - askedAt), seconds);
  }

  save(credentials: T, options: SaveOptions<T>): Promise<SaveReceipt> {
    checkOptions(SAVE_OPTIONS, options);
    const { onlyIf } = options;
    const expected =
      onlyIf === 'absent' ? onlyIf : this.#expected(options, onlyIf, "give 'absent'");
    return this.#write(credentials, options, expected);
  }

  clear(options: ClearOptions<T>): Promise<boolean> {
    checkOptions(CLEAR_OPTIONS, options);
    const { reason, signal } = options;
    const expected = this.#expected(options, options.onlyIf, 'do not call');
    const { key, backend } = this.#entry;
    const removal = this.#queue.run(
      // DEL does not say which type it removed, and unlike SET it cannot be made to refuse. The type is checked beforehand, because the
      // command must be sent without delay, or a later write would overtake it.
      () => this.#typeCheck.check(expected === undefined),
      async () => {
        this.#checkOpen(signal);
        return backend.remove({ key, expected, reason }).then(
          (one) => one.removed,
          (error: unknown) => resolveRemoval(error, () => this.#read()),
        );
      },
    );
    return abortable(
      this.#caughtUp(removal, { type: 'removed', as: 'cleared', origin: 'self', reason }),
      signal,
    );
  }

  async update(fn: UpdateFunction<T>, options: UpdateOptions): Promise<UpdateReceipt<T>> {
    if (typeof fn !== 'function') checkFunction(null, 'fn');
    checkOptions(UPDATE_OPTIONS, options);
    const { maxAttempts = UPDATE_OPTIONS.maxAttempts.default, ...saving } = options;
    const { signal } = saving;
    replicationOf(saving);
    const endsIn = (seconds: number): number => endAfter(this.#serverNow(), seconds);
    for (let attempts = 1; ; attempts += 1) {
      signal?.throwIfAborted();
      const found = await abortable(this.readDecoded(), signal);
      // Unreadable bytes may be somebody's only refresh token; only a plain save overwrites them.
      if (found.type === 'unreadable') throw found.error;
      const current = found.type === 'readable' ? found.credentials : undefined;
      const next = await abortable(Promise.resolve(fn(current, { endsIn })), signal);
      if (this.#entry.closed) throw new ClosedError(`the store of "${this.#entry.id}"`);
      if (next === undefined) return new RedactedReceipt(false, current, attempts);
      try {
        const expected = found.type === 'readable' ? { digest: found.digest } : 'absent';
        const receipt = await this.#write(next, saving, expected);
        return new RedactedReceipt(true, next, attempts, receipt);
      } catch (error) {
        if (!(error instanceof ConflictError) || attempts >= maxAttempts) throw error;
        await this.#pause(attempts, signal);
      }
    }
  }

  /** Resolves when no write is under way, and no wait for replicas. */
  async idle(): Promise<void> {
    await this.#queue.idle();
    await this.#replications.idle();
  }

  /** Sends no further command; waiting calls reject with a ClosedError. */
  close(): void {
    this.#closing.abort();
  }

  #checkOpen(signal: AbortSignal | undefined): void {
    if (this.#closing.signal.aborted) throw new ClosedError(`the store of "${this.#entry.id}"`);
    signal?.throwIfAborted();
  }

  #write(credentials: T, options: SaveOptions<T>, expected: Expected): Promise<SaveReceipt> {
    const { reason, signal, ttlSeconds: requested } = options;
    const replication = replicationOf(options);
    const signals = [this.#closing.signal, ...(signal ? [signal] : [])];
    const wanted = replication && { ...replication, signals };
    const { key, backend, encoding } = this.#entry;
    const { clock } = backend;
    const now = (): number => this.#serverNow();
    const prepared = ({ bytes, logicalEnd }: Encoded, overLarge: boolean) => {
      const ttl = effectiveTtl(credentials, requested, logicalEnd, this.#entry.options, now);
      return { bytes, ttl, overLarge };
    };
    const write = this.#queue.run(
      () => {
        const encoded = encoding.encode(credentials);
        const checked = this.#typeCheck.check();
        return encoded instanceof Promise || checked instanceof Promise
          ? Promise.all([encoded, checked]).then(([one, overLarge]) => prepared(one, overLarge))
          : prepared(encoded, checked);
      },
      async ({ bytes, ttl, overLarge }) => {
        const wipe = (): void => {
          bytes.fill(0);
        };
        try {
          this.#checkOpen(signal);
        } catch (error) {
          wipe();
          throw error;
        }
        const sentAt = clock.monotonic();
        return backend
          .write({ key, bytes, ttl, expected, overLarge, reason, wanted })
          .then(
            (written) => this.#replications.note(written),
            (error: unknown) => {
              const elapsedMs = (): number => clock.monotonic() - sentAt;
              return resolveWrite(error, { bytes, ttl }, () => this.#read(), elapsedMs);
            },
          )
          .finally(wipe);
      },
    );
    const caughtUp = this.#caughtUp(write, { type: 'written', origin: 'self', reason });
    if (wanted === undefined) return abortable(caughtUp, signal);
    const replicated = caughtUp.then(async (written) => {
      const { announced } = written;
      return { announced, ...(await replicasOf(written)) };
    });
    return abortable(replicated, signal);
  }

  /** Awaits a write and then brings the entry of this instance up to the write. */
  async #caughtUp<R>(write: Promise<R>, own: Hint): Promise<R> {
    this.#entry.ownWrites += 1;
    const result = await write.finally(() => {
      this.#entry.ownWrites -= 1;
    });
    await this.#entry.refreshed(result === false ? undefined : own);
    return result;
  }

  #expected(
    options: object,
    snapshot: CredentialSnapshot<T> | undefined,
    otherwise: string,
  ): { readonly digest: string } | undefined {
    if (snapshot === undefined) {
      // A reading that found nothing gives `undefined`: taken for no condition, it would overwrite what came since.
      if (Object.hasOwn(options, 'onlyIf'))
        throw new InvalidOptionError(
          'onlyIf',
          `is undefined: ${otherwise} where nothing was stored, or leave the option out`,
        );
      return undefined;
    }
    const name = digestOf(snapshot);
    if (name === undefined || snapshot.id !== this.#entry.id) {
      throw new InvalidOptionError(
        'onlyIf',
        'must be a snapshot of this credential that a store gave',
      );
    }
    return { digest: name };
  }

  #serverNow(): number {
    return this.#time?.latest() ?? this.#entry.backend.clock.now();
  }

  async #read(): Promise<Observation> {
    this.#checkOpen(undefined);
    const { key, backend, options } = this.#entry;
    const observation = await backend.read(key, options.maxBytes);
    this.#time = observation.time;
    return observation;
  }

  /** The pause is jittered, so that two writers that collided do not collide again. */
  async #pause(attempts: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock, random } = this.#entry.backend;
    const longest = Math.min(2 ** attempts * 2, LONGEST_PAUSE_MS);
    const closing = this.#closing.signal;
    const pause = new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        closing.removeEventListener('abort', end);
        resolve();
      };
      const cancel = setLongTimeout(clock, random() * longest, end);
      closing.addEventListener('abort', end);
    });
    await abortable(pause, signal);
    if (this.#entry.closed) throw new ClosedError(`the store of "${this.#entry.id}"`);
  }
}
