/** docs/performance.md and its plots, written from a report. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inWords } from './machine.js';
import { apartInWords, cells, type Report } from './results.js';
import { svg } from './plot.js';

/** What a person has to say about the figures: kept when they are written anew. */
const NOTES = /<!-- notes -->[^]*?<!-- \/notes -->/;

/** @param docs  the folder that performance.md is in; plots go into its performance/ */
export function writePage(docs: string, report: Report): void {
  mkdirSync(join(docs, 'performance'), { recursive: true });
  const path = join(docs, 'performance.md'), notes = existsSync(path) ? NOTES.exec(readFileSync(path, 'utf8'))?.[0] : undefined;
  const out = [
    '# Performance', '',
    'Written by `npm run bench -- --json FILE --page docs`; [bench/README.md](../bench/README.md) says how each case measures. Medians of interleaved rounds; on a machine',
    'that others share, believe ratios, not figures.', '',
    `Measured on ${inWords(report.machine)}, ${report.machine.startedAt.slice(0, 10)}.${report.settings['quick'] === true ? ' A quick run: these figures say little.' : ''}`, '',
    notes ?? '<!-- notes -->\n<!-- /notes -->', '',
  ];
  for (const result of report.cases) {
    if (result.rows.length === 0 && result.plots.length === 0) continue;
    out.push(`## ${result.name}`, '', `${result.about}`, '');
    if (result.rows.length > 0) {
      out.push('| | target | ratio | measured | |', '|---|--:|--:|--:|---|');
      for (const row of result.rows) out.push(`| ${cells(row).join(' | ')} |`);
      out.push('');
    }
    const remarks = [
      ...result.rows.flatMap((row) => row.note === undefined ? [] : [`${row.what}: ${row.note}`]),
      ...[...Object.entries(result.missing), ...Object.entries(result.failed)].map(([contestant, why]) => `not measured: ${contestant}: ${why.split('\n')[0]}`),
      ...apartInWords(result),
    ];
    if (remarks.length > 0) out.push(...remarks.map((remark) => `* ${remark}`), '');
    for (const plot of result.plots) {
      writeFileSync(join(docs, 'performance', `${plot.name}.svg`), svg(plot));
      out.push(`![${plot.title}](performance/${plot.name}.svg)`, '');
    }
  }
  writeFileSync(path, out.join('\n').trimEnd() + '\n');
}
