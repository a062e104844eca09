import { spawn } from 'node:child_process';
import { Socket } from 'node:net';

/** A watchdog for one child process. */
export interface OrphanGuard {
  /** The child has ended by itself: stands down without killing anything, and resolves when gone. */
  release(): Promise<void>;
}

// A signal handler cannot help against SIGKILL, a crash of V8 or Ctrl-C with the default handler. The kernel can: it
// closes our end of this pipe whatever way we die, `read` then fails, and the shell kills the pid it was given.
const WATCHDOG =
  'read -r word; [ "$word" = released ] || { kill -9 "$1"; [ -z "$2" ] || rm -rf "$2"; }';

/**
 * Kills `pid`, and removes `directory`, should this process die before it called `release()`. Works through a tiny shell
 * that waits for our end of a pipe to close; Node opens pipes close-on-exec, so nobody else holds that end.
 */
export function guardOrphan(pid: number, directory = ''): OrphanGuard {
  const shell = spawn('sh', ['-c', WATCHDOG, 'orphan-guard', String(pid), directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    // The directory of a test may vanish under it.
    cwd: '/',
  });
  const gone = new Promise<void>((resolve) => {
    shell.once('exit', () => resolve());
    // No `sh`: the exit handler of the caller is all there is then.
    shell.once('error', () => resolve());
  });
  shell.stdin.on('error', () => {});
  shell.unref();
  if (shell.stdin instanceof Socket) shell.stdin.unref();
  return {
    release: () => {
      shell.ref();
      shell.stdin.end('released\n');
      return gone;
    },
  };
}
