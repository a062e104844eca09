import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

const SRC = new URL('../../../src/', import.meta.url);

/** Where each of these may stand: everywhere else it would run in the async context of the call that happened to come first. */
const ONLY_IN: readonly (readonly [what: string, pattern: RegExp, files: readonly string[]])[] = [
  ['setTimeout', /\bsetTimeout\(/, ['time/clock.ts']],
  ['setInterval', /\bsetInterval\(/, []],
  ['setImmediate', /\bsetImmediate\(/, ['time/clock.ts']],
  ['queueMicrotask', /\bqueueMicrotask\(/, ['derived/value.ts']],
  ['process.nextTick', /\bnextTick\(/, []],
  ['node:async_hooks', /node:async_hooks/, ['time/async-context.ts']],
  [
    'a client of ioredis',
    /\bnew (Redis|Cluster)\(|\.duplicate\(/,
    ['redis/client/cluster-template.ts', 'redis/client/template.ts'],
  ],
  ['openClient', /\bopenClient\(/, ['redis/client/template.ts', 'redis/connection/connection.ts']],
];

/** The code of a file, without comments and the text of messages. */
function codeOf(file: string): string {
  return readFileSync(new URL(file, SRC), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/(?<!from )'[^'\n]*'/g, "''");
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.startsWith('testing/'))
  .map((file) => ({ file, code: codeOf(file) }));

describe('work that may outlive a call begins in the root context', () => {
  it.each(ONLY_IN)('%s stands only where that is seen to', (_, pattern, allowed) => {
    const found = files.filter(({ code }) => pattern.test(code)).map(({ file }) => file);
    expect(found.sort()).toEqual([...allowed].sort());
  });

  it('a stream for callers delivers in the context of its subscriber', () => {
    const getters = /\bget \w+\$\(\): Observable<[\s\S]*?\n {2}\}/g;
    const found = files.flatMap(({ file, code }) =>
      (code.match(getters) ?? []).map((getter) => ({ file, getter })),
    );
    const bare = found
      .filter(({ getter }) => !/inSubscriberContext\(|this\.#(streams|coordinator)\./.test(getter))
      .map(({ file }) => file);
    // These are the events between rooms.
    expect([...new Set(bare)].sort()).toEqual([
      'stores/directory/credential-use.ts',
      'watching/event-source.ts',
    ]);
    expect(found.length).toBeGreaterThan(bare.length);
  });
});
