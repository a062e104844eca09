import { expect, test } from 'vitest';

import { checkFences } from '../docs/type-check.js';

const BEFORE = `
import { MemoryCredentialDirectory, MemoryCredentialStore, Reauthenticator, ReauthenticatorPool } from 'credstream';
interface Tokens { readonly accessToken: string; readonly refreshToken: string; readonly expiresAt: number }
const store = new MemoryCredentialStore<Tokens>({ key: 'crm', expiresAt: (tokens) => tokens.expiresAt });
const directory = new MemoryCredentialDirectory<Tokens>({ prefix: 'crm:' });
`;

const MISSING =
  /Type '\{ accessToken: string; \}' is (not assignable to|missing the following properties from) type '[^']*Tokens[^']*'.*(refreshToken, expiresAt)/;

const mistakes: readonly [title: string, code: string, message: RegExp][] = [
  [
    'a refresh that drops the refresh token',
    "new Reauthenticator(store, { refresh: async () => ({ accessToken: 'x' }) });",
    MISSING,
  ],
  [
    'a refresh of a pool that drops it',
    "new ReauthenticatorPool(directory, { refresh: async () => ({ accessToken: 'x' }) });",
    MISSING,
  ],
  [
    'a login that drops it',
    "new Reauthenticator(store, { refresh: (request) => request.previous, login: () => ({ accessToken: 'x' }) });",
    MISSING,
  ],
  [
    'the previous credentials in a login',
    'new Reauthenticator(store, { refresh: (request) => request.previous, login: ({ previous }) => previous });',
    /Property 'previous' does not exist on type 'LoginRequest'/,
  ],
  [
    'the option of old',
    'new Reauthenticator(store, { authenticate: async () => store.current!.credentials });',
    /'authenticate' does not exist in type 'ReauthenticatorOptions<.*Tokens.*>'/,
  ],
  [
    'no refresh',
    'new Reauthenticator(store, { leadMs: 5_000 });',
    /Property 'refresh' is missing in type '\{ leadMs: number; \}'/,
  ],
];

const { complaints } = checkFences(
  mistakes.map(([title, code]) => ({ file: title, line: 1, text: `${BEFORE}${code}` }) as never),
);

test.each(mistakes)('the compiler says what is wrong with %s', (title, _code, message) => {
  const said = complaints.filter((one) => one.startsWith(`${title}:`));
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(message);
  expect(said[0]).not.toMatch(/No overload matches/);
  expect(said[0]!.length).toBeLessThan(700);
});
