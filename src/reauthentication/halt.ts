import { fileURLToPath } from 'node:url';

import type { OAuthErrorCode } from '../backend/attempts.js';
import { CredstreamError } from '../errors.js';
import { isPlainText } from '../util/option-checks.js';
import { isError, readAt } from './judgment/error-shapes.js';
import { isProgramError } from './judgment/program-error.js';
import { refusalOf } from './judgment/refusal.js';

/** Why one instance makes no attempts, while others may: another try of this instance cannot succeed, or hardly can. */
export interface Halt {
  /** `client`: the provider refuses the client as which this instance asks. `program`: the caller's function, or its result, is a mistake. */
  readonly reason: 'client' | 'program';
  /** The number of the attempt. */
  readonly attempt: number;
  readonly oauthError: OAuthErrorCode | undefined;
  /** The failure in words that quote no data. */
  readonly failure: string;
  /** An error of this package about the result. */
  readonly cause: Error | undefined;
  /** The monotonic instant of the next try; `Infinity` where only another program, or other credentials, can succeed. */
  readonly until: number;
}

const MAX_LINE = 200;

/** The folder of this package, as stacks show it. */
const OWN = fileURLToPath(new URL('..', import.meta.url));

/** Whether a line of a stack is a call in the caller's own code. */
function isCallers(line: string): boolean {
  return /^\s+at /.test(line) && !/node:|node_modules/.test(line) && !line.includes(OWN);
}

/** The part of a failure that halts this instance, if it does. */
export function haltingFailure(
  error: unknown,
  fn: string,
): Pick<Halt, 'reason' | 'oauthError' | 'failure'> | undefined {
  const refusal = refusalOf(error);
  if (refusal?.of === 'client') {
    const { oauthError } = refusal;
    const code = oauthError === undefined ? '' : ` (${oauthError})`;
    return { reason: 'client', oauthError, failure: `the provider refuses this client${code}` };
  }
  if (refusal !== undefined || !isProgramError(error)) return undefined;
  return { reason: 'program', oauthError: undefined, failure: `${fn} threw ${inShort(error)}` };
}

/** The failure of a result that cannot be stored, or not be read back. */
export function unusableResult(cause: unknown, fn: string): Pick<Halt, 'failure' | 'cause'> {
  const known = cause instanceof CredstreamError ? cause : undefined;
  const why = known === undefined ? '' : `: ${known.message}`;
  return { failure: `the result of ${fn} cannot be stored${why}`, cause: known };
}

/** The class of an error and the first line of its stack that is the caller's own. The message may quote data and is left out. */
function inShort(error: unknown): string {
  const name = readAt(error, ['name']);
  const shown = typeof name === 'string' && /^\w{1,64}$/.test(name) ? name : 'an error';
  const stack = isError(error) ? readAt(error, ['stack']) : undefined;
  if (typeof stack !== 'string') return shown;
  const line = stack
    .split('\n')
    .filter(isCallers)
    .map((one) => one.trim())
    .find((one) => one.length <= MAX_LINE && isPlainText(one));
  return line === undefined ? shown : `${shown} ${line}`;
}
