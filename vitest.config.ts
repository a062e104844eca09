import { fileURLToPath } from 'node:url';

import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const fromRoot = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Tests of these files stop servers, measure the heap, replace a package or run the machine hot: each has a process of its own. */
const ALONE = [
  'test/examples/**/*.test.ts',
  'test/faults/**/*.test.ts',
  'test/integration/traces.test.ts',
  'test/package/**/*.test.ts',
  'test/topology/cluster-ioredis5.test.ts',
];
/** Begun first, so that no worker is left alone with one of them at the end: those that wait beside those that compute. */
const LONGEST = [
  'test/examples/demo',
  'test/docs/docs',
  'test/faults/chaos',
  'test/package/',
  'test/examples/',
  'test/reauthentication/expiries',
  'test/topology/sentinel.test',
  'test/integration/support/topologies',
  'test/integration/client-matrix',
  'test/topology/cluster-failover',
];

/** Longest first; then files that have a process of their own, so that those which share one do not wait for them. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      const longest = LONGEST.findIndex((path) => moduleId.includes(path));
      if (longest >= 0) return longest;
      return LONGEST.length + (project.config.isolate ? 0 : 1);
    };
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
  }
}

const project = (
  name: string,
  test: TestProjectInlineConfiguration['test'],
): TestProjectInlineConfiguration => ({
  resolve: {
    // The same two names as `paths` in tsconfig.json. The longer one first: the first match wins.
    alias: [
      { find: /^credstream\/testing$/, replacement: fromRoot('./src/testing/index.ts') },
      { find: /^credstream$/, replacement: fromRoot('./src/index.ts') },
    ],
  },
  test: { name, pool: 'forks', testTimeout: 180_000, hookTimeout: 600_000, ...test },
});

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    // Most of what tests do is wait: for servers, for links to be given up, for ends of credentials. Two cores are busy with four.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    projects: [
      // Their concurrent tests start several processes each.
      project('alone', { include: ALONE, isolate: true, maxConcurrency: 3 }),
      project('shared', {
        include: ['test/**/*.test.ts'],
        exclude: [...ALONE, 'test/bench/**', '**/node_modules/**'],
        isolate: false,
        typecheck: {
          enabled: true,
          include: ['test/types/**/*.test-d.ts'],
          tsconfig: './test/types/tsconfig.json',
          // Errors outside the type tests belong to `npm run types`.
          ignoreSourceErrors: true,
        },
      }),
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary', 'html', 'json-summary'],
    },
  },
});
