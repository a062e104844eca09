import { type Finding, isMet, ratioOf, type Unit } from './bench.js';

const HEAD = ['figure', 'measured', 'floor', 'ratio', 'goal', 'verdict'] as const;

function amount(value: number, unit: Unit): string {
  const digits = Number.isInteger(value)
    ? 0
    : Math.abs(value) < 10
      ? 2
      : Math.abs(value) < 100
        ? 1
        : 0;
  const number = value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return unit === 'count' ? number : `${number} ${unit}`;
}

function goalOf({ goal, unit }: Finding): string {
  if (goal === undefined) return '';
  const most = goal.of === 'ratio' ? `${goal.most} × floor` : amount(goal.most, unit);
  const because = goal.because === undefined ? '' : ` (${goal.because})`;
  return `${goal.exact ? '' : '≤ '}${most}${because}`;
}

function verdictOf(finding: Finding): string {
  const met = isMet(finding);
  return met === undefined ? '' : met ? 'ok' : 'MISSED';
}

function rows(findings: readonly Finding[]): readonly (readonly string[])[] {
  return findings.map((finding) => [
    finding.what,
    amount(finding.value, finding.unit),
    finding.floor === undefined ? '' : amount(finding.floor, finding.unit),
    ratioOf(finding)?.toFixed(2) ?? '',
    goalOf(finding),
    verdictOf(finding),
  ]);
}

/** For a terminal. */
export function asText(findings: readonly Finding[]): string {
  const table = [HEAD, ...rows(findings)];
  const widths = HEAD.map((_, column) =>
    Math.max(...table.map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return table.map(line).join('\n');
}

/** As it stands in docs/reference/performance.md. */
export function asMarkdown(findings: readonly Finding[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = line(['---', '---:', '---:', '---:', '---:', '---']);
  return [line(HEAD), rule, ...rows(findings).map(line)].join('\n');
}

/** One object per line. */
export function asJson(findings: readonly Finding[]): string {
  return findings
    .map((finding) => JSON.stringify({ ...finding, ratio: ratioOf(finding), met: isMet(finding) }))
    .join('\n');
}
