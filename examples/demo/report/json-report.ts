import type { Report } from './demo-event.js';

/** One line of JSON for each event. */
export function jsonReport(print: (text: string) => void): Report {
  return (event) => print(JSON.stringify(event, rounded));
}

/** To the microsecond: what the clock gives. */
function rounded(_name: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1e3) / 1e3 : value;
}
