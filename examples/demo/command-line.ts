import { parseArgs } from 'node:util';

export const USAGE = `npm run demo [-- --json]

Several processes watch one OAuth token in Redis while it is saved, renewed, overwritten, expires and is cleared. Then they share
a login, of which exactly one of them refreshes the token, also when the one that was about to is killed.

  --json   print lines of JSON instead of a timeline
  --help   print this

REDIS_URL=redis://… plays it on a Redis of yours; else one is started and stopped again.
`;

/** What was asked for. */
export interface CommandLine {
  readonly json: boolean;
  readonly help: boolean;
}

/** @throws TypeError that says what it does not understand. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
  return values;
}
