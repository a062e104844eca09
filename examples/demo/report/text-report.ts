import { styleText } from 'node:util';

import type { DemoEvent, Report } from './demo-event.js';
import type { Paint } from './paint.js';
import { loginLine, loginsLines } from './login-lines.js';
import { summaryTable } from './summary-table.js';

const HINT =
  'This Redis sends no keyspace notifications: writes from outside are found by polling, every 500 ms. To see them at once: CONFIG SET notify-keyspace-events Kg$xe';

/** A timeline for people. */
export function textReport(print: (text: string) => void, colors: boolean): Report {
  const paint: Paint = (style, text) => (colors ? styleText(style, text) : text);
  let hinted = false;
  return (event) => {
    if (event.event === 'scene') {
      const seconds = event.seconds.toFixed(1).padStart(5);
      print(`\n${paint('dim', `${seconds} s`)}  ${paint('bold', event.title)}`);
      return;
    }
    for (const line of linesOf(event, paint)) print(line);
    if (event.event === 'instance' && event.notifications !== 'keyspace' && !hinted) {
      hinted = true;
      print(paint('yellow', HINT));
    }
  };
}

function linesOf(event: Exclude<DemoEvent, { event: 'scene' }>, paint: Paint): string[] {
  switch (event.event) {
    case 'redis':
      return [`${event.product} ${event.version} (${event.how}), port ${event.port}`];
    case 'embedded':
      return [
        'No Redis here: the embedded store plays its part, with all instances in this one process. Commands are shown as a Redis would get them.',
        paint('yellow', event.why),
      ];
    case 'oauth':
      return [
        `OAuth server (oidc-provider) at ${event.issuer}, access tokens last ${event.tokenSeconds} s`,
      ];
    case 'instance':
      return [`${event.instance} watches in ${event.where}, notifications: ${event.notifications}`];
    case 'rehearsal':
      return [
        `Rehearsal, so that the code is warm: ${event.saves} saves of a dummy, seen after ${mediansLine(event.medianMs)} (median)`,
      ];
    case 'step':
      return [`         ${paint('cyan', event.does)}`];
    case 'told':
      return [`           ${toldLine(event, paint)}`];
    case 'used':
      return [`           ${paint('dim', usedLine(event.status))}`];
    case 'calling':
    case 'refreshed':
    case 'received':
    case 'killed':
    case 'took-over':
      return [`           ${loginLine(event, paint)}`];
    case 'left-out':
      return [`           ${paint('yellow', event.why)}`];
    case 'logins':
      return ['', ...loginsLines(event)];
    case 'summary':
      return [
        '',
        ...summaryTable(event.columns),
        paint(
          'dim',
          'from just before the write to the moment the instance was told, in milliseconds',
        ),
        paint('dim', '* from the deadline of the server on'),
      ];
    case 'result':
      return [
        event.ok
          ? paint('green', `\nEvery instance saw everything, in ${event.seconds.toFixed(1)} s.`)
          : paint('red', `Failed: ${event.problem ?? 'no reason given'}`),
      ];
  }
}

function toldLine(event: Extract<DemoEvent, { event: 'told' }>, paint: Paint): string {
  const latency = `${event.latencyMs.toFixed(2)} ms`.padStart(10);
  const after = event.since === 'deadline' ? 'after the deadline' : 'after the write';
  const details = [
    ...(event.origin === 'out-of-band' ? ['by another client'] : []),
    ...(event.origin === 'other-instance' ? ['by another credstream process'] : []),
    ...(event.tokenBytes === undefined ? [] : [`${event.tokenBytes} bytes`]),
    ...(event.lastsMs === undefined ? [] : [`ends in ${(event.lastsMs / 1_000).toFixed(1)} s`]),
    ...(event.reason === undefined ? [] : [`reason: ${event.reason}`]),
    ...(event.source === 'live' ? [] : [`source: ${event.source}`]),
  ];
  const type = paint('green', event.type.padEnd(10));
  const facts = details.length === 0 ? '' : `   ${details.join(', ')}`;
  return `${event.instance}  ${type} ${latency} ${after}${paint('dim', facts)}`;
}

function usedLine(status: Readonly<Record<string, number | null>>): string {
  const answers = Object.entries(status).map(
    ([instance, code]) => `${instance} ${code ?? 'no token'}`,
  );
  return `asking the API with what is in memory: ${answers.join(', ')}`;
}

function mediansLine(medianMs: Readonly<Record<string, number>>): string {
  const all = Object.values(medianMs).map((ms) => ms.toFixed(2));
  return `${all.join(', ')} ms`;
}
