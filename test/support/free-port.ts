import { once } from 'node:events';
import { createServer } from 'node:net';

// Below the range from which Linux (32768), macOS and Windows (49152) take source ports for outgoing connections. In that
// range a port that was given up for a restart could be taken by any client meanwhile, or a client that retries a closed
// port could even connect to itself.
const LOWEST = 15_000;
const HIGHEST = 32_000;

/**
 * A loopback port that was free a moment ago. Somebody else may be faster: who listens on it must be ready for
 * EADDRINUSE and ask again.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    // Random rather than counting up: test processes that start together should not all want the same port.
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
