import { hostname } from 'node:os';
import { InvalidOptionError } from '../errors.js';
import { isPlainText } from './option-checks.js';

/** Long enough for the name of a pod with its process id. */
const MAX_LENGTH = 128;

/** The name of an instance that chose none: the host and the process. */
export const DEFAULT_INSTANCE_NAME: string = nameOfProcess();

/** Whether a value, also one from the wire, can be the name of an instance: a short plain text for people. */
export function isInstanceName(value: unknown): value is string {
  return (
    typeof value === 'string' && value !== '' && value.length <= MAX_LENGTH && isPlainText(value)
  );
}

/** Checks the option `name`. @throws InvalidOptionError */
export function checkInstanceName(value: unknown): string {
  if (isInstanceName(value)) return value;
  throw new InvalidOptionError(
    'name',
    `must be a string of 1 to ${String(MAX_LENGTH)} characters, none of them a control character`,
  );
}

function nameOfProcess(): string {
  const end = `:${String(process.pid)}`;
  const host = hostname().replace(/[^!-~]/g, '');
  return host.slice(0, MAX_LENGTH - end.length) + end;
}
