import {
  CLEARED_MS,
  LONGEST_PAUSE_MS,
  SAME_END_MS,
  type AttemptChange,
  type AttemptOwner,
  type AttemptRecord,
  type AttemptStart,
  type AttemptView,
  type CommitAttempt,
  type CommitOutcome,
  type EndAttempt,
  type RenewAttempt,
  type RenewOutcome,
  type SettleAttempt,
  type StartAttempt,
} from './attempts.js';
import { MAX_COUNT } from './attempt-record.js';

/*
 * The rules of an attempt: pure functions from a view and a request to a decision. A backend carries the change out only if the view is
 * still the same; else the rule decides again on the new view.
 */

/** The answer to a verb, true once the change has been carried out. */
export interface Decision<R> {
  readonly answer: R;
  /** Absent when nothing is to be changed. */
  readonly change?: AttemptChange;
}

/** Takes the lease, unless another attempt runs, the pause is not over, the last attempt was fatal, or the credential was cleared. */
export function start(
  view: AttemptView,
  request: StartAttempt,
  by: AttemptOwner,
): Decision<AttemptStart> {
  const { now, record, stored, clearedAt } = view;
  const { id, leaseMs, minIntervalMs, clearedBefore } = request;
  const old = record && bounded(record, now);
  if (old?.id === id) {
    const again = (one: AttemptRecord): AttemptStart => ({
      type: 'started',
      record: one,
      afterClear: false,
    });
    if (old.outcome !== 'running') return { answer: again(old) };
    const prolonged = { ...old, changedAt: now, leaseEndsAt: later(now, leaseMs) };
    return { answer: again(prolonged), change: { record: prolonged } };
  }
  const refuse = (
    type: 'held' | 'early' | 'fatal',
    last: AttemptRecord,
    leftMs: number,
  ): Decision<AttemptStart> => ({
    answer: { type, record: last, leftMs },
    // An endless lease or pause is stored with an end; otherwise it would have as long left at the next start.
    ...(last !== record && { change: { record: last } }),
  });
  if (old?.outcome === 'running' && old.leaseEndsAt > now)
    return refuse('held', old, old.leaseEndsAt - now);
  if (isCleared(view, clearedBefore)) return { answer: { type: 'cleared' } };
  const endsAt = finite(request.endsAt);
  if (old?.outcome === 'fatal' && (!stored || isSameEnd(old.endsAt, endsAt)))
    return refuse('fatal', old, 0);
  if (old !== undefined && old.notBefore > now) return refuse('early', old, old.notBefore - now);
  const fromNothing = !stored && clearedAt === undefined;
  const started: AttemptRecord = {
    id,
    instance: by.instance,
    name: by.name,
    number: count((old?.number ?? 0) + 1),
    startedAt: now,
    changedAt: now,
    leaseEndsAt: later(now, leaseMs),
    outcome: 'running',
    failures: old?.failures ?? 0,
    notBefore: later(now, minIntervalMs),
    endsAt,
    inDoubt: leavesDoubt(old) || undefined,
    committed: old?.outcome === 'committed' ? old.id : old?.committed,
    startedFromNothing:
      (fromNothing && (old === undefined || old.startedFromNothing === true)) || undefined,
  };
  return {
    answer: { type: 'started', record: started, afterClear: isCleared(view) },
    change: { record: started, dropTombstone: clearedAt !== undefined },
  };
}

/**
 * Whether the credential is absent because of a clear.
 *
 * @param clearedBefore - an earlier clear does not count; `Infinity`: no clear does
 */
export function isCleared(
  { stored, clearedAt, clearEnded }: AttemptView,
  clearedBefore: number = -Infinity,
): boolean {
  if (stored || clearedAt === undefined || clearEnded) return false;
  return clearedBefore !== Infinity && clearedAt >= clearedBefore;
}

/** Prolongs the lease, even when its record was lost. */
export function renew(
  view: AttemptView,
  request: RenewAttempt,
  by: AttemptOwner,
): Decision<RenewOutcome> {
  const old = unlessFromNothing(view.record, request);
  if (old !== undefined && old.id !== request.id) return { answer: 'superseded' };
  if (old !== undefined && old.outcome !== 'running') return { answer: 'ended' };
  const record = {
    ...(old ?? recreated(view, request, by)),
    changedAt: view.now,
    leaseEndsAt: later(view.now, request.leaseMs),
    startedFromNothing: request.startedFromNothing || undefined,
  };
  return { answer: 'held', change: { record } };
}

/**
 * Stores new credentials, if no other attempt takes precedence, and the key still holds the bytes that the attempt started from, or was
 * removed without a clear.
 */
export function commit(
  view: AttemptView,
  request: CommitAttempt,
  by: AttemptOwner,
): Decision<CommitOutcome> {
  const { id, bytes, ttl, expected, number, failures, pauseMs } = request;
  const { now, stored, conflict, clearedAt } = view;
  const old = unlessFromNothing(view.record, request);
  if (old?.committed === id) return { answer: 'committed' };
  if (old !== undefined && old.id !== id) return { answer: 'superseded' };
  if (old?.outcome === 'committed') return { answer: 'committed' };
  // Also of a clear that has ended: it came after the start of this attempt, which would have dropped an earlier tombstone.
  if (clearedAt !== undefined) return { answer: 'cleared' };
  if (conflict) return { answer: 'conflict' };
  // The tombstone of a clear since the start may be gone by now.
  if (!stored && now - request.startedAt >= CLEARED_MS) return { answer: 'cleared' };
  const record: AttemptRecord = {
    id,
    instance: by.instance,
    name: by.name,
    number: count(number),
    startedAt: old?.startedAt ?? now,
    changedAt: now,
    leaseEndsAt: 0,
    outcome: 'committed',
    failures: count(failures),
    notBefore: later(now, pauseMs),
  };
  const write = { bytes, ttl, replaces: expected };
  return { answer: 'committed', change: { record, write, announce: 'saved' } };
}

