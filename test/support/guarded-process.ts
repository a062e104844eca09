import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { guardOrphan, type OrphanGuard } from './orphan-guard.js';

/** How a process ended: one of the two is null. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What {@link spawnGuarded} takes on top of Node's own spawn options. */
export interface GuardedSpawnOptions extends SpawnOptions {
  /** A directory that goes away with the process should this process die first. */
  readonly removeWithOrphan?: string;
}

const live = new Map<GuardedProcess, string | undefined>();

// One handler for all, so that a hundred servers do not trip the listener limit.
function killAllOnExit(): void {
  for (const [running, directory] of live) {
    running.signal('SIGKILL');
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * A child process that cannot outlive this one, stopped by its pid. See {@link guardOrphan} for how.
 * It never keeps the event loop alive by itself: who forgets to stop it loses it at exit.
 */
export class GuardedProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Resolves once the process, and the guard beside it, are gone. */
  readonly exited: Promise<ProcessExit>;
  #running = true;

  constructor(child: ChildProcess, pid: number, guard: OrphanGuard) {
    this.child = child;
    this.pid = pid;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#running = false;
        live.delete(this);
        if (live.size === 0) process.off('exit', killAllOnExit);
        void guard.release().then(() => resolve({ code, signal }));
      });
    });
  }

  get isRunning(): boolean {
    return this.#running;
  }

  /** Sends a signal unless the process has ended; its pid may belong to somebody else by then. */
  signal(name: NodeJS.Signals): void {
    if (this.#running) this.child.kill(name);
  }

  /** SIGKILL, as a crash. */
  async kill(): Promise<ProcessExit> {
    this.child.ref();
    this.signal('SIGKILL');
    return this.exited;
  }

  /** SIGTERM, and SIGKILL when that has not helped within the deadline. */
  async terminate(deadlineMs = 3_000): Promise<ProcessExit> {
    this.child.ref();
    this.signal('SIGTERM');
    // A stopped process keeps the SIGTERM pending until it is continued.
    this.signal('SIGCONT');
    const timer = setTimeout(() => this.signal('SIGKILL'), deadlineMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** SIGSTOP; resolves when the process is stopped, where the system lets us see that (Linux). */
  async suspend(): Promise<void> {
    this.signal('SIGSTOP');
    const deadline = Date.now() + 2_000;
    const pending = (): boolean => !['T', undefined].includes(processState(this.pid));
    while (this.#running && pending() && Date.now() < deadline) await delay(1);
  }

  /** SIGCONT. */
  resume(): void {
    this.signal('SIGCONT');
  }
}

/** Spawns a {@link GuardedProcess}; rejects when the program cannot be started at all. */
export async function spawnGuarded(
  command: string,
  args: readonly string[],
  { removeWithOrphan, ...options }: GuardedSpawnOptions = {},
): Promise<GuardedProcess> {
  // A process group of its own: Ctrl-C in a terminal reaches only us, and we decide in what order things end.
  const child = spawn(command, args, { ...options, detached: true });
  await once(child, 'spawn');
  if (child.pid === undefined) throw new Error(`${command} was spawned without a pid`);
  const guard = guardOrphan(child.pid, removeWithOrphan);
  const running = new GuardedProcess(child, child.pid, guard);
  if (live.size === 0) process.on('exit', killAllOnExit);
  live.set(running, removeWithOrphan);
  child.unref();
  return running;
}

/**
 * The state letter of a process as `ps` shows it: `T` stopped, `Z` dead and not yet collected by its parent. Undefined
 * when there is no such process, or no /proc to look into.
 */
function processState(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name before the state may itself hold spaces and parentheses.
    return stat.charAt(stat.lastIndexOf(')') + 2);
  } catch {
    return undefined;
  }
}

/** Whether a process runs; unlike `kill(pid, 0)` a dead one that nobody has collected does not count. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return processState(pid) !== 'Z';
}
