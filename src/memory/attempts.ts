import {
  CLEARED_MS,
  RECORD_MS,
  SAME_END_MS,
  type AttemptBackend,
  type AttemptName,
  type AttemptRecord,
  type AttemptStart,
  type CommitAttempt,
  type CommitOutcome,
  type EndAttempt,
  type RenewAttempt,
  type RenewOutcome,
  type StartAttempt,
} from '../backend/attempts.js';
import { digest } from '../credential/encoding.js';
import type { CredentialMemory } from './credential-memory.js';

/** How the attempts reach the memory: as all other requests do. */
export interface MemoryRequests {
  readonly instance: string;
  readonly name: string;
  request<R>(execute: () => () => R): Promise<R>;
}

const recordKey = (key: string): string => `credstream:attempt:${key}`;
const clearedKey = (key: string): string => `credstream:cleared:${key}`;

/** Remembers that a credential was cleared on purpose. */
export function markCleared(memory: CredentialMemory, key: string): void {
  memory.put(clearedKey(key), Buffer.from('1'), memory.now() + CLEARED_MS);
}

/** The attempts at credentials in one memory, by the same rules as the scripts of Redis. */
export class MemoryAttempts implements AttemptBackend {
  readonly #memory: CredentialMemory;
  readonly #requests: MemoryRequests;

  constructor(memory: CredentialMemory, requests: MemoryRequests) {
    this.#memory = memory;
    this.#requests = requests;
  }

  replyTimeoutMs(): number {
    return 0;
  }

