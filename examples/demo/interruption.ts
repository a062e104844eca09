/** Somebody wants the demo to end. */
export class Interruption extends Error {
  override name = 'Interruption';
  /** What shells expect of a process that a signal ended. */
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Calls `listener` on Ctrl-C and the like, and when the reader of our output is gone, as with `| head`. */
export function onInterruption(listener: (interruption: Interruption) => void): void {
  process.on('SIGINT', () => listener(new Interruption('interrupted', 130)));
  process.on('SIGTERM', () => listener(new Interruption('terminated', 143)));
  process.on('SIGHUP', () => listener(new Interruption('the terminal is gone', 129)));
  process.stdout.on('error', () => listener(new Interruption('nobody reads the output', 141)));
}
