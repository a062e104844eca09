import type { AttemptHint, Hint, Observation } from '../../backend/backend.js';
import { createChange, type ChangeSource, type CredentialChange } from '../../credential/change.js';
import { StoredSnapshot, type CredentialSnapshot } from '../../credential/snapshot.js';
import {
  hasEnded,
  noLabels,
  unknown,
  type Known,
  type KnownState,
  type Labels,
  type DecodedReading,
} from '../../credential/state.js';
import { concludeExpiry, transition } from '../../credential/transition.js';
import type { Clock } from '../../time/clock.js';
import { digest, type Encoding } from '../../credential/encoding.js';
import { EndAlarm, type EndAlarmHolder } from '../../time/end-alarm.js';
import { UnreadableError } from '../../errors.js';
import { HintLabels } from '../hint-labels.js';
import { ObservationLoop, type Observer } from '../observation-loop.js';
import type { ServerTime } from '../../time/server-time.js';
import { minDefined, decodeObservation } from '../decode-observation.js';
import { thenSync } from '../../time/timers.js';

/** Who tracks it. */
export interface TrackedOwner<T> {
  readonly clock: Clock;
  readonly encoding: Encoding<T>;
  /** Whether observations of this key can be made. */
  isLinkedAt(key: string): boolean;
  /** How what is seen of a credential now was noticed. */
  sourceFor(tracked: TrackedCredential<T>): ChangeSource;
  idOf(key: string): string;
  observe(key: string): Promise<Observation>;
  /** In which round of looking at everything a look is that is asked for now. */
  readonly generation: number;
  /** A look that was asked for in `round` has shown it; `change` follows from that, if any. */
  seen(tracked: TrackedCredential<T>, round: number, change?: CredentialChange<T>): void;
  /** Redis refuses to have it looked at, or the link was lost. */
  failed(tracked: TrackedCredential<T>, round: number): void;
  /** Nothing is left to be done about it. */
  rested(tracked: TrackedCredential<T>): void;
}

const unreadable = new UnreadableError('decode', 'what is stored could not be read');

/** A credential of which only so much is kept as tells whether it has changed: which bytes are stored, and when it ends. No value. */
export class TrackedCredential<T> implements Observer, EndAlarmHolder {
  readonly key: string;
  /** In which round of looking at everything it was seen last. */
  generation: number;
  /** Whether it is counted as one of which nothing is stored as far as is known. */
  isUnconfirmed = false;
  readonly #owner: TrackedOwner<T>;
  #type: KnownState<T>['type'];
  #digest: string | undefined;
  #ttlEnd: number | undefined;
  #end: number | undefined;
  #toleranceMs = 0;
  #untold: true | undefined;
  #error: UnreadableError | undefined;
  #alarm: EndAlarm | undefined;
  #loop: ObservationLoop | undefined;
  #labels: HintLabels | undefined;
  /** Somebody watches it and tells what happens. */
  #watched = false;
  /** What was known here and what the watch found have been compared. */
  #joined = false;

  /** @param type - `absent` where it would be known if there had been anything */
  constructor(key: string, type: 'unknown' | 'absent', generation: number, owner: TrackedOwner<T>) {
    this.key = key;
    this.generation = generation;
    this.#type = type;
    this.#owner = owner;
  }

  /** Whether something is stored, as far as is known. */
  get isStored(): boolean {
    return this.#digest !== undefined;
  }

  get isWatched(): boolean {
    return this.#watched;
  }

  get isResting(): boolean {
    return this.#loop === undefined && !this.#watched;
  }