  start(request: StartAttempt): Promise<AttemptStart> {
    const { key, id, leaseMs, minIntervalMs, endsAt } = request;
    return this.#at(key, (now, old): AttemptStart => {
      const ends = endsAt === undefined ? undefined : String(endsAt);
      if (old?.id === id) {
        const record = old.outcome === 'running' ? { ...old, leaseEndsAt: now + leaseMs } : old;
        return { type: 'started', record: this.#store(key, record) };
      }
      if (old?.outcome === 'running' && old.leaseEndsAt > now)
        return { type: 'held', record: old, leftMs: old.leaseEndsAt - now };
      const stored = this.#stored(key);
      const marked = this.#isCleared(key);
      if (!stored && this.#isCleared(key, request.clearedBefore)) return { type: 'cleared' };
      if (old !== undefined) {
        if (old.outcome === 'fatal' && (!stored || isSame(old.endsAt, ends)))
          return { type: 'fatal', record: old, leftMs: 0 };
        if (old.notBefore > now) return { type: 'early', record: old, leftMs: old.notBefore - now };
      }
      this.#memory.drop(clearedKey(key));
      const record = this.#store(key, {
        id,
        node: this.#requests.instance,
        number: (old?.number ?? 0) + 1,
        startedAt: now,
        leaseEndsAt: now + leaseMs,
        outcome: 'running',
        failures: old?.failures ?? 0,
        notBefore: now + minIntervalMs,
        endsAt: ends,
        inDoubt: leavesDoubt(old) || undefined,
        committed: old?.outcome === 'committed' ? old.id : old?.committed,
        blank: (!stored && !marked && (old === undefined || old.blank === true)) || undefined,
      });
      return { type: 'started', record };
    });
  }

  renew({ key, id, leaseMs, number, failures, blank }: RenewAttempt): Promise<RenewOutcome> {
    return this.#at(key, (now, last): RenewOutcome => {
      const old = unlessBlank(last, { id, blank });
      if (old !== undefined && old.id !== id) return 'superseded';
      if (old !== undefined && old.outcome !== 'running') return 'ended';
      this.#store(key, {
        ...(old ?? this.#anew(key, id, now, number, failures)),
        leaseEndsAt: now + leaseMs,
        blank: blank || undefined,
      });
      return 'held';
    });
  }

  commit(request: CommitAttempt): Promise<CommitOutcome> {
    const { key, id, bytes, ttl, expected, number, failures, pauseMs } = request;
    return this.#at(key, (now, last): CommitOutcome => {
      const old = unlessBlank(last, request);
      if (old?.committed === id) return 'committed';
      if (old !== undefined && old.id !== id) return 'superseded';
      if (old?.outcome === 'committed') return 'committed';
      if (this.#memory.peek(clearedKey(key)) !== undefined) return 'cleared';
      const held = this.#memory.peek(key);
      if (held !== undefined && !held.bytes.equals(bytes)) {
        if (expected === 'absent' || digest(held.bytes) !== expected.digest) return 'conflict';
      }
      if (held === undefined && !this.#wasLost(request, now, old)) return 'cleared';
      const keep = ttl === 'keep' ? held?.expiresAt : undefined;
      const end = typeof ttl === 'number' ? this.#memory.now() + ttl : keep;
      this.#memory.put(key, Buffer.from(bytes), end);
      this.#store(key, {
        id,
        node: this.#requests.instance,
        number,
        startedAt: old?.startedAt ?? now,
        leaseEndsAt: 0,
        outcome: 'committed',
        failures,
        notBefore: now + pauseMs,
      });
      const { instance, name } = this.#requests;
      const origin = { instance, name };
      this.#memory.tell(key, { type: 'written', origin, reason: undefined });
      return 'committed';
    });
  }

  end({
    key,
    id,
    outcome,
    number,
    failures,
    pauseMs,
    endsAt,
    oauthError,
  }: EndAttempt): Promise<void> {
    return this.#at(key, (now, old) => {
      if (old !== undefined && (old.id !== id || old.outcome === 'committed')) return;
      this.#store(key, {
        ...(old ?? this.#anew(key, id, now, number, failures)),
        failures,
        leaseEndsAt: 0,
        outcome,
        notBefore: now + pauseMs,
        endsAt: endsAt === undefined ? undefined : String(endsAt),
        oauthError,
      });
      this.#memory.tell(key, { type: 'attempt' });
    });
  }

  absolve({ key, id }: AttemptName): Promise<void> {
    return this.#at(key, (_now, old) => {
      if (this.#stored(key)) this.#memory.drop(clearedKey(key));
      if (old?.id !== id || old.outcome !== 'fatal') return;
      this.#store(key, { ...old, outcome: 'needless', failures: 0, notBefore: 0 });
    });
  }

  #at<R>(key: string, decide: (now: number, old: AttemptRecord | undefined) => R): Promise<R> {
    return this.#requests.request(() => {
      const result = decide(Math.floor(this.#memory.now()), this.#load(key));
      return () => result;
    });
  }

  #stored(key: string): boolean {
    return this.#memory.peek(key) !== undefined;
  }

  #isCleared(key: string, before = -Infinity): boolean {
    const end = this.#memory.peek(clearedKey(key))?.expiresAt;
    return end !== undefined && end - CLEARED_MS >= before;
  }

  /** Whether what is not there any more was lost without anybody wanting it. */
  #wasLost(request: CommitAttempt, now: number, old: AttemptRecord | undefined): boolean {
    const { expected, expectedTtlEnd, evicted, startedAt } = request;
    if (now - startedAt >= CLEARED_MS) return false;
    const due = expectedTtlEnd !== undefined && now >= expectedTtlEnd;
    return expected === 'absent' || evicted || due || old === undefined || old.lost === true;
  }

  #load(key: string): AttemptRecord | undefined {
    const entry = this.#memory.peek(recordKey(key));
    if (entry === undefined) return undefined;
    try {
      const record: unknown = JSON.parse(entry.bytes.toString());
      return isRecord(record) ? record : undefined;
    } catch {
      return undefined;
    }
  }

  #store(key: string, record: AttemptRecord): AttemptRecord {
    this.#memory.put(
      recordKey(key),
      Buffer.from(JSON.stringify(record)),
      this.#memory.now() + RECORD_MS,
    );
    return record;
  }

  /** What stands for a record that was lost with all other data. */
  #anew(key: string, id: string, now: number, number: number, failures: number): AttemptRecord {
    const { instance } = this.#requests;
    return {
      id,
      node: instance,
      number,
      startedAt: now,
      leaseEndsAt: 0,
      outcome: 'running',
      failures,
      notBefore: 0,
      lost: !this.#stored(key) || undefined,
    };
  }
}

const SHAPE: Partial<Record<keyof AttemptRecord, 'string' | 'number'>> = {
  id: 'string',
  node: 'string',
  outcome: 'string',
  number: 'number',
  startedAt: 'number',
  leaseEndsAt: 'number',
  failures: 'number',
  notBefore: 'number',
};

/** Whatever else lies there was not written by an attempt. */
function isRecord(value: unknown): value is AttemptRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  const fits = Object.entries(SHAPE).every(([name, kind]) => typeof record[name] === kind);
  return fits && (record['endsAt'] === undefined || Number.isFinite(Number(record['endsAt'])));
}

/** What failed after an attempt without an answer, or was not needed, does not tell what became of that one. */
function leavesDoubt(record: AttemptRecord | undefined): boolean {
  const { outcome, inDoubt = false } = record ?? {};
  if (outcome === 'failed' || outcome === 'needless') return inDoubt;
  return outcome === 'running' || outcome === 'unanswered';
}

/** A blank attempt of somebody else is none for one that is not blank. */
function unlessBlank(
  record: AttemptRecord | undefined,
  { id, blank }: Pick<RenewAttempt, 'id' | 'blank'>,
): AttemptRecord | undefined {
  return record?.blank === true && record.id !== id && !blank ? undefined : record;
}

function isSame(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Math.abs(Number(a) - Number(b)) <= SAME_END_MS;
}
