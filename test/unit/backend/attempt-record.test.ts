import { expect, it } from 'vitest';

import {
  encodeRecord,
  MAX_RECORD_BYTES,
  parseRecord as parseStored,
} from '../../../src/backend/attempt-record.js';
import type { AttemptRecord } from '../../../src/backend/attempts.js';

const record: AttemptRecord = {
  id: 'f0e1:1',
  instance: '01234567-89ab-4cde-8f01-23456789abcd',
  name: 'pod-7:1',
  number: 3,
  startedAt: 1_000,
  changedAt: 1_200,
  leaseEndsAt: 2_000,
  outcome: 'fatal',
  failures: 1,
  notBefore: 1_500,
  inDoubt: true,
  startedFromNothing: true,
  committed: 'c',
  endsAt: 5_000.5,
  oauthError: 'invalid_grant',
};
const parseRecord = (bytes: Buffer): AttemptRecord | undefined => parseStored(bytes).record;
const parse = (value: unknown): AttemptRecord | undefined =>
  parseRecord(Buffer.from(JSON.stringify(value)));

it('the record of an attempt comes back as it was', () => {
  expect(parseRecord(Buffer.from(encodeRecord(record)))).toEqual(record);
  const { id, instance, number, startedAt, leaseEndsAt, outcome, failures, notBefore } = record;
  const least = { id, instance, number, startedAt, leaseEndsAt, outcome, failures, notBefore };
  expect(JSON.stringify(parse(least))).toBe(JSON.stringify(least));
});

it('a record shows nothing but its own fields', () => {
  expect(parse({ ...record, more: 'text', __proto__: { text: 1 } })).toEqual(record);
});

it.each<[keyof AttemptRecord, readonly unknown[]]>([
  ['id', [undefined, 7, '', 'a b', 'a\n', 'é', 'x'.repeat(129), { toString: 1 }]],
  ['instance', [undefined, 7, '', 'x', 'pay at evil.example', `${record.instance}\n`]],
  ['name', [7, '', 'x'.repeat(129), 'a\nb', 'a\u202eb', null]],
  ['number', [undefined, '1', 0, -1, 1.5, 1e9 + 1, 1e300, null]],
  ['startedAt', [undefined, '1', -1, 0.5, 2 ** 53, 1e300]],
  ['leaseEndsAt', [undefined, '1', -1, 0.5, 2 ** 53, 1e300]],
  ['outcome', [undefined, 7, '', 'done', 'toString', ['fatal']]],
  ['failures', [undefined, '1', -1, 0.5, 1e9 + 1]],
  ['notBefore', [undefined, '1', -1, 0.5, 2 ** 53, 1e300]],
  ['inDoubt', ['true', 1, null]],
  ['startedFromNothing', ['true', 1, null]],
  ['committed', [7, '', 'a b', 'x'.repeat(129), null]],
  ['endsAt', ['5', null, {}]],
  ['oauthError', [7, '', 'pay_at_evil_example', { toString: 1 }, null]],
])('a record with another %s than the options allow is invalid', (name, values) => {
  for (const value of values) expect(parse({ ...record, [name]: value })).toBeUndefined();
});

it.each(['', 'x', 'null', '5', '[]', '"text"', '{}', '{"id":', '['.repeat(MAX_RECORD_BYTES)])(
  'the text %j is no record',
  (text) => {
    expect(parseRecord(Buffer.from(text))).toBeUndefined();
  },
);

it('a record that is too long is invalid, and is not parsed', () => {
  const long = Buffer.from(JSON.stringify(record).padEnd(MAX_RECORD_BYTES + 1));
  expect(parseRecord(long.subarray(0, MAX_RECORD_BYTES))).toEqual(record);
  expect(parseRecord(long)).toBeUndefined();
});

it.each([2, 99])('a record of the newer version %d is none that this version understands', (v) => {
  expect(parseStored(Buffer.from(JSON.stringify({ ...record, v })))).toEqual({
    record: undefined,
    newer: true,
  });
});

it.each([0, -1, 1.5, '2', null, {}, 1e300])('a record of version %j is none', (v) => {
  expect(parseStored(Buffer.from(JSON.stringify({ ...record, v })))).toEqual({
    record: undefined,
  });
});

it('a record says its version', () => {
  expect(JSON.parse(encodeRecord(record))).toMatchObject({ v: 1, id: record.id });
});
