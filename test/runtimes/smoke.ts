// A program of somebody who installed the library, on any JavaScript runtime. Prints one line for each job that was done.
import {
  Reauthenticator,
  RedisCredentialDirectory,
  RedisCredentialStore,
  type CredentialChange,
} from 'credstream';
import { Redis } from 'ioredis';

interface Token {
  readonly accessToken: string;
}

const [url = process.env['REDIS_URL'] ?? ''] = process.argv.slice(2);
const key = `smoke:${process.pid}:${Date.now()}`;
const options = { key, heartbeatMs: 500 } as const;

/** The next change of a type. Where none comes, the caller ends the process at its deadline. */
function next(
  store: RedisCredentialStore<Token>,
  type: CredentialChange<Token>['type'],
): Promise<CredentialChange<Token>> {
  return new Promise((resolve) => store.once(type, resolve));
}

function expectEqual(what: string, actual: unknown, expected: unknown): void {
  if (actual === expected) return;
  throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

const client = new Redis(url, { lazyConnect: true });
client.on('error', (error) => console.error(error.name));
const writer = new RedisCredentialStore<Token>(client, options);
// Of the URL alone, without a client of the caller.
const reader = new RedisCredentialStore<Token>(url, options);

await reader.ready({ timeoutMs: 20_000 });
const saved = next(reader, 'saved');
await writer.save({ accessToken: 'first' });
await saved;
expectEqual('current', reader.current?.credentials.accessToken, 'first');
expectEqual('load', (await reader.load())?.accessToken, 'first');
console.log('save and subscribe');

const snapshot = await reader.read();
const updated = next(reader, 'saved');
await reader.save({ accessToken: 'second' }, { onlyIf: snapshot! });
await updated;
const { signal } = reader.current!;
console.log('compare and set');

const cleared = next(reader, 'cleared');
expectEqual('clear', await writer.clear(), true);
await cleared;
expectEqual('signal', signal.aborted, true);
expectEqual('current after clear', reader.current, undefined);
console.log('clear and abort');

const expired = next(reader, 'expired');
await writer.save({ accessToken: 'brief' }, { ttlSeconds: 1 });
await expired;
expectEqual('current after the end', reader.current, undefined);
console.log('expiry');

const directory = new RedisCredentialDirectory<Token>(client, { prefix: `${key}:tenant:` });
await directory.save('acme', { accessToken: 'tenant' });
const ids: string[] = [];
for await (const id of directory.ids()) ids.push(id);
expectEqual('ids', ids.join(), 'acme');
await directory.clear('acme');
await directory.close();
console.log('directory');

let logins = 0;
const logIn = (): Promise<Token> =>
  Promise.resolve({ accessToken: `login ${String((logins += 1))}` });
const reauthenticators = [writer, reader].map(
  (store) =>
    new Reauthenticator(store, {
      refresh: logIn,
      login: logIn,
      whenCleared: 'login',
      minIntervalMs: 10,
    }),
);
const tokens = await Promise.all(reauthenticators.map((one) => one.credentials()));
expectEqual('logins', tokens.map(({ accessToken }) => accessToken).join(), 'login 1,login 1');
const [first] = reauthenticators;
first!.reject(await first!.snapshot());
expectEqual('renewed', (await first!.credentials()).accessToken, 'login 2');
for (const one of reauthenticators) await one.close();
console.log('re-authentication');

await writer.clear();
await writer.close();
await reader.close();
client.disconnect();
// Nothing of the library keeps the process alive: it ends by itself.
console.log('closed');
