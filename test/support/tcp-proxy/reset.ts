import type { Socket } from 'node:net';

/** Destroys a socket with a reset, if that can be done in the state it is in. */
export function reset(socket: Socket): void {
  // One that is still connecting would first connect and then reset; one that is just being shut down cannot be reset, and
  // Node would then never emit `close`.
  const isShuttingDown = socket.writableEnded && !socket.writableFinished;
  if (socket.connecting || isShuttingDown) socket.destroy();
  else socket.resetAndDestroy();
}
