import type { DemoEvent } from './demo-event.js';
import type { Paint } from './paint.js';

type EventOf<Kind extends DemoEvent['event']> = Extract<DemoEvent, { event: Kind }>;

/** A line of the timeline of those scenes in which the instances keep a login valid. */
export function loginLine(
  event: EventOf<'calling' | 'refreshed' | 'received' | 'killed' | 'took-over'>,
  paint: Paint,
): string {
  switch (event.event) {
    case 'calling': {
      const doubt = event.inDoubt ? ', the one before it ended without an answer' : '';
      const facts = paint('dim', `attempt ${event.attempt}, ${event.cause}${doubt}`);
      return `${event.instance}  ${paint('yellow', 'asks the provider')}   ${facts}`;
    }
    case 'refreshed':
      return `provider: ${paint('bold', counted(event.refreshes))} so far`;
    case 'received': {
      const latency = `${event.latencyMs.toFixed(2)} ms`.padStart(10);
      const ends = `ends in ${(event.lastsMs / 1_000).toFixed(1)} s`;
      const facts = paint('dim', `refreshed ${event.refreshed}, ${ends}`);
      return `${event.instance}  ${paint('green', 'new token ')} ${latency} after the answer   ${facts}`;
    }
    case 'killed':
      return `${event.instance}  ${paint('red', 'kill -9')}   ${paint('dim', `it never reached the provider: still ${counted(event.refreshes)}`)}`;
    case 'took-over': {
      const facts = paint('dim', `lease ${event.leaseMs} ms + spread ${event.spreadMs} ms at most`);
      return `${event.instance}  ${paint('yellow', 'takes over')} ${event.afterMs.toFixed(0)} ms after the kill   ${facts}`;
    }
  }
}

/** What it came to. */
export function loginsLines({ refreshes, revoked, asked }: EventOf<'logins'>): string[] {
  const asking = Object.entries(asked).map(([instance, { answers, leastValidMs }]) => {
    const valid = (leastValidMs / 1_000).toFixed(1);
    return `${instance} was given a token ${answers} times, each valid for at least ${valid} s more`;
  });
  return [`provider: ${counted(refreshes)}, ${revoked} logins revoked`, ...asking];
}

function counted(refreshes: number): string {
  return refreshes === 1 ? '1 refresh' : `${refreshes} refreshes`;
}
