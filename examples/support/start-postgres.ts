import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import { Client } from 'pg';

import { freePort } from '../../test/support/free-port.js';
import { spawnGuarded } from '../../test/support/guarded-process.js';

/** What an administrator connects with. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** A running server that is ours. */
export interface PostgresServer extends AsyncDisposable {
  readonly admin: PostgresAddress;
  /** How it came. */
  readonly how: string;
}

const run = promisify(execFile);

const ADMIN = 'postgres';
const START_DEADLINE_MS = 20_000;
const IMAGE = 'postgres:17-alpine';
const NONE =
  'No PostgreSQL to start: install one (apt-get install postgresql, brew install postgresql), or set PG_BIN to the folder of its programs, or start Docker.';

/** Starts a server of our own, from the programs on this machine or else in a container; `undefined`, and why, where there is neither. */
export async function startPostgres(
  environment: NodeJS.ProcessEnv = process.env,
): Promise<PostgresServer | { readonly why: string }> {
  const given = environment['PG_BIN'];
  const folder = await findPrograms(given, environment['PATH'] ?? '');
  if (folder !== undefined) return startFromPrograms(folder);
  if (given) return { why: NONE };
  try {
    return await startContainer();
  } catch {
    // What goes wrong without Docker has many names; what helps is the same.
    return { why: NONE };
  }
}

async function findPrograms(given: string | undefined, path: string): Promise<string | undefined> {
  // Debian keeps them apart from the path, by version.
  const debian = '/usr/lib/postgresql';
  const versions = await readdir(debian).catch((): string[] => []);
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a));
  const folders = given
    ? [given]
    : [...newestFirst.map((version) => join(debian, version, 'bin')), ...path.split(delimiter)];
  for (const folder of folders) {
    const names = await readdir(folder).catch((): string[] => []);
    if (['initdb', 'postgres'].every((name) => names.includes(name))) return folder;
  }
  return undefined;
}

async function startFromPrograms(folder: string): Promise<PostgresServer> {
  const directory = await mkdtemp(join(tmpdir(), 'credstream-postgres-'));
  const password = newPassword();
  try {
    const owner = await unprivilegedUser();
    const data = join(directory, 'data');
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (owner !== undefined) {
      for (const path of [directory, passwordFile]) await chown(path, owner.uid, owner.gid);
    }
    const authentication = ['--auth=scram-sha-256', `--pwfile=${passwordFile}`];
    const cluster = ['--encoding=UTF8', '--locale=C', '--no-sync', `--username=${ADMIN}`];
    const environment = { PATH: process.env['PATH'], LC_ALL: 'C' };
    await run(join(folder, 'initdb'), ['-D', data, ...cluster, ...authentication], {
      ...owner,
      cwd: directory,
      env: environment,
    });
    const port = await freePort();
    const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off' };
    const server = await spawnGuarded(
      join(folder, 'postgres'),
      [
        ...['-D', data, '-p', String(port)],
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      { ...owner, cwd: directory, env: environment, stdio: 'ignore', removeWithOrphan: directory },
    );
    const stop = async (): Promise<void> => {
      // Does not wait for clients, as SIGTERM would.
      server.signal('SIGINT');
      await server.terminate();
      await rm(directory, { recursive: true, force: true });
    };
    const admin = { host: '127.0.0.1', port, user: ADMIN, password, database: ADMIN };
    try {
      await untilItAnswers(admin, () => server.isRunning);
    } catch (error) {
      await stop();
      throw error;
    }
    return { admin, how: join(folder, 'postgres'), [Symbol.asyncDispose]: stop };
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

/** PostgreSQL refuses to run as root. */
async function unprivilegedUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, name])));
      return { uid: Number(uid!.stdout), gid: Number(gid!.stdout) };
    } catch {
      // There is no such user.
    }
  }
  throw new Error('this is root, as which PostgreSQL does not run, and there is no other user');
}

async function startContainer(): Promise<PostgresServer> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const password = newPassword();
  const container = await new GenericContainer(IMAGE)
    .withEnvironment({ POSTGRES_PASSWORD: password })
    .withExposedPorts(5432)
    // It starts twice: the first time only to set itself up.
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .withStartupTimeout(START_DEADLINE_MS * 3)
    .start();
  const [host, port] = [container.getHost(), container.getMappedPort(5432)];
  const stop = async (): Promise<void> => {
    await container.stop();
  };
  const admin = { host, port, user: ADMIN, password, database: ADMIN };
  return { admin, how: `container ${IMAGE}`, [Symbol.asyncDispose]: stop };
}

async function untilItAnswers(admin: PostgresAddress, isRunning: () => boolean): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS;
  while (isRunning() && performance.now() < deadline) {
    const client = new Client(admin);
    client.on('error', () => {});
    try {
      await client.connect();
      await client.end();
      return;
    } catch {
      await delay(50);
    }
  }
  throw new Error('PostgreSQL was started and does not answer');
}

function newPassword(): string {
  return `secret-${randomBytes(18).toString('base64url')}`;
}
