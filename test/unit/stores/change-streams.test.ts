import {
  config,
  EMPTY,
  finalize,
  firstValueFrom,
  map,
  merge,
  type Observable,
  of,
  share,
  skip,
  Subject,
  switchMap,
  take,
  takeUntil,
  tap,
  toArray,
} from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { afterEach, describe, expect, it } from 'vitest';

import {
  changeStream,
  credentialsStream,
  expiringStream,
  stateStream,
  statusStream,
} from '../../../src/stores/streams.js';
import { StoreEvents } from '../../../src/stores/events.js';
import { liveWorld, type LiveWorld, watched } from '../watching/entry-world.js';
import { HOUR } from '../watching/scripted-backend.js';

/** A credential that nobody watches, on a backend that counts watches. */
function unwatched(): LiveWorld {
  const world = liveWorld();
  world.release();
  return world;
}

const watching: readonly (readonly [string, (world: LiveWorld) => Observable<unknown>])[] = [
  ['changes$', ({ live }) => changeStream(live)],
  ['credentials$', ({ live }) => credentialsStream(live)],
  ['state$', ({ live }) => stateStream(live)],
  ['expiring$', ({ live }) => expiringStream(live, HOUR)],
];

describe.each(watching)('%s', (_name, streamOf) => {
  it('watches from the first subscriber to the last', async () => {
    const world = unwatched();
    const { backend, clock } = world;
    const stream$ = streamOf(world);
    expect(backend.watching).toBe(0);
    const first = stream$.subscribe();
    const second = stream$.subscribe();
    expect(backend.watching).toBe(1);
    await clock.settle();
    expect(backend.reads).toBe(1);
    first.unsubscribe();
    first.unsubscribe();
    expect(backend.watching).toBe(1);
    second.unsubscribe();
    expect(backend.watching).toBe(0);
    stream$.subscribe().unsubscribe();
    expect(backend.watching).toBe(0);
    await clock.settle();
    expect(clock.pendingTimers).toBe(0);
  });

  it('watches again for a later subscriber', async () => {
    const world = unwatched();
    const { backend, clock } = world;
    streamOf(world).subscribe().unsubscribe();
    const again = streamOf(world).subscribe();
    await clock.settle();
    expect([backend.watching, backend.reads]).toEqual([1, 1]);
    again.unsubscribe();
  });

  it('completes when the store closes, and ends its watch', async () => {
    const world = unwatched();
    const { backend, clock, live } = world;
    let completed = 0;
    const subscribe = () => streamOf(world).subscribe({ complete: () => (completed += 1) });
    subscribe();
    await clock.settle();
    live.close();
    subscribe();
    expect([completed, backend.watching]).toEqual([2, 0]);
  });

  it('ends the watch when an operator ends the subscription', async () => {
    const world = unwatched();
    const { backend, clock, emitted } = world;
    backend.put('one', HOUR / 2);
    const stop$ = new Subject<void>();
    streamOf(world).pipe(takeUntil(stop$)).subscribe();
    await clock.settle();
    expect(backend.watching).toBe(1);
    stop$.next();
    expect(backend.watching).toBe(0);
    expect(emitted()).toEqual([]);
  });
});

describe('status$', () => {
  it('starts with idle, watches nothing, and emits the watching of others', async () => {
    const world = unwatched();
    const { backend, clock, live } = world;
    const links: string[] = [];
    const last = (link: string): void => {
      if (links.at(-1) !== link) links.push(link);
    };
    statusStream(live).subscribe({
      next: ({ link }) => last(link),
      complete: () => last('completed'),
    });
    expect(backend.watching).toBe(0);
    const release = live.retain();
    await clock.settle();
    release();
    expect(links).toEqual(['idle', 'connecting', 'live', 'idle']);
    live.close();
    expect(links.slice(4)).toEqual(['closed', 'completed']);
  });
});

describe('a subscription', () => {
  it('that takes one value and ends does not stop a watch of others', async () => {
    const { backend, live } = await watched({ token: 'one' });
    expect(await firstValueFrom(credentialsStream(live))).toEqual({ token: 'one' });
    expect(await firstValueFrom(stateStream(live))).toMatchObject({ type: 'present' });
    expect(backend.watching).toBe(1);
  });

  it('that waits for the first value starts and ends the watch by itself', async () => {
    const world = unwatched();
    world.backend.put('one');
    expect(await firstValueFrom(credentialsStream(world.live))).toEqual({ token: 'one' });
    expect(world.backend.watching).toBe(0);
  });

  it('may end and start again inside of next', async () => {
    const { backend, clock, live } = await watched({ token: 'one' });
    const seen: string[] = [];
    const stream$ = credentialsStream(live);
    stream$
      .pipe(
        take(1),
        switchMap(() => stream$),
        map((one) => one?.token ?? 'none'),
      )
      .subscribe((token) => seen.push(token));
    backend.put('two');
    backend.hint();
    await clock.settle();
    expect(seen).toEqual(['one', 'two']);
  });

  it('may be shared, so that one watch and one decoding serve all', async () => {
    const world = unwatched();
    const { backend, clock, live } = world;
    let ended = 0;
    const shared$ = credentialsStream(live).pipe(
      finalize(() => (ended += 1)),
      share(),
    );
    const all = [shared$.subscribe(), shared$.subscribe()];
    await clock.settle();
    expect([backend.watching, backend.reads]).toEqual([1, 1]);
    for (const one of all) one.unsubscribe();
    expect([ended, backend.watching]).toEqual([1, 0]);
  });

  it('sees each state once, also when it starts during its emission', async () => {
    const { backend, clock, live } = await watched({ token: 'one' });
    const late: string[] = [];
    const second$ = stateStream(live);
    let join: (() => void) | undefined = () => {
      second$.subscribe((state) => late.push(state.type));
    };
    stateStream(live).subscribe(({ type }) => {
      if (type !== 'absent') return;
      join?.();
      join = undefined;
    });
    backend.hold({ type: 'absent' });
    backend.hint();
    await clock.settle();
    backend.put('two');
    backend.hint();
    await clock.settle();
    expect(late).toEqual(['absent', 'present']);
  });
});