/** Gives up the lease and records the outcome; does nothing for an attempt that is superseded or committed. */
export function end(view: AttemptView, request: EndAttempt, by: AttemptOwner): Decision<undefined> {
  const { id, outcome, failures, pauseMs, endsAt, oauthError } = request;
  const old = view.record;
  if (old !== undefined && (old.id !== id || old.outcome === 'committed'))
    return { answer: undefined };
  const record: AttemptRecord = {
    ...(old ?? recreated(view, request, by)),
    changedAt: view.now,
    leaseEndsAt: 0,
    outcome,
    failures: count(failures),
    notBefore: later(view.now, pauseMs),
    endsAt: finite(endsAt),
    oauthError,
  };
  return { answer: undefined, change: { record, announce: 'attempt' } };
}

/**
 * Takes the fatal outcome of this attempt back, because new credentials were stored. A tombstone from before they were stored is dropped
 * too: a clear ends with the next credential, so that a later removal by other means is no logout.
 */
export function settle(
  { record: old, stored, clearedAt }: AttemptView,
  { id, storedAt = -Infinity }: SettleAttempt,
): Decision<undefined> {
  // A clear removes the key in the same step, so a tombstone beside a stored credential is older than the credential.
  const dropTombstone = clearedAt !== undefined && (stored || clearedAt < storedAt);
  const isOver = old?.id === id && old.outcome === 'fatal';
  // Without the tombstone, a late commit of an attempt from before the clear would bring the cleared credential back.
  const isVoid = dropTombstone && old?.outcome !== 'committed' && isBefore(old, clearedAt);
  if (isOver || isVoid) {
    const ended = { ...old, id: isVoid ? SETTLED : id, leaseEndsAt: 0 };
    const record: AttemptRecord = { ...ended, outcome: 'needless', failures: 0, notBefore: 0 };
    return { answer: undefined, change: { record, dropTombstone } };
  }
  return { answer: undefined, ...(dropTombstone && { change: { dropTombstone } }) };
}

/** The id of a record that supersedes an attempt from before a clear. No attempt has it. */
const SETTLED = 'settled';

function isBefore(record: AttemptRecord | undefined, instant: number): record is AttemptRecord {
  return record !== undefined && record.startedAt <= instant;
}

/**
 * The record, with its lease and its pause cut to what they were measured from now on when the server's clock has stepped back since, and to
 * the longest that options allow.
 */
function bounded(record: AttemptRecord, now: number): AttemptRecord {
  const { startedAt, changedAt = startedAt } = record;
  const back = Math.max(0, startedAt - now, changedAt - now);
  const latest = now + LONGEST_PAUSE_MS;
  const leaseEndsAt = Math.min(Math.max(0, record.leaseEndsAt - back), latest);
  const notBefore = Math.min(Math.max(0, record.notBefore - back), latest);
  if (back === 0 && leaseEndsAt === record.leaseEndsAt && notBefore === record.notBefore)
    return record;
  return {
    ...record,
    ...(back > 0 && { startedAt: Math.min(startedAt, now), changedAt: Math.min(changedAt, now) }),
    leaseEndsAt,
    notBefore,
  };
}

/** The replacement of a record that was lost with all other data. */
function recreated(
  { now }: AttemptView,
  { id, number, failures }: RenewAttempt | EndAttempt,
  by: AttemptOwner,
): AttemptRecord {
  return {
    id,
    instance: by.instance,
    name: by.name,
    number: count(number),
    startedAt: now,
    leaseEndsAt: 0,
    outcome: 'running',
    failures: count(failures),
    notBefore: 0,
  };
}

/** Whether the effect of an attempt without an answer is still unknown; a later failed or needless attempt does not settle that. */
function leavesDoubt(record: AttemptRecord | undefined): boolean {
  const { outcome, inDoubt = false } = record ?? {};
  if (outcome === 'failed' || outcome === 'needless') return inDoubt;
  return outcome === 'running' || outcome === 'unanswered';
}

/** The record, unless it yields: another attempt that started from nothing takes no precedence over one that did not. */
function unlessFromNothing(
  record: AttemptRecord | undefined,
  { id, startedFromNothing }: Pick<RenewAttempt, 'id' | 'startedFromNothing'>,
): AttemptRecord | undefined {
  const yields = record?.startedFromNothing === true && record.id !== id && !startedFromNothing;
  return yields ? undefined : record;
}

function isSameEnd(a: number | undefined, b: number | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Math.abs(a - b) <= SAME_END_MS;
}

function later(now: number, ms: number): number {
  return now + Math.ceil(ms);
}

/** A count within the limit of the parser. */
function count(value: number): number {
  return Math.min(value, MAX_COUNT);
}

function finite(instant: number | undefined): number | undefined {
  return Number.isFinite(instant) ? instant : undefined;
}
