/**
 * Rotate a database password while queries go on. The password lasts three seconds here (PostgreSQL's VALID UNTIL). Halfway one of two
 * processes gives a new one to the other of two roles, and every process builds a new pool from it; the old pool ends with its last query.
 *
 *   npx tsx examples/08-database-password-rotation.ts
 *
 * Takes the Redis at REDIS_URL, or starts one. Starts a PostgreSQL of its own: from the programs on this machine, or in a container.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { Redis } from 'ioredis';
import { Client, Pool } from 'pg';

import { derive, type Derived, Reauthenticator, RedisCredentialStore } from 'credstream';

import { startPostgres } from './support/start-postgres.js';
import { startRedis } from './support/start-redis.js';

interface Login {
  readonly user: string;
  readonly password: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

const LASTS_MS = 3_000;
/** Two roles with the same rights. The old one goes on to work while the new one spreads, so no connection is refused in between. */
const ROLES = ['app_blue', 'app_green'] as const;

const postgres = await startPostgres();
if ('why' in postgres) {
  console.log(postgres.why);
  process.exit(1);
}
await using database = postgres;
await using redisServer = await startRedis();
const { host, port } = database.admin;

// Who rotates needs more rights than who queries. In earnest this is a role that may alter these two and no more.
const admin = new Client(database.admin);
await admin.connect();
await admin.query('CREATE TABLE orders AS SELECT generate_series(1, 100) AS id');
for (const role of ROLES) {
  await admin.query(`CREATE ROLE ${role} LOGIN`);
  await admin.query(`GRANT SELECT ON orders TO ${role}`);
}

/** One process of several. */
class Instance {
  readonly auth: Reauthenticator<Login>;
  readonly store: RedisCredentialStore<Login>;
  readonly pools: Derived<Pool>;
  readonly #redis = new Redis(redisServer.url);

  constructor() {
    this.store = new RedisCredentialStore<Login>(this.#redis, {
      key: 'example:orders:login',
      expiresAt: (login) => login.expiresAt,
    });
    this.auth = new Reauthenticator(this.store, {
      leadFraction: 0.5,
      refresh: ({ previous }) => rotate(previous),
      // Makes the first one, when nobody has saved any: no person is needed for that.
      login: () => rotate(undefined),
    });
    // Once per login, on every instance.
    this.pools = derive(
      this.store,
      ({ user, password }) => new Pool({ host, port, user, password, database: 'postgres' }),
      { dispose: (pool) => pool.end() },
    );
  }

  async whoAmI(sql = 'SELECT current_user AS name'): Promise<string> {
    const { rows } = await this.pools.use((pool) => pool.query<{ name: string }>(sql));
    return rows[0]!.name;
  }

  async close(): Promise<void> {
    await this.pools.close();
    await this.store.close();
    this.#redis.disconnect();
  }
}

async function rotate(previous: Login | undefined): Promise<Login> {
  const user = previous?.user === ROLES[0] ? ROLES[1] : ROLES[0];
  const password = `secret-${randomBytes(18).toString('base64url')}`;
  const expiresAt = Date.now() + LASTS_MS;
  const until = new Date(expiresAt).toISOString();
  const quoted = admin.escapeLiteral(password);
  await admin.query(`ALTER ROLE ${user} PASSWORD ${quoted} VALID UNTIL '${until}'`);
  return { user, password, expiresAt };
}

const instances = [new Instance(), new Instance()] as const;
const [a, b] = instances;
const rotations = (): number => a.auth.counts.calls + b.auth.counts.calls;

const [first] = await Promise.all(instances.map(({ auth }) => auth.credentials()));
console.log(`both instances query as ${await a.whoAmI()} and ${await b.whoAmI()}`);
console.log(`passwords made: ${rotations()}`);

// Begins before the rotation and ends after it, on the pool that it began with.
const slow = a.whoAmI('SELECT current_user AS name FROM pg_sleep(2)');

// Queries without a pause, until both processes do so as the other role. One that is refused would end this program.
const names = new Set<string>();
let latest: readonly string[];
do {
  latest = await Promise.all(instances.map((instance) => instance.whoAmI()));
  for (const name of latest) names.add(name);
  await delay(10);
} while (latest.includes(first!.user));
console.log(`no query was refused; all were made as ${[...names].join(' or ')}`);
console.log(`a slow query that began as ${await slow} has ended`);
console.log(`passwords made: ${rotations()}`);

// The old password is worth nothing after its end, whoever has kept it.
await delay(Math.max(0, first!.expiresAt + 50 - Date.now()));
const { user, password } = first!;
const late = new Client({ host, port, user, password, database: 'postgres' });
late.on('error', () => {});
await late.connect().then(
  () => console.log('the old password still works'),
  (error: unknown) => console.log('with the old password:', (error as { code?: string }).code),
);

await a.store.clear();
await Promise.all(instances.map((instance) => instance.close()));
await admin.end();
