import { bindFunctions } from '../time/async-context.js';
import { systemClock, type Clock } from '../time/clock.js';
import { InvalidOptionError } from '../errors.js';
import { adviceFor, nearMiss } from './near-miss.js';
import {
  checkBoolean,
  checkClock,
  checkCount,
  checkFunction,
  checkMs,
  checkReason,
  checkSignal,
  describeType,
} from './option-checks.js';

/** One row of a table: the check of an option, and its words in `docs/reference/defaults.md`. */
interface OptionRow {
  /** Throws an InvalidOptionError for a value that the option must not have; gets `undefined` only when the option is required. */
  readonly check: (value: unknown, name: string) => unknown;
  /** The values that are taken, in words. */
  readonly range: string;
  /** The cost of a change, in words. */
  readonly cost: string;
}

/** An option that must be given. */
export interface RequiredOption extends OptionRow {
  readonly required: true;
}

/** An option that may be left out; `default` then holds. */
export interface OptionalOption<V> extends OptionRow {
  readonly required: false;
  readonly default: V;
  /** The default in words, where the value does not show it. */
  readonly shown: string | undefined;
}

/**
 * All options of an interface, each with its row: the type system lets none be forgotten and none be invented. `Open` names the options
 * that have no default value.
 */
export type OptionsTable<O, Open extends keyof O = never> = {
  readonly [K in keyof O]-?: undefined extends O[K]
    ? OptionalOption<K extends Open ? undefined : Exclude<O[K], undefined>>
    : RequiredOption;
};

/** Options with the defaults filled in. */
export type Resolved<O, Open extends keyof O = never> = {
  readonly [K in keyof O]-?: K extends Open ? O[K] : Exclude<O[K], undefined>;
};

/** A table of any interface. */
export type OptionRows = Readonly<Record<string, RequiredOption | OptionalOption<unknown>>>;

/** Refuses options that are no object, or that hold a name which is not in the table. */
export function checkNames(table: OptionRows, given: unknown): void {
  checkObject(given);
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(table, name)) throw unknownOption(table, name);
  }
}

/** Checks names and values without filling in defaults. For frequent calls: visits only the given options, and allocates nothing. */
export function checkOptions(table: OptionRows, given: object): void {
  checkObject(given);
  for (const name in given) {
    if (Object.hasOwn(table, name)) checkValue(table, given, name);
    else if (Object.hasOwn(given, name)) throw unknownOption(table, name);
  }
  // The loop above skips getters of a class.
  if (Object.getPrototypeOf(given) !== Object.prototype)
    for (const name in table) checkValue(table, given, name);
}

function unknownOption(table: OptionRows, name: string): InvalidOptionError {
  const names = Object.keys(table);
  const advice = adviceFor(name, names);
  if (advice !== undefined) return new InvalidOptionError(name, `was renamed: give ${advice}`);
  const meant = nearMiss(name, names);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  return new InvalidOptionError(name, `is not an option${hint}`);
}

/** Checks names and values, fills in the defaults, and binds the functions to the context of the caller. */
export function resolveOptions<O extends object, Open extends keyof O>(
  table: OptionsTable<O, Open>,
  given: O,
): Resolved<O, Open> {
  checkNames(table, given);
  return bindFunctions(resolvePart(table, given));
}

/**
 * The options of one table, when the given options belong to several tables whose names were checked together; with the functions as they were
 * given.
 */
export function resolvePart<O extends object, Open extends keyof O>(
  table: OptionsTable<O, Open>,
  given: O,
): Resolved<O, Open>;
export function resolvePart(table: OptionRows, given: object): object {
  const resolved: Record<string, unknown> = {};
  for (const name of Object.keys(table)) resolved[name] = checkValue(table, given, name);
  return resolved;
}

/** The default replaces only a missing option; `null` is a wrong value like any other. */
function checkValue(table: OptionRows, given: object, name: string): unknown {
  const row = table[name];
  const value = (given as Readonly<Record<string, unknown>>)[name];
  if (row === undefined) return value;
  if (value === undefined && !row.required) return row.default;
  row.check(value, name);
  return value;
}

function checkObject(given: unknown): asserts given is object {
  if (typeof given !== 'object' || given === null)
    throw new InvalidOptionError('options', `must be an object, not ${describeType(given)}`);
}

/** The part of a row about its default. */
interface Defaulted<D> {
  readonly default: D;
  readonly shown?: string;
  readonly cost: string;
}

