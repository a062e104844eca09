/*
 * The floors of the house (docs/inside/architecture.md), from the ground up. A room imports only rooms on lower floors; two rooms on
 * one floor do not know each other.
 */
const FLOORS = [
  ['errors.ts', 'time'],
  ['util'],
  ['credential'],
  ['backend'],
  ['watching'],
  ['writing'],
  ['stores'],
  ['derived', 'reauthentication', 'memory', 'redis'],
  ['testing'],
  ['index.ts'],
];
/** The rooms of `src/redis`, likewise. */
const REDIS_FLOORS = [
  ['reply-errors.ts', 'keys.ts', 'connection-options.ts'],
  ['client'],
  ['connection'],
  ['commands'],
  ['feed'],
  ['servers'],
  ['client-pool.ts'],
  ['backend.ts'],
  ['store.ts', 'directory.ts'],
];

const isFile = (room) => room.endsWith('.ts');
const pathOf = (base, room) =>
  `^src/${base}${room.replaceAll('.', '\\.')}${isFile(room) ? '$' : '/'}`;

const floorRules = (base, floors) =>
  floors
    .flatMap((rooms, floor) =>
      rooms.map((room) => {
        const above = floors.slice(floor + 1).flat();
        const beside = rooms.filter((one) => one !== room && !isFile(one));
        return {
          name: `floor-of-${base}${room}`,
          comment: 'A room imports only what lies on a lower floor.',
          severity: 'error',
          from: { path: pathOf(base, room) },
          to: { path: [...above, ...beside].map((one) => pathOf(base, one)) },
        };
      }),
    )
    .filter(({ to }) => to.path.length > 0);

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...floorRules('', FLOORS),
    ...floorRules('redis/', REDIS_FLOORS),
    {
      name: 'no-cycles',
      comment: 'Imports point one way; a cycle means two modules are one, or a noun is missing.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'resolvable',
      comment: 'Every import leads somewhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'ioredis-in-redis-only',
      comment: 'The client is known to one folder, types included.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/redis/' },
      to: { path: ['(^|/)node_modules/ioredis5?4?/', '^ioredis5?4?(/|$)'] },
    },
    {
      name: 'redis-behind-the-seam',
      comment: 'Only the composition root joins the core with Redis.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/redis/', '^src/index\\.ts$'] },
      to: { path: '^src/redis/' },
    },
    {
      name: 'memory-behind-the-seam',
      comment:
        'Only the composition root and the test kit join the core with the embedded backend.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/memory/', '^src/testing/', '^src/index\\.ts$'] },
      to: { path: '^src/memory/' },
    },
    {
      name: 'testing-is-a-leaf',
      comment: 'What is meant for tests is never part of the library itself, nor of its entry.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/testing/' },
      to: { path: '^src/testing/' },
    },
    {
      name: 'root-is-not-imported',
      comment:
        'src/index.ts gathers names for users; inside, import the module that owns the name.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^src/index\\.ts$' },
    },
    {
      name: 'src-stands-alone',
      comment: 'What is published does not lean on test or examples.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|examples)/' },
    },
    {
      name: 'declared-dependencies-only',
      comment: 'A package that users do not get with the library cannot be imported by it.',
      severity: 'error',
      from: { path: '^src/' },
      // ioredis is a peer as well as a development dependency.
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'npm-optional'],
        dependencyTypesNot: ['npm', 'npm-peer'],
      },
    },
  ],
  options: {
    // Types count: a type from ioredis in the core ties the core to ioredis.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
      mainFields: ['module', 'main', 'types'],
    },
  },
};
