import { describe, expect, it } from 'vitest';

import { versionIn } from '../../support/redis-server/redis-from-url.js';
import { ASKED, readAbilities, rulesFor } from '../../support/server-abilities.js';

/** The reply of a server that knows these commands, as `COMMAND INFO` gives it. */
const replyOf = (...known: readonly string[]): unknown[] =>
  ASKED.map((name) => (known.includes(name) ? [name, 2, ['readonly'], 1, 1, 1] : null));

const REDIS_7 = [
  ...['pexpiretime', 'evalsha_ro', 'eval_ro', 'function', 'fcall', 'fcall_ro'],
  ...['acl|dryrun', 'cluster|addslotsrange'],
];

describe('the abilities of a server', () => {
  it('are none of those after 6.2 where it knows none of the commands', () => {
    expect(readAbilities(replyOf())).toEqual({
      givesEnds: false,
      readCommand: 'evalsha',
      readTextCommand: 'eval',
      splitsKeyRights: false,
      choosesBusPort: false,
      atomicMove: undefined,
      unknown: new Set(ASKED),
    });
  });

  it('are those of Redis 7', () => {
    expect(readAbilities(replyOf(...REDIS_7))).toEqual({
      givesEnds: true,
      readCommand: 'evalsha_ro',
      readTextCommand: 'eval_ro',
      splitsKeyRights: true,
      choosesBusPort: true,
      atomicMove: undefined,
      unknown: new Set(['cluster|migration', 'cluster|migrateslots']),
    });
  });

  it.each([
    ['pexpiretime', { givesEnds: true }],
    ['evalsha_ro', { readCommand: 'evalsha_ro' }],
    ['eval_ro', { readTextCommand: 'eval_ro' }],
    ['acl|dryrun', { splitsKeyRights: true }],
    ['cluster|addslotsrange', { choosesBusPort: true }],
    ['cluster|migration', { atomicMove: 'MIGRATION' }],
    ['cluster|migrateslots', { atomicMove: 'MIGRATESLOTS' }],
  ])('each follow from one command: %s', (command, expected) => {
    const none = readAbilities(replyOf());
    const { unknown, ...rest } = readAbilities(replyOf(command));
    expect({ ...none, ...expected, unknown }).toEqual({ ...rest, unknown });
    expect(unknown.has(command)).toBe(false);
  });

  it.each([
    ['no list', 'OK'],
    ['too few entries', replyOf().slice(1)],
    ['nothing', undefined],
  ])('are not guessed from a reply of another shape: %s', (_what, reply) => {
    expect(() => readAbilities(reply)).toThrow('COMMAND INFO gave no entry for each command');
  });
});

describe('the rules of a user', () => {
  const rules = ['-@all', '+evalsha_ro', '+eval_ro', '+pexpiretime', '+get', '%R~a', '%RW~b', '~c'];

  it('stay as they are on a server that has them all', () => {
    expect(rulesFor(readAbilities(replyOf(...REDIS_7)), rules)).toEqual(rules);
  });

  it('name only commands that the server knows, and the older ones in their place', () => {
    const abilities = readAbilities(replyOf());
    expect(rulesFor(abilities, rules)).toEqual([
      '-@all',
      '+get',
      '~a',
      '~b',
      '~c',
      '+pttl',
      '+evalsha',
      '+eval',
    ]);
    // Scripts that might write need both rights.
    expect(rulesFor(readAbilities(replyOf('acl|dryrun')), ['%R~a', '%W~b'])).toEqual([
      '~a',
      '%W~b',
    ]);
    expect(rulesFor(abilities, ['+@all', '-evalsha_ro', '-pexpiretime'])).toEqual(['+@all']);
    expect(rulesFor(abilities, ['+evalsha', '+evalsha_ro'])).toEqual(['+evalsha', '+eval']);
  });
});

describe('the version of a server', () => {
  it.each([
    ['redis_version:7.0.15', '7.0.15'],
    ['redis_git_sha1:0\r\nredis_version:8.0.2', '8.0.2'],
    ['redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2', '9.1.2'],
    ['redict_version:7.3.6\r\nredis_version:7.2.4', '7.3.6'],
    ['server_name:other', 'unknown'],
  ])('is its own wherever it stands: %s', (lines, version) => {
    expect(versionIn(`# Server\r\n${lines}\r\n`)).toBe(version);
  });
});
