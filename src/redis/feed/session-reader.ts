import type { Observation } from '../../backend/backend.js';
import type { ScriptCommand } from '../../credential/status.js';
import type { Content } from '../../credential/content.js';
import { RefusedError, UnavailableError } from '../../errors.js';
import { Semaphore } from '../../util/semaphore.js';
import { BatchReader } from '../commands/batch-reader.js';
import { CommandChannel } from '../commands/channel.js';
import type { RawReading, ReadRequest } from '../commands/raw-reading.js';
import { Reader, toObservation } from '../commands/reader.js';
import { refusedScriptCommand } from '../commands/script-trial.js';
import { EPOCH_BYTES } from '../commands/scripts.js';
import type { Connection } from '../connection/connection.js';
import { readFailure, RedirectedError } from '../reply-errors.js';
import { DataEpoch } from './missed/data-epoch.js';
import type { GapReporter } from './missed/gap-reporter.js';
import type { FeedSessionContext } from './session-context.js';

const MAX_READS = 256;

/** Reads keys in one session, and notices the gaps that readings show. */
export class SessionReader {
  readonly #context: FeedSessionContext;
  readonly #connection: Connection;
  /** The connection for reading under RESP2, opened there only: a write that hangs would hold up the reads behind it. */
  readonly reads: CommandChannel;
  readonly #gaps: GapReporter;
  readonly #failed: (error: unknown) => void;
  readonly #reader: Reader;
  readonly #batchReader: BatchReader;
  readonly #epoch: DataEpoch;
  /** A resync reads everything at once; the reply deadline is for one reading, not for all of them. */
  readonly #permits = new Semaphore(MAX_READS);
  #scriptsRefused: ScriptCommand | undefined;

  /**
   * @param failed - called when a reading got no reply, before its caller gets the error
   */
  constructor(
    context: FeedSessionContext,
    connection: Connection,
    gaps: GapReporter,
    failed: (error: unknown) => void,
  ) {
    const { clock } = context.connectionSettings;
    this.#context = context;
    this.#connection = connection;
    this.reads = new CommandChannel(
      context.template,
      { ...context.connectionSettings, name: 'credstream:reads' },
      context.names,
    );
    this.#gaps = gaps;
    this.#failed = failed;
    this.#reader = new Reader(connection, clock);
    this.#batchReader = new BatchReader(connection, clock, context.time);
    this.#epoch = new DataEpoch(
      context,
      (key) => this.#readEpoch(key),
      () => {
        gaps.report('data');
      },
    );
  }

  /** The command by which Redis refuses scripts to this user; `undefined` where it runs them. */
  get scriptsRefused(): ScriptCommand | undefined {
    return this.#scriptsRefused;
  }

  /** Finds out whether Redis runs scripts for this user. @throws ConnectionLostError */
  async tryScripts(): Promise<void> {
    this.#scriptsRefused = await refusedScriptCommand(this.#connection);
  }

  /** The reader of the subscribed connection, if that can read. */
  get overFeed(): Reader | undefined {
    return this.#connection.canReadWhileSubscribed ? this.#reader : undefined;
  }

  /** Reads a key, and sends at once. @throws UnavailableError, after the session was reported as lost, or RefusedError */
  read(key: string, maxBytes: number): Promise<Observation> {
    const epochKey = this.#epoch.takeDue();
    const request = { key, maxBytes, epochKey };
    const read = (): Promise<Observation> =>
      this.readRaw(request).then(
        (reading) => {
          this.#permits.release();
          return this.#observed(reading, epochKey);
        },
        (error: unknown) => {
          this.#permits.release();
          throw this.failure(error);
        },
      );
    return this.#permits.acquire()?.then(read) ?? read();
  }

  /** As {@link SessionReader.read}; `undefined` for each key that is to be read alone. */
  async readMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]> {
    this.checkClocks();
    try {
      return await this.#batchReader.read(keys, maxBytes);
    } catch (error) {
      throw this.failure(error);
    }
  }

  /** The error of a failed reading. A reading without a reply ends the session, which is reported before the caller gets the error. */
  failure(error: unknown): UnavailableError | RefusedError {
    const failure = readFailure(error, this.#connection.source);
    if (failure instanceof UnavailableError && !(failure instanceof RedirectedError))
      this.#failed(error);
    return failure;
  }

  /** Requests a reading of the epoch key. */
  checkData(): void {
    this.#epoch.request();
  }

  /** Resolves when the epoch is known, as far as Redis permits: before the first reading of many keys. Never rejects. */
  prepareEpoch(): Promise<void> {
    return this.#epoch.prepare();
  }

  /** Reports a step of the clocks since the last reading. */
  checkClocks(): void {
    if (this.#context.time.hasStepped()) this.#gaps.report('clock');
  }

  /** Reads over the connection for reading of this session. @throws ConnectionLostError, or an error reply of Redis */
  readRaw(request: ReadRequest): Promise<RawReading> {
    const { overFeed } = this;
    if (overFeed !== undefined) return overFeed.read(request);
    return this.reads.get().then((session) => session.reader.read(request));
  }

  #observed(reading: RawReading, epochKey: string | undefined): Observation {
    // The sample would hide the step from later checks.
    this.checkClocks();
    // Reported in a later turn, because the observation at hand already shows the new data.
    if (epochKey !== undefined && reading.epoch !== undefined)
      this.#epoch.compare(epochKey, reading.epoch);
    return toObservation(reading, this.#context.time);
  }

  async #readEpoch(key: string): Promise<Content | 'refused' | undefined> {
    try {
      return (await this.readRaw({ key, maxBytes: EPOCH_BYTES, epochKey: undefined })).content;
    } catch (error) {
      return this.failure(error) instanceof RefusedError ? 'refused' : undefined;
    }
  }
}
