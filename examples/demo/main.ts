/**
 * Several processes react to a real OAuth token in a real Redis: `npm run demo`, or with `-- --json` for machines.
 * Ends by itself: with 0 when every instance saw everything, with 1 and a reason when not.
 */
import { readCommandLine, USAGE, type CommandLine } from './command-line.js';
import { Interruption, onInterruption } from './interruption.js';
import { monotonicMs } from './monotonic-clock.js';
import type { Report } from './report/demo-event.js';
import { jsonReport } from './report/json-report.js';
import { textReport } from './report/text-report.js';
import { runDemo } from './run-demo.js';
import { messageOf } from './scenes/demo-failure.js';

/** What cleaning up may take once the demo has to end; what is left then goes with this process. */
const CLEANUP_DEADLINE_MS = 4_500;

function chooseReport({ json }: CommandLine): Report {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const colors = process.stdout.isTTY && !process.env['NO_COLOR'];
  return json ? jsonReport(print) : textReport(print, colors);
}

async function main(report: Report): Promise<number> {
  const startedAtMs = monotonicMs();
  const seconds = (): number => (monotonicMs() - startedAtMs) / 1_000;
  const end = new AbortController();
  onInterruption((interruption) => end.abort(interruption));
  end.signal.addEventListener('abort', () => {
    setTimeout(() => process.exit(exitCodeFor(end.signal.reason)), CLEANUP_DEADLINE_MS).unref();
  });
  try {
    await runDemo(report, end);
    report({ event: 'result', ok: true, seconds: seconds() });
    return 0;
  } catch (error) {
    report({ event: 'result', ok: false, seconds: seconds(), problem: messageOf(error) });
    return exitCodeFor(error);
  }
}

function exitCodeFor(error: unknown): number {
  return error instanceof Interruption ? error.exitCode : 1;
}

function commandLineOrExit(): CommandLine {
  try {
    return readCommandLine(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${USAGE}`);
    process.exit(2);
  }
}

const commandLine = commandLineOrExit();
if (commandLine.help) process.stdout.write(USAGE);
// Not left to Node: timers of waits that were given up would hold the process for seconds.
else process.exit(await main(chooseReport(commandLine)));
