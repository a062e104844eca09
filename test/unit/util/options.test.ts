import { describe, expect, test } from 'vitest';

import { InvalidOptionError } from 'credstream';

import {
  checkOptions,
  ms,
  required,
  resolveOptions,
  word,
  type OptionsTable,
} from '../../../src/util/options.js';

interface Tea {
  readonly kind: string;
  readonly drawMs?: number | undefined;
  readonly restMs?: number | undefined;
  readonly milk?: 'none' | 'some' | undefined;
}

const TEA: OptionsTable<Tea, 'restMs'> = {
  kind: required({
    check: (value, name) => {
      if (typeof value !== 'string') throw new InvalidOptionError(name, 'must be a string');
    },
    range: 'a string',
    cost: '',
  }),
  drawMs: ms({ default: 180_000, min: 1_000, max: Infinity, cost: '' }),
  restMs: ms({ default: undefined, cost: '' }),
  milk: word({ default: 'none', of: ['none', 'some'], cost: '' }),
};

const resolve = (given: unknown): unknown => resolveOptions<Tea, 'restMs'>(TEA, given as Tea);
const check = (given: unknown): void => checkOptions(TEA, given as object);

class Getters {
  readonly kind = 'green';
  readonly #drawMs: unknown;
  constructor(drawMs: unknown) {
    this.#drawMs = drawMs;
  }
  get drawMs(): unknown {
    return this.#drawMs;
  }
  unrelated(): void {}
}

describe('a table of options', () => {
  test('fills in the default of each option that is left out or undefined', () => {
    const all = { kind: 'green', drawMs: 180_000, restMs: undefined, milk: 'none' };
    expect(resolve({ kind: 'green' })).toStrictEqual(all);
    expect(resolve({ kind: 'green', drawMs: undefined, milk: 'some' })).toStrictEqual({
      ...all,
      milk: 'some',
    });
  });

  test.each([
    ['a missing option that is required', {}, 'kind'],
    ['null for an option with a default', { kind: 'green', drawMs: null }, 'drawMs'],
    ['null for an option without a default', { kind: 'green', restMs: null }, 'restMs'],
    ['a value out of range', { kind: 'green', drawMs: 999 }, 'drawMs'],
    ['another word', { kind: 'green', milk: 'much' }, 'milk'],
    ['an unknown name', { kind: 'green', sugar: undefined }, 'sugar'],
    ['a name that every object inherits', { kind: 'green', toString: 1 }, 'toString'],
    ['a wrong value behind a getter of a class', new Getters('long'), 'drawMs'],
    ['a wrong inherited value', Object.create({ kind: 'green', drawMs: 'long' }), 'drawMs'],
    ['a wrong value without a prototype', { __proto__: null, kind: 'green', drawMs: 1 }, 'drawMs'],
    ['null for the options', null, 'options'],
    ['a string for the options', 'green', 'options'],
  ])('refuses %s, whether it resolves or only checks', (_case, given, option) => {
    const refused: unknown = expect.objectContaining({ code: 'INVALID_OPTION', option });
    expect(() => resolve(given)).toThrow(refused);
    if (option !== 'kind') expect(() => check(given)).toThrow(refused);
  });

  test('reads values from getters, and ignores inherited names', () => {
    expect(resolve(new Getters(5_000))).toMatchObject({ kind: 'green', drawMs: 5_000 });
    expect(() => check(new Getters(5_000))).not.toThrow();
    expect(() => check(Object.create({ kind: 'green', sugar: 1 }))).not.toThrow();
  });

  test('describes the values of an option in words', () => {
    const rangeOf = (row: { readonly range: string }): string => row.range;
    expect([TEA.drawMs, TEA.restMs, TEA.milk].map(rangeOf)).toEqual([
      'from 1,000 ms, or `Infinity`',
      'from 1 ms',
      '`none`, `some`',
    ]);
  });
});
