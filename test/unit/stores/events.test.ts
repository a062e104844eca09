import { Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { idleStatus } from '../../../src/credential/status.js';
import { StoreEvents } from '../../../src/stores/events.js';
import type { EventSource, WatchEvent } from '../../../src/watching/event-source.js';

function world() {
  let subscribers = 0;
  let emit: (event: WatchEvent<unknown>) => void = () => undefined;
  const source: EventSource<unknown> = {
    closed: false,
    status: idleStatus,
    events$: new Observable((subscriber) => {
      subscribers += 1;
      emit = (event) => {
        subscriber.next(event);
      };
      return () => {
        subscribers -= 1;
      };
    }),
    retain: () => () => undefined,
    afterEvent: (run) => {
      run();
    },
  };
  const events = new StoreEvents(source, () => undefined);
  return {
    events,
    emitStatus: () => {
      emit({ type: 'status', status: idleStatus });
    },
    subscribers: () => subscribers,
  };
}

describe('listeners', () => {
  it('share one subscription, which ends with the last listener', () => {
    const { events, subscribers } = world();
    const one = (): void => undefined;
    const two = (): void => undefined;
    events.add('saved', one, false);
    events.add('status', two, false);
    expect(subscribers()).toBe(1);
    events.remove('saved', one);
    expect(subscribers()).toBe(1);
    events.remove('status', two);
    expect(subscribers()).toBe(0);
  });

  it('leave no subscription after the one event that they wait for', () => {
    const { events, emitStatus, subscribers } = world();
    const received: string[] = [];
    events.add('status', () => received.push('once'), true);
    emitStatus();
    expect(received).toEqual(['once']);
    expect(subscribers()).toBe(0);
  });
});