  hint(hint: Hint | AttemptHint): void {
    if (hint.type === 'attempt') return;
    (this.#labels ??= new HintLabels()).note(hint);
    if (this.#owner.isLinkedAt(this.key)) this.#observing().requestNow();
  }

  /** Has it looked at soon. */
  read(): void {
    if (!this.#watched && this.#owner.isLinkedAt(this.key)) this.#observing().request();
  }

  /** Leaves it to whoever watches it. */
  leave(): void {
    this.#watched = true;
    this.#joined = false;
    this.#loop?.stop();
    this.#loop = undefined;
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.#labels = undefined;
  }

  /** Takes it back, with what is known by then; whatever was under way is to be looked for again. */
  resume(known: Known<T>): void {
    this.#watched = false;
    const untold = known.state.type === 'expired' && this.#untold;
    if (known.state.type !== 'unknown') this.#keep(untold ? { ...known, untold } : known);
    this.read();
  }

  /** Compares what the watch found first with what was known here; gives what happened in between. */
  join(known: Known<T>, now: number): CredentialChange<T> | undefined {
    if (this.#joined) return undefined;
    this.#joined = true;
    const sighting = readingOf(known);
    if (sighting === undefined || this.#type === 'unknown') return undefined;
    const step = transition(this.#known, sighting, this.#when(now, noLabels, 0));
    const { change } = step;
    this.#untold = step.known.untold;
    if (change === undefined || !('snapshot' in change) || known.state.type !== 'present')
      return withoutPrevious(change);
    return createChange<T>({ ...change, previous: undefined, snapshot: known.state.snapshot });
  }

  /** What a change that is told by the watch, which begins knowing nothing, is to those who know what was told here. */
  relayed(change: CredentialChange<T>): CredentialChange<T> {
    const untold = this.#untold;
    this.#untold = undefined;
    if (!untold || change.type !== 'renewed') return change;
    return createChange<T>({ ...change, type: 'saved', reason: undefined });
  }

  stop(): void {
    this.#loop?.stop();
    this.#loop = undefined;
    this.#alarm?.cancel();
    this.#alarm = undefined;
  }

  observe(loop: ObservationLoop): Promise<void> {
    // By the time it is decoded there may have been a gap, of which it says nothing.
    const { generation } = this.#owner;
    return this.#owner
      .observe(this.key)
      .then((observation) => {
        if (loop.isStopped()) return undefined;
        return thenSync(this.#decode(observation), (sighting) => {
          if (!loop.isStopped()) this.#apply(observation, sighting, generation);
        });
      })
      .catch(() => {
        if (!loop.isStopped()) this.#owner.failed(this, generation);
      });
  }

  coveredBy(): void {
    this.#labels?.covered();
  }

  idle(loop: ObservationLoop): void {
    if (this.#loop !== loop) return;
    this.#loop = undefined;
    this.#owner.rested(this);
  }

  endPassed(): void {
    if (this.#watched) return;
    if (this.#owner.isLinkedAt(this.key)) this.#observing().request();
    else this.concludeExpiry();
  }

  /** Cut off from Redis, an end that has passed is all that can be concluded. */
  concludeExpiry(now: number = this.#alarm?.now ?? -Infinity): void {
    const { known, change } = concludeExpiry(this.#known, {
      ...this.#when(now, noLabels, 0),
      source: 'local',
    });
    this.#keep(known);
    if (change !== undefined) this.#owner.seen(this, this.generation, withoutPrevious(change));
  }

  get #known(): Known<T> {
    const kept = { digest: this.#digest, ttlEnd: this.#ttlEnd, toleranceMs: this.#toleranceMs };
    switch (this.#type) {
      case 'unknown':
        return unknown;
      case 'absent':
        return { ...kept, state: { type: 'absent' } };
      case 'present':
        return { ...kept, state: { type: 'present', snapshot: this.#ghost() } };
      case 'expired':
        return {
          ...kept,
          ...(this.#untold && { untold: true }),
          state: { type: 'expired', previous: this.#ghost(), expiresAt: this.#end },
        };
      case 'unreadable':
        return { ...kept, state: { type: 'unreadable', error: this.#error ?? unreadable } };
    }
  }

  /** Stands for the credential where two are compared; what it would hold is not kept. */
  #ghost(): CredentialSnapshot<T> {
    const id = this.#owner.idOf(this.key);
    return new StoredSnapshot(id, undefined as T, this.#end, this.#digest ?? '', undefined);
  }

  #keep({ state, digest: name, ttlEnd, toleranceMs, untold }: Known<T>): void {
    this.#type = state.type;
    this.#digest = name;
    this.#ttlEnd = ttlEnd;
    this.#toleranceMs = toleranceMs;
    this.#untold = untold;
    this.#error = state.type === 'unreadable' ? state.error : undefined;
    if (state.type === 'present') this.#end = state.snapshot.expiresAt;
    else this.#end = state.type === 'expired' ? state.expiresAt : undefined;
  }

  /** What was seen, decoded only where something follows from it. */
  #decode(observation: Observation): DecodedReading<T> | 'same' | Promise<DecodedReading<T>> {
    const { content, expiresAt: ttlEnd, serverNow } = observation;
    if (
      content.type === 'bytes' &&
      this.#type === 'present' &&
      ttlEnd === this.#ttlEnd &&
      !hasEnded(this.#end, serverNow) &&
      digest(content.bytes) === this.#digest
    )
      return 'same';
    return decodeObservation(observation, unknown, this.#owner.encoding);
  }

  #apply(
    { time, serverNow, toleranceMs }: Observation,
    sighting: DecodedReading<T> | 'same',
    generation: number,
  ): void {
    const labels = this.#labels?.read() ?? noLabels;
    this.#labels?.used();
    if (this.#labels?.empty) this.#labels = undefined;
    if (sighting === 'same') {
      this.#awaitEnd(time, serverNow);
      this.#owner.seen(this, generation);
      return;
    }
    const now = Math.max(serverNow, time.earliest());
    const when = this.#when(now, labels, toleranceMs);
    const { known, change } = transition(this.#known, sighting, when);
    this.#keep(known);
    this.#awaitEnd(time, now);
    this.#owner.seen(this, generation, withoutPrevious(change));
  }

  #when(now: number, labels: Labels, toleranceMs: number) {
    const id = this.#owner.idOf(this.key);
    const source = this.#owner.sourceFor(this);
    // What was seen last shares nothing with what comes: it is not kept.
    return { id, now, source, toleranceMs, labels, abortOnSaved: true };
  }

  #awaitEnd(time: ServerTime, now: number): void {
    // Seen after its end, it is present only because the end has moved by less than can be told apart.
    const byTtl = this.#type === 'unreadable' || hasEnded(this.#end, now);
    const end = byTtl ? this.#ttlEnd : this.#end;
    if (end === undefined || (this.#type !== 'present' && this.#type !== 'unreadable'))
      this.#alarm?.cancel();
    else (this.#alarm ??= new EndAlarm(this)).set(time, end);
  }

  #observing(): ObservationLoop {
    return (this.#loop ??= new ObservationLoop(this.#owner.clock, this));
  }
}

function withoutPrevious<T>(
  change: CredentialChange<T> | undefined,
): CredentialChange<T> | undefined {
  return change && createChange<T>({ ...change, previous: undefined });
}

/** What an observation must have shown for this to be known. */
function readingOf<T>({ state, digest: name, ttlEnd }: Known<T>): DecodedReading<T> | undefined {
  if (state.type === 'unknown') return undefined;
  if (name === undefined) return { type: 'absent' };
  if (state.type === 'unreadable')
    return { type: 'unreadable', digest: name, error: state.error, ttlEnd };
  if (state.type === 'absent') return { type: 'absent' };
  const snapshot = state.type === 'present' ? state.snapshot : state.previous;
  const end = state.type === 'present' ? snapshot.expiresAt : minDefined(state.expiresAt, ttlEnd);
  return { type: 'readable', digest: name, credentials: snapshot.credentials, ttlEnd, end };
}
