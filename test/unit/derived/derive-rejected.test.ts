import { expect, it } from 'vitest';

import { Reauthenticator } from 'credstream';

import { both } from '../../support/both.js';
import { collect } from '../../support/wait.js';
import { deriveWorld, type Token } from './derive-world.js';

it('a derived value is never one built from rejected credentials, and is built again from new ones', async () => {
  const { clock, store, derived, calls, disposed, save } = deriveWorld({ derive: { graceMs: 0 } });
  await save('one');
  const values = collect(derived.value$);
  const first = await derived.get();
  let answer: (token: Token) => void = () => {};
  const auth = new Reauthenticator(store, {
    ...both(
      () =>
        new Promise<Token>((resolve) => {
          answer = resolve;
        }),
    ),
  });

  auth.reject(await auth.snapshot());
  expect([derived.current, first.disposals]).toEqual([undefined, 1]);
  await clock.settle();
  // What renews the state of rejected credentials brings nothing back.
  await clock.advance(100);
  expect([derived.current, calls.length]).toEqual([undefined, 1]);

  answer({ token: 'two' });
  await clock.settle();
  expect(derived.current?.name).toBe('two');
  expect(values.values.map((client) => client?.name)).toEqual([undefined, 'one', undefined, 'two']);
  expect(disposed()).toEqual(['one']);
  await auth.close();
});
