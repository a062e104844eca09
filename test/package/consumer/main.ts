// A program of somebody who installed the library. Compiled and run by pack.test.ts against the tarball.
import { type CredentialChange, jsonCodec, MemoryCredentialStore } from 'credstream';

interface Token {
  readonly accessToken: string;
}

const store = new MemoryCredentialStore<Token>({ key: 'app:token', ...jsonCodec<Token>() });
const seen: CredentialChange<Token>['type'][] = [];
store.changes$.subscribe((change) => seen.push(change.type));

await store.ready();
await store.save({ accessToken: 'first' });
const loaded: Token | undefined = await store.load();
await store.clear();
await store.close();

console.log([...seen, loaded?.accessToken].join(' '));