describe('state$ and changes$', () => {
  it('deliver the state to all subscribers before the change, in any order of subscription', async () => {
    const { backend, clock, live } = await watched({ token: 'one' });
    const events = new StoreEvents(live, () => undefined);
    const seen: string[] = [];
    events.add('change', () => seen.push("on('change')"), false);
    changeStream(live).subscribe(() => seen.push('changes$'));
    events.add('saved', () => seen.push("on('saved')"), false);
    stateStream(live)
      .pipe(skip(1))
      .subscribe(() => seen.push('state$'));
    events.add('state', () => seen.push("on('state')"), false);
    backend.put('two');
    backend.hint();
    await clock.settle();
    expect(seen).toEqual(["on('state')", 'state$', "on('saved')", "on('change')", 'changes$']);
  });

  it('keep a change with its state, also when a subscriber of the state causes the next one', async () => {
    const { backend, clock, live } = await watched({ token: 'one' }, { maxStalenessMs: 0 });
    const seen: string[] = [];
    let cut = false;
    stateStream(live)
      .pipe(skip(1))
      .subscribe(({ type }) => {
        seen.push(type);
        if (cut) return;
        cut = true;
        backend.feed({ link: 'reconnecting' });
      });
    changeStream(live).subscribe(({ type }) => seen.push(type));
    backend.put('two');
    backend.hint();
    await clock.settle();
    expect(seen).toEqual(['present', 'saved', 'withheld']);
  });

  it('give the change also to a subscriber that its state causes', async () => {
    const { backend, clock, live } = await watched({ token: 'one' });
    const events = new StoreEvents(live, () => undefined);
    const seen: string[] = [];
    const come = (): void => {
      changeStream(live).subscribe(({ type }) => seen.push(`changes$ ${type}`));
      events.add('saved', () => seen.push("on('saved')"), false);
      events.add('state', () => seen.push("on('state')"), false);
    };
    stateStream(live).pipe(skip(1), take(1)).subscribe(come);
    backend.put('two');
    backend.hint();
    await clock.settle();
    expect(seen).toEqual(['changes$ saved', "on('saved')"]);
  });
});

describe('an error in a subscriber', () => {
  const { onUnhandledError } = config;
  afterEach(() => {
    config.onUnhandledError = onUnhandledError;
  });

  it('is reported by RxJS, and disturbs neither the others nor the store', async () => {
    const { backend, clock, live } = await watched({ token: 'one' });
    const broken = new Error('broken subscriber');
    const reported = new Promise((resolve) => {
      config.onUnhandledError = resolve;
    });
    const seen: string[] = [];
    changeStream(live).subscribe(() => {
      throw broken;
    });
    changeStream(live).subscribe(({ type }) => seen.push(type));
    backend.put('two');
    backend.hint();
    await clock.settle();
    expect(await reported).toBe(broken);
    expect(seen).toEqual(['saved']);
    expect(live.current?.credentials).toEqual({ token: 'two' });
  });
});

describe('credentials$', () => {
  it('is silent while withheld, and does not repeat an unchanged value', async () => {
    const { backend, clock, live } = await watched({ token: 'one' });
    const seen: unknown[] = [];
    credentialsStream(live).subscribe((one) => seen.push(one?.token));
    backend.feed({ link: 'reconnecting' });
    await clock.advance(HOUR);
    expect(live.state.type).toBe('withheld');
    const lateComer: unknown[] = [];
    credentialsStream(live).subscribe((one) => lateComer.push(one?.token));
    expect(lateComer).toEqual([]);
    backend.feed({ link: 'live' });
    await clock.settle();
    expect([seen, lateComer]).toEqual([['one'], ['one']]);
  });

  it('matches a marble diagram', async () => {
    const { backend, clock, live } = await watched(undefined);
    // One frame of the diagram for each thing that happens.
    const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
    const frames: (() => void)[] = [
      () => void backend.put('a'),
      () => void backend.put('a', HOUR),
      () => void backend.put('b'),
      () => backend.hold({ type: 'absent' }),
      () => void backend.put('a'),
    ];
    const seen: { readonly frame: number; readonly token: string | undefined }[] = [];
    let frame = 0;
    credentialsStream(live).subscribe((one) => seen.push({ frame, token: one?.token }));
    for (const happen of frames) {
      frame += 1;
      happen();
      backend.hint();
      await clock.settle();
    }
    scheduler.run(({ expectObservable, cold }) => {
      const drawn$ = merge(
        ...seen.map((one) => cold(`${'-'.repeat(one.frame)}x`).pipe(map(() => one.token))),
      );
      expectObservable(drawn$).toBe('na-bna', { a: 'a', b: 'b', n: undefined });
    });
  });
});

describe('streams of many stores', () => {
  it('compose with the operators of RxJS', async () => {
    const [first, second] = await Promise.all([
      watched({ token: 'one' }),
      watched({ token: 'two' }),
    ]);
    const all = firstValueFrom(
      merge(
        ...[first, second].map(({ live }) => credentialsStream(live).pipe(take(1))),
        of(undefined).pipe(switchMap(() => EMPTY)),
      ).pipe(
        map((one) => one?.token),
        tap((token) => expect(token).toBeDefined()),
        toArray(),
      ),
    );
    expect(await all).toEqual(['one', 'two']);
  });
});
