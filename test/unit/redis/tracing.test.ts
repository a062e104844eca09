import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';

import { Command, type Redis } from 'ioredis';
import { Redis as Redis54 } from 'ioredis54';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import { hideFromTraces, createTraceWarning } from '../../../src/redis/client/tracing.js';

const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});

beforeEach(() => {
  warn.mockClear();
});

function listen(): void {
  const name = 'tracing:ioredis:command:asyncEnd';
  const listener = (): void => undefined;
  subscribe(name, listener);
  onTestFinished(() => {
    unsubscribe(name, listener);
  });
}

/** A client without the methods that hide replies. */
function createClient(parts: object, publishes: boolean): Redis {
  const client = {
    status: 'ready',
    sendCommand: () => {
      if (publishes) channel('tracing:ioredis:command:start').publish({});
      return Promise.resolve();
    },
    ...parts,
  };
  return client as unknown as Redis;
}

const send = (client: Redis): unknown => client.sendCommand(new Command('PING'));

function expectOneWarning(): void {
  expect(warn.mock.calls).toEqual([
    [expect.stringContaining('tracing channels of ioredis'), 'CredstreamWarning'],
  ]);
}

describe('a client whose replies cannot be hidden', () => {
  it('is warned of when it traces a command, once for all connections of a pool', () => {
    const warning = createTraceWarning();
    send(hideFromTraces(createClient({}, true), warning));
    expect(warn).not.toHaveBeenCalled();
    listen();
    const first = hideFromTraces(createClient({}, true), warning);
    const second = hideFromTraces(createClient({}, true), warning);
    expect(warn).not.toHaveBeenCalled();
    send(first);
    send(first);
    send(second);
    expectOneWarning();
  });

  it('is warned of again in another pool', () => {
    listen();
    for (const warning of [createTraceWarning(), createTraceWarning()])
      send(hideFromTraces(createClient({}, true), warning));
    expect(warn).toHaveBeenCalledTimes(2);
  });

  it('is warned of at once when only one of the methods is gone', () => {
    listen();
    const _buildCommandContext = (): object => ({});
    hideFromTraces(createClient({ _buildCommandContext }, false), createTraceWarning());
    expectOneWarning();
  });

  it('is left alone after the first command on its open connection', () => {
    listen();
    const opening = createClient({ status: 'connect' }, false);
    const { sendCommand } = opening;
    hideFromTraces(opening, createTraceWarning());
    const watched = opening.sendCommand;
    expect(watched).not.toBe(sendCommand);
    send(opening);
    expect(opening.sendCommand).toBe(watched);
    opening.status = 'ready';
    send(opening);
    expect(opening.sendCommand).not.toBe(watched);
    expect(channel('tracing:ioredis:command:start').hasSubscribers).toBe(false);
  });
});

it('no warning of an ioredis from before the tracing channels, whoever listens to them', async () => {
  listen();
  const client = new Redis54({ lazyConnect: true, enableOfflineQueue: false });
  client.on('error', () => undefined);
  hideFromTraces(client as unknown as Redis, createTraceWarning());
  const sending = client.get('token');
  // A newer ioredis in this process publishes at any time.
  channel('tracing:ioredis:command:start').publish({});
  await expect(sending).rejects.toThrow("Stream isn't writeable");
  expect(warn).not.toHaveBeenCalled();
});