/** Any optional option. */
export function option<D>(
  row: Defaulted<D> & Pick<OptionRow, 'check' | 'range'>,
): OptionalOption<D> {
  const { check, default: value, shown, range, cost } = row;
  return { required: false, check, default: value, shown, range, cost };
}

/** Any option that must be given. */
export function required(row: OptionRow): RequiredOption {
  return { required: true, ...row };
}

/** A duration in milliseconds. */
export function ms<D extends number | undefined>(
  row: Defaulted<D> & {
    readonly min?: number;
    readonly max?: number;
    /** A duration below this one, other than 0, is probably a number of seconds. */
    readonly suspectBelow?: number;
  },
): OptionalOption<D> {
  const { min = 1, max, suspectBelow = 0 } = row;
  let hasWarned = false;
  const upTo =
    max === undefined ? ' ms' : max === Infinity ? ' ms, or `Infinity`' : ` to ${inWords(max)} ms`;
  const range = `from ${inWords(min)}${upTo}`;
  const check = (value: unknown, name: string): void => {
    const given = checkMs(value, name, min, max);
    if (given === 0 || given >= suspectBelow || hasWarned) return;
    hasWarned = true;
    process.emitWarning(
      `${name}: ${String(given)} is a number of milliseconds; should it be ${inWords(given * 1_000)}, for ${String(given)} seconds?`,
      'CredstreamWarning',
    );
  };
  return option({ ...row, check, range });
}

/** A whole number from 1. */
export function count<D extends number | undefined>(
  row: Defaulted<D> & { readonly max: number },
): OptionalOption<D> {
  const { max } = row;
  const range = max === Infinity ? 'from 1' : `from 1 to ${inWords(max)}`;
  return option({ ...row, check: (value, name) => checkCount(value, name, max), range });
}

/** A number from 0 to `max`, as a share. */
export function share<D extends number | undefined>(
  row: Defaulted<D> & { readonly max: number },
): OptionalOption<D> {
  const { max } = row;
  const check = (value: unknown, name: string): void => {
    if (typeof value !== 'number' || !(value >= 0 && value <= max))
      throw new InvalidOptionError(
        name,
        `must be a number from 0 to ${String(max)}, not ${describeType(value)}`,
      );
  };
  return option({ ...row, check, range: `from 0 to ${inWords(max)}` });
}

export function flag(cost: string): OptionalOption<boolean> {
  return option({ default: false, check: checkBoolean, range: '`true`, `false`', cost });
}

/** One of some words. */
export function word<W extends string>(
  row: Defaulted<W> & { readonly of: readonly W[] },
): OptionalOption<W> {
  const words: readonly unknown[] = row.of;
  const check = (value: unknown, name: string): void => {
    if (!words.includes(value))
      throw new InvalidOptionError(
        name,
        `must be ${row.of.map((one) => `'${one}'`).join(' or ')}, not ${typeof value === 'string' ? 'another string' : describeType(value)}`,
      );
  };
  return option({ ...row, check, range: row.of.map((one) => `\`${one}\``).join(', ') });
}

/** A function of the caller. */
export function callback<D extends ((...args: never) => unknown) | undefined>(
  row: Defaulted<D>,
): OptionalOption<D> {
  return option({ ...row, check: checkFunction, range: 'a function' });
}

export function requiredFunction(cost: string): RequiredOption {
  const check = (value: unknown, name: string): void => {
    if (typeof value !== 'function')
      throw new InvalidOptionError(name, `must be a function, not ${describeType(value)}`);
  };
  return required({ check, range: 'a function', cost });
}

export function callbackErrors(of: string): OptionalOption<undefined> {
  return callback({
    default: undefined,
    shown: 'a warning',
    cost: `Gets the errors of ${of}. The default is \`process.emitWarning\` without the error's message, which may hold a secret.`,
  });
}

export function clock(whose: string): OptionalOption<Clock> {
  return option({
    default: systemClock,
    shown: '`systemClock`',
    check: checkClock,
    range: 'a `Clock`',
    cost: `For tests. ${whose}`,
  });
}

export function random(): OptionalOption<() => number> {
  return callback({
    default: () => Math.random(),
    shown: '`Math.random`',
    cost: 'For tests: the jitter of pauses.',
  });
}

export function reason(cost: string): OptionalOption<undefined> {
  return option({
    default: undefined,
    check: checkReason,
    range: 'a string of at most 256 characters',
    cost,
  });
}

export function signal(cost: string): OptionalOption<undefined> {
  return option({ default: undefined, check: checkSignal, range: 'an `AbortSignal`', cost });
}

/** A number with commas. `toLocaleString` would load the data of languages into every program. */
function inWords(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}
