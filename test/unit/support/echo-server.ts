import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** One side of a TCP connection, with what it has received. */
export interface Peer {
  readonly socket: Socket;
  readonly received: string;
  /** In how many pieces it came. */
  readonly chunks: number;
  readonly hasEnded: boolean;
  readonly error: NodeJS.ErrnoException | undefined;
  readonly isClosed: boolean;
}

/** A TCP server that sends back what it gets, and remembers every connection. */
export interface EchoServer {
  readonly host: string;
  readonly port: number;
  readonly peers: readonly Peer[];
  close(): Promise<void>;
}

export async function startEchoServer(): Promise<EchoServer> {
  const peers: Peer[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    peers.push(observe(socket));
    socket.on('data', (chunk: Buffer) => socket.write(chunk));
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: '127.0.0.1',
    port,
    peers,
    close: async () => {
      for (const { socket } of peers) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Connects; the error of a refused connection is in `error` like any other. */
export function open(port: number): Peer {
  return observe(connect({ port, host: '127.0.0.1', noDelay: true }));
}

function observe(socket: Socket): Peer {
  const state: { -readonly [K in keyof Peer]: Peer[K] } = {
    socket,
    received: '',
    chunks: 0,
    hasEnded: false,
    error: undefined,
    isClosed: false,
  };
  socket.on('data', (chunk: Buffer) => {
    state.received += chunk.toString();
    state.chunks += 1;
  });
  socket.on('end', () => (state.hasEnded = true));
  socket.on('error', (error) => (state.error = error));
  socket.on('close', () => (state.isClosed = true));
  return state;
}
