import type { SummaryColumn } from './demo-event.js';

/** Instance by step, in milliseconds. */
export function summaryTable(columns: readonly SummaryColumn[]): string[] {
  const instances = Object.keys(columns[0]?.ms ?? {});
  const titles = columns.map(({ title, since }) => (since === 'deadline' ? `${title}*` : title));
  const rows = instances.map((instance) => [
    instance,
    ...columns.map(({ ms }) => millis(ms[instance])),
  ]);
  const table = [['ms', ...titles], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('   '),
  );
}

function millis(ms: number | undefined): string {
  return ms === undefined ? '-' : ms.toFixed(2);
}
