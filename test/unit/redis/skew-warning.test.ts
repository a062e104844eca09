import { expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import { largestSkew, SkewWarning } from '../../../src/redis/servers/skew-warning.js';
import { ServerTime } from '../../../src/time/server-time.js';

function warned() {
  const clock = new VirtualClock();
  const messages: string[] = [];
  const warning = new SkewWarning((message) => messages.push(message));
  const server = () => {
    const time: ServerTime = new ServerTime(clock, undefined, () => {
      warning.judge(time);
    });
    return {
      /** A reply that took `tookMs`, while this machine's clock was ahead by `skewMs`. */
      replies: (skewMs: number, tookMs = 0) => {
        const at = clock.monotonic();
        time.sample(clock.now() - skewMs, at - tookMs, at);
      },
      gone: () => {
        warning.forget(time);
      },
    };
  };
  return { messages, server };
}

it('warns once beyond 5 s, in both directions, and again only after the clocks agreed', () => {
  const { messages, server } = warned();
  const one = server();
  one.replies(4_900);
  expect(messages).toEqual([]);
  one.replies(7_200_000);
  one.replies(7_200_000);
  expect(messages).toEqual([expect.stringContaining('7200 s ahead of that of Redis')]);
  one.replies(100);
  one.replies(-6_000);
  expect(messages).toEqual([expect.anything(), expect.stringContaining('6 s behind that')]);
});

it('warns once for all servers of a pool', () => {
  const { messages, server } = warned();
  const [one, other] = [server(), server()];
  one.replies(10_000);
  other.replies(10_000);
  one.replies(0);
  one.replies(10_000);
  expect(messages).toHaveLength(1);
  one.gone();
  other.gone();
  server().replies(10_000);
  expect(messages).toHaveLength(2);
});

it('does not warn because a reply was slow', () => {
  const { messages, server } = warned();
  const one = server();
  one.replies(6_000, 20_000);
  expect(messages).toEqual([]);
  one.replies(6_000, 100);
  expect(messages).toHaveLength(1);
});

it('the largest difference of several servers is that with the largest size', () => {
  expect(largestSkew([undefined, 3, -7, 5])).toBe(-7);
  expect(largestSkew([undefined])).toBeUndefined();
});
