import { withdrawalOf, type CredentialSnapshot } from '../../credential/snapshot.js';
import { WithdrawnError } from '../../credential/withdrawal.js';
import { combineSignals } from '../../util/combined-signal.js';
import { callSafely } from '../../util/callbacks.js';
import { causesOf, isObject, readAt } from '../judgment/error-shapes.js';
import { isUnauthorized } from '../judgment/unauthorized.js';
import type { CredentialsOptions, UseContext, UseOptions } from '../options.js';

/** The parts of a `Reauthenticator` that a call with one repetition needs. */
interface Source<T> {
  snapshot(options: CredentialsOptions): Promise<CredentialSnapshot<T>>;
  /** Says whether newer credentials can come: not after `close()`. */
  refuse(snapshot: CredentialSnapshot<T>): boolean;
  /** Reports what the option `rejected` threw. */
  failed(error: unknown): void;
}

type Call<T, R> = (credentials: T, context: UseContext<T>) => R | PromiseLike<R>;

type Outcome<R> = { readonly result: R } | { readonly error: unknown };

/** Calls `fn` with valid credentials, and once more with the next ones when the first were refused. */
export async function useCredentials<T, R>(
  source: Source<T>,
  fn: Call<T, R>,
  { rejected = isUnauthorized, repeat = true, ...options }: UseOptions,
): Promise<R> {
  const first = await source.snapshot(options);
  const outcome = await call(fn, first, options.signal);
  const isRefused =
    isTrue(rejected, 'error' in outcome ? outcome.error : outcome.result, source) ||
    wasAbortedByRejection(outcome, first, options.signal);
  if (!isRefused) return settle(outcome);
  if (!source.refuse(first) || !repeat) return settle(outcome);
  const next = source.snapshot(options);
  // An answer that nobody reads would hold its connection.
  cancelBody(outcome);
  return settle(await call(fn, await next, options.signal));
}

async function call<T, R>(
  fn: Call<T, R>,
  snapshot: CredentialSnapshot<T>,
  own: AbortSignal | undefined,
): Promise<Outcome<R>> {
  const withdrawn = withdrawalOf(snapshot)?.signalOfCalls ?? snapshot.signal;
  const signal = own === undefined ? withdrawn : combineSignals(withdrawn, own);
  try {
    return { result: await fn(snapshot.credentials, { snapshot, signal }) };
  } catch (error) {
    return { error };
  }
}

/** Whether the function listened to the signal of the snapshot itself, which another caller's rejection aborted. */
function wasAbortedByRejection(
  outcome: Outcome<unknown>,
  { signal }: CredentialSnapshot<unknown>,
  own: AbortSignal | undefined,
): boolean {
  if (!('error' in outcome) || !signal.aborted || own?.aborted === true) return false;
  const reason: unknown = signal.reason;
  if (!(reason instanceof WithdrawnError) || reason.change.type !== 'rejected') return false;
  // An error of the caller's own signal is another one.
  return [...causesOf(outcome.error)].includes(reason);
}

/** An error of the caller's function must not replace the outcome. */
function isTrue(
  rejected: (outcome: unknown) => boolean,
  outcome: unknown,
  { failed }: Pick<Source<unknown>, 'failed'>,
): boolean {
  let isRefused: unknown = false;
  callSafely(() => (isRefused = rejected(outcome)), [], failed);
  return isRefused === true;
}

function cancelBody(outcome: Outcome<unknown>): void {
  if ('error' in outcome || !isObject(outcome.result)) return;
  const body = readAt(outcome.result, ['body']);
  const cancel = readAt(body, ['cancel']);
  if (typeof cancel !== 'function' || readAt(body, ['locked']) === true) return;
  // A body that has ended or failed cannot be cancelled, and needs no cancelling.
  callSafely(
    () => cancel.call(body) as unknown,
    [],
    () => undefined,
  );
}

function settle<R>(outcome: Outcome<R>): R {
  if ('error' in outcome) throw outcome.error;
  return outcome.result;
}
