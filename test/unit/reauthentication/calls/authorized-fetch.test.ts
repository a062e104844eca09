import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { inspect } from 'node:util';

import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import {
  authorizedFetch,
  type CredentialLender,
  MemoryCredentialStore,
  Reauthenticator,
} from 'credstream';

import { deferred } from '../../../support/wait.js';

interface Token {
  readonly accessToken: string;
}

const closing: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An API that takes one token, and says what it was sent. */
async function openApi(good: string) {
  const bodies: string[] = [];
  const url = await serve((request, response) => {
    let body = '';
    request.on('data', (part) => (body += String(part)));
    request.on('end', () => {
      bodies.push(`${request.method ?? ''} ${body}`);
      response.statusCode = request.headers.authorization === `Bearer ${good}` ? 200 : 401;
      response.end(response.statusCode === 200 ? 'fine' : 'x'.repeat(100_000));
    });
  });
  return { url, bodies };
}

async function openAuth() {
  const store = new MemoryCredentialStore<Token>({ key: 'k' });
  closing.push(() => store.close());
  const auth = new Reauthenticator(store, {
    refresh: () => ({ accessToken: 'new' }),
    minIntervalMs: 10,
  });
  await store.save({ accessToken: 'old' });
  return { store, auth };
}

describe('authorizedFetch', () => {
  it('sends the token, and once more after a 401, with the same body', async () => {
    const { auth } = await openAuth();
    const { url, bodies } = await openApi('new');
    const response = await authorizedFetch(auth)(url, { method: 'POST', body: 'order' });
    expect([response.status, await response.text()]).toEqual([200, 'fine']);
    expect(bodies).toEqual(['POST order', 'POST order']);
  });

  it.each<[string, () => { readonly input?: Request; readonly body?: unknown }]>([
    ['a web stream', () => ({ body: new Blob(['order']).stream() })],
    ['a stream of Node', () => ({ body: Readable.from(['order']) })],
    [
      'the body of a Request',
      () => ({ input: new Request('http://x', { method: 'POST', body: 'order' }) }),
    ],
  ])(
    'does not send %s twice: the caller gets the 401, the next call new credentials',
    async (_name, make) => {
      const { auth } = await openAuth();
      const { url, bodies } = await openApi('new');
      const call = authorizedFetch(auth);
      const { input, body } = make();
      const refused = await (input === undefined
        ? call(url, { method: 'POST', body: body as ReadableStream, duplex: 'half' })
        : call(new Request(url, input)));
      expect([refused.status, (await refused.text()).length]).toEqual([401, 100_000]);
      expect((await call(url)).status).toBe(200);
      expect(bodies).toEqual(['POST order', 'GET ']);
    },
  );

  it('takes every kind of body that can be sent twice', async () => {
    const { auth, store } = await openAuth();
    for (const body of [
      new URLSearchParams({ a: '1' }),
      new Blob(['order']),
      Buffer.from('order'),
      new TextEncoder().encode('order').buffer,
    ]) {
      const { url, bodies } = await openApi('new');
      await store.save({ accessToken: 'old' });
      expect((await authorizedFetch(auth)(url, { method: 'PUT', body })).status).toBe(200);
      expect(new Set(bodies).size).toBe(1);
    }
  });

  it('keeps the headers of the caller, but for those that carry the credentials', async () => {
    const { auth } = await openAuth();
    const seen: unknown[] = [];
    const url = await serve((request, response) => {
      const { accept, authorization, 'x-key': key } = request.headers;
      seen.push({ accept, authorization, key });
      response.end();
    });
    const init = { headers: { accept: 'text/csv', authorization: 'mine' } };
    await authorizedFetch(auth)(new Request(url, init));
    await authorizedFetch(auth, { headers: ({ accessToken }) => ({ 'X-Key': accessToken }) })(
      url,
      init,
    );
    expect(seen).toEqual([
      { accept: 'text/csv', authorization: 'Bearer old', key: undefined },
      { accept: 'text/csv', authorization: 'mine', key: 'old' },
    ]);
  });

  it('sends no credentials after a redirect to another origin', async () => {
    const { auth } = await openAuth();
    const seen: unknown[] = [];
    const other = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response.end('other');
    });
    const url = await serve((_request, response) => {
      response.writeHead(302, { location: other.replace('127.0.0.1', 'localhost') });
      response.end();
    });
    // The server listens on 127.0.0.1 only, which localhost is on every machine of the tests.
    expect(await (await authorizedFetch(auth)(url)).text()).toBe('other');
    expect(seen).toEqual([undefined]);
  });

  it('follows no redirect with a header that fetch would send anywhere', async () => {
    const { auth } = await openAuth();
    const seen: unknown[] = [];
    const other = await serve((request, response) => {
      seen.push(request.headers['x-key']);
      response.end();
    });
    const url = await serve((_request, response) => {
      response.writeHead(302, { location: other });
      response.end();
    });
    const call = authorizedFetch(auth, { headers: (token) => ({ 'x-key': token.accessToken }) });
    const answer = await call(url);
    expect([answer.status, answer.headers.get('location')]).toEqual([302, other]);
    await expect(call(url, { redirect: 'error' })).rejects.toThrow();
    expect(seen).toEqual([]);
  });

  it('sends in the async context of the caller', async () => {
    const { auth } = await openAuth();
    const context = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const call = context.run('set-up', () =>
      authorizedFetch(auth, {
        fetch: async () => {
          seen.push(context.getStore());
          return new Response();
        },
      }),
    );
    await context.run('request', () => call('http://api.test'));
    expect(seen).toEqual(['request']);
  });

  it('refuses a request outside of the audience before it is sent', async () => {
    const { auth } = await openAuth();
    const { url, bodies } = await openApi('old');
    const call = authorizedFetch(auth, { audience: ['https://api.example.com', url] });
    expect((await call(`${url}/path`)).status).toBe(200);
    const elsewhere = await openApi('old');
    await expect(call(elsewhere.url)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      option: 'input',
    });
    expect([bodies.length, elsewhere.bodies.length]).toEqual([1, 0]);
  });

  it('aborts a request under way when the credentials are cleared', async () => {
    const { auth, store } = await openAuth();
    const arrived = deferred<undefined>();
    const url = await serve(() => {
      arrived.resolve(undefined);
    });
    const answer = authorizedFetch(auth)(url);
    await arrived.promise;
    await Promise.all([
      expect(answer).rejects.toMatchObject({ name: 'AbortError', change: { type: 'cleared' } }),
      store.clear(),
    ]);
  });

  it('aborts with the signal of the caller, also that of a Request', async () => {
    const { auth } = await openAuth();
    const url = await serve(() => undefined);
    const own = AbortSignal.abort(new Error('enough'));
    await expect(authorizedFetch(auth)(url, { signal: own })).rejects.toThrow('enough');
    await expect(authorizedFetch(auth)(new Request(url, { signal: own }))).rejects.toThrow(
      'enough',
    );
  });

  it('works on any source that lends credentials, with a fetch of the caller', async () => {
    const source: CredentialLender<string> = {
      use: async (fn) => fn('text', { signal: new AbortController().signal }),
    };
    const call = authorizedFetch(source, {
      fetch: async (_input, init) => new Response(new Headers(init?.headers).get('authorization')),
    });
    expect(await (await call('http://api.test')).text()).toBe('Bearer text');
  });

  it('says which option is missing where the credentials have no token', async () => {
    const source: CredentialLender<{ readonly key: string }> = {
      use: async (fn) => fn({ key: 'CANARY' }, { signal: new AbortController().signal }),
    };
    const error: unknown = await authorizedFetch(source)('http://api.test').catch(
      (one: unknown) => one,
    );
    expect(error).toMatchObject({ code: 'INVALID_OPTION', option: 'headers' });
    expect(String(error)).not.toContain('CANARY');
  });

  it('does not quote a token that no header can have', async () => {
    const source: CredentialLender<string> = {
      use: async (fn) => fn('CANARY\nsecond line', { signal: new AbortController().signal }),
    };
    const error: unknown = await authorizedFetch(source)('http://api.test').catch(
      (one: unknown) => one,
    );
    expect(error).toMatchObject({ code: 'INVALID_OPTION', option: 'headers' });
    expect(inspect(error)).not.toContain('CANARY');
  });

  it('takes headers as an object of fetch too, and the global fetch of the moment', async () => {
    const source: CredentialLender<string> = {
      use: async (fn) => fn('text', { signal: new AbortController().signal }),
    };
    const call = authorizedFetch(source, {
      headers: (token) => new Headers({ 'x-key': token }) as never,
    });
    const spy = vi
      .spyOn(globalThis, 'fetch')
      .mockImplementation(
        async (_input, init) => new Response(new Headers(init?.headers).get('x-key')),
      );
    onTestFinished(() => {
      spy.mockRestore();
    });
    expect(await (await call('http://api.test')).text()).toBe('text');
  });

  it.each<[string, object]>([
    ['audience', { audience: 'api.example.com' }],
    ['audience', { audience: 'https://api.example.com/path' }],
    ['audience', { audience: [5] }],
    ['audience', { audience: [] }],
    ['fetch', { fetch: 'fetch' }],
    ['headers', { headers: {} }],
    ['token', { token: () => 'x' }],
  ])('checks the option %s at once', async (option, options) => {
    const { auth } = await openAuth();
    expect(() => authorizedFetch(auth, options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', option }),
    );
  });
});
