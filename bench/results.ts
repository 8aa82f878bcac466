/** What was measured, by case and contestant: every round, the medians, the rows; and the table for people. */
import { thousands } from '../logger/words.js';
import { isMet, medianOf, type Case, type Figures, type Median, type Plot, type Row } from './case.js';
import { NEAR_SHARE } from './fabric/options.js';
import type { Machine } from './machine.js';

export interface CaseResult {
  readonly name: string;
  readonly about: string;
  /** By contestant: each round's figures. */
  readonly rounds: Record<string, Figures[]>;
  readonly missing: Record<string, string>;
  readonly failed: Record<string, string>;
  medians: Record<string, Figures>;
  rows: Row[];
  plots: Plot[];
}

export interface Report { readonly machine: Machine; readonly settings: Record<string, unknown>; readonly cases: CaseResult[] }

export function newResult(of: Case): CaseResult {
  return { name: of.name, about: of.about, rounds: {}, missing: {}, failed: {}, medians: {}, rows: [], plots: [] };
}

/** Medians, rows and plots of what there is, also when it was interrupted. */
export function conclude(of: Case, result: CaseResult): void {
  for (const [contestant, rounds] of Object.entries(result.rounds)) {
    const names = [...new Set(rounds.flatMap((figures) => Object.keys(figures)))];
    result.medians[contestant] = Object.fromEntries(names.map((name) => [name, medianOf(rounds.map((f) => f[name]).filter((x) => x !== undefined))]));
  }
  const median: Median = (contestant, figure) => result.medians[contestant]?.[figure];
  result.rows = of.rows(median).map((row) => 'ratio' in row ? { ...row, ratio: row.ratio ?? null } : row);  // JSON has no undefined
  result.plots = of.plots?.(median) ?? [];
}

const number = (x: number): string => x === 0 ? '0' : Math.abs(x) >= 1000 ? thousands(Math.round(x)) : Math.abs(x) >= 100 ? x.toFixed(0) : Math.abs(x) >= 10 ? x.toFixed(1) : x.toFixed(2);

/** A row's cells: what, target, ratio, absolute figure, whether it was met. */
export function cells(row: Row): [what: string, target: string, ratio: string, figure: string, met: string] {
  const { target, ratio, value, unit } = row, met = isMet(row), ofValue = !('ratio' in row) && unit !== undefined ? ` ${unit}` : '';
  const wanted = target === undefined ? '' : target.atLeast !== undefined ? `≥ ${number(target.atLeast)}${ofValue}` : `≤ ${number(target.atMost!)}${ofValue}`;
  const figure = value === undefined ? '–' : `${number(value)}${unit === undefined ? '' : ` ${unit}`}`;
  return [row.what, wanted, typeof ratio === 'number' ? number(ratio) : '', figure, met === undefined ? '' : met ? 'met' : 'MISSED'];
}

/** What is to be said of a case where the two CPUs shared no cache during some measurements (fabric/options.ts): a line, or none. */
export function apartInWords({ rounds }: CaseResult): string[] {
  const all = Object.values(rounds).flat(), apart = all.filter((figures) => figures['nearShare'] < NEAR_SHARE).length;
  return apart === 0 ? [] : [`during ${apart} of ${all.length} measurements the two CPUs shared no cache`];
}

/** The summary: a section a case. */
export function table(results: readonly CaseResult[]): string {
  const head = ['', 'target', 'ratio', 'measured', ''];
  const all = [head, ...results.flatMap((r) => r.rows.map((row) => cells(row)))];
  const widths = head.map((_, i) => Math.max(...all.map((line) => line[i].length)));
  const line = (texts: readonly string[]): string => texts.map((t, i) => i === 0 ? t.padEnd(widths[i]) : t.padStart(widths[i])).join('  ').trimEnd();
  const out = [line(head)];
  for (const result of results) {
    if (Object.keys(result.rounds).length + Object.keys(result.missing).length + Object.keys(result.failed).length === 0) continue;
    out.push('', `${result.name}: ${result.about}`);
    for (const row of result.rows) {
      out.push(line(cells(row)));
      if (row.note !== undefined) out.push(`    ${row.note}`);
    }
    for (const remark of apartInWords(result)) out.push(`    ${remark}`);
    for (const [contestant, why] of Object.entries(result.missing)) out.push(`    missing: ${contestant}: ${why}`);
    for (const [contestant, why] of Object.entries(result.failed)) out.push(`    FAILED: ${contestant}: ${why.split('\n').slice(0, 4).join(' ').slice(0, 300)}`);
  }
  return out.join('\n');
}
