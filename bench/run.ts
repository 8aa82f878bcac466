/**
 * `npm run bench`: measures cases, round after round, and says what came of it.
 *
 *   npm run bench                                      every case
 *   npm run bench -- fabric 'fabric-kept' --rounds 5   cases by name; a name ending in * stands for all that begin so
 *   npm run bench -- --list                            what there is
 *   npm run bench -- --quick                           short and small: to see that it works
 *   npm run bench -- --json out.json                   the same for programs; rounds, medians, rows, machine
 *   npm run bench -- --set soak=3600                   a case's own setting
 *   npm run bench -- xdp-latency --only bridge         contestants whose name has one of these words (--only may be said again)
 *   npm run bench -- --page docs                       rewrites docs/performance.md and its plots from the JSON of --json, or of --from
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CASES } from './cases/index.js';
import type { Case, Contestant, Settings } from './case.js';
import { endAll, lacking } from './child.js';
import { inWords, machine } from './machine.js';
import { writePage } from './page.js';
import { conclude, newResult, table, type CaseResult, type Report } from './results.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' }, json: { type: 'string' }, quick: { type: 'boolean', default: false }, list: { type: 'boolean', default: false },
    set: { type: 'string', multiple: true, default: [] }, only: { type: 'string', multiple: true, default: [] }, page: { type: 'string' }, from: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false },
  },
});

const own = new Map(values.set.map((pair) => [pair.split('=')[0], Number(pair.split('=')[1])]));
for (const [name, value] of own) if (!Number.isFinite(value)) fail(`--set ${name}: not a number`);
const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) fail('--rounds: not a whole number above 0');

let interrupted = false, interruptedAt = 0;
const settings: Settings = {
  quick: values.quick, whole: positionals.length === 0,
  set: (name, otherwise) => own.get(name) ?? otherwise,
  progress: (text) => { say(text); },
};

function fail(text: string): never {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(2);
}

/** One line on standard error, written over on a terminal. */
function say(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text.slice(0, (process.stderr.columns ?? 100) - 1)}` : `${text}\n`);
}

/** As it was asked for: other rounds take another time. */
const minutesOf = ({ minutes, minutesAlone = minutes, rounds: own = 3 }: Case): number => values.quick ? minutes / 10 : (settings.whole ? minutes : minutesAlone) * (rounds ?? own) / own;
const leftInWords = (minutes: number): string => minutes < 1 ? 'less than a minute left' : `about ${Math.round(minutes)} min left`;

function chosen(): Case[] {
  if (positionals.length === 0) return [...CASES];
  return positionals.flatMap((word) => {
    const found = CASES.filter((c) => c.name === word || (word.endsWith('*') && c.name.startsWith(word.slice(0, -1))));
    if (found.length === 0) fail(`there is no case '${word}'; there are ${CASES.map((c) => c.name).join(', ')}`);
    return found;
  });
}

/** @param later  minutes that the cases after this one take */
async function measureCase(of: Case, result: CaseResult, later: number): Promise<void> {
  const lacks = of.needs.length > 0 ? lacking(...of.needs) : undefined;
  if (lacks !== undefined) { result.missing['all of it'] = lacks; return; }
  let there: Contestant[] = [];
  try {
    for (const contestant of await of.contestants(settings)) {
      if (values.only.length > 0 && !values.only.some((word) => contestant.name.includes(word))) continue;
      if (contestant.missing !== undefined) result.missing[contestant.name] = contestant.missing;
      else there.push(contestant);
    }
    const begun = performance.now(), wanted = rounds ?? (settings.quick ? 1 : of.rounds ?? 3);
    for (let round = 1, done = 0; round <= wanted; round++) {
      for (const contestant of [...there]) {
        if (interrupted) return;
        const spent = (performance.now() - begun) / 60_000, here = done === 0 ? minutesOf(of) : spent / done * (there.length * (wanted - round + 1) - done % there.length);
        say(`${of.name}: round ${round} of ${wanted}: ${contestant.name} (${leftInWords(here + later)})`);
        done++;
        try {
          (result.rounds[contestant.name] ??= []).push(await contestant.measure());
        } catch (error) {
          if (interrupted) return;
          result.failed[contestant.name] = (error as Error).message.trim();
          there = there.filter((c) => c !== contestant);
        }
      }
    }
  } finally {
    await of.end?.();
    for (const [name, figures] of Object.entries(result.rounds)) if (figures.length === 0) delete result.rounds[name];
  }
}

if (values.help) {
  process.stdout.write('npm run bench -- [CASE...] [--rounds N] [--quick] [--json FILE] [--set NAME=N] [--only WORD] [--list] [--page DIR [--from FILE]]\nbench/README.md says more.\n');
  process.exit(0);
}
if (values.list) {
  for (const c of CASES) process.stdout.write(`${c.name.padEnd(22)} ${c.about}${c.needs.length > 0 ? ` (needs ${c.needs.join(', ')})` : ''}\n`);
  process.exit(0);
}
if (values.from !== undefined) {
  if (values.page === undefined) fail('--from goes with --page');
  writePage(values.page, JSON.parse(readFileSync(values.from, 'utf8')) as Report);
  process.exit(0);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // timeout(1) and a terminal tell a whole group at once, and more than once.
    if (interrupted && performance.now() - interruptedAt > 1000) process.exit(130);
    if (interrupted) return;
    interrupted = true;
    interruptedAt = performance.now();
    say('interrupted: what was measured so far follows');
    endAll();
  });
}

const report: Report = { machine: machine(), settings: { quick: settings.quick, rounds: rounds ?? 'by case', ...Object.fromEntries(own) }, cases: [] };
function save(): void {
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(report, undefined, 1) + '\n');
  if (values.page !== undefined) writePage(values.page, report);
}
const wanted = chosen();
for (const [i, one] of wanted.entries()) {
  if (interrupted) break;
  const result = newResult(one);
  report.cases.push(result);
  try {
    await measureCase(one, result, wanted.slice(i + 1).reduce((sum, c) => sum + minutesOf(c), 0));
  } catch (error) {
    result.failed['all of it'] = (error as Error).message;
  }
  conclude(one, result);
  save();  // an hour's figures are not lost with the last case
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
process.stdout.write(`${inWords(report.machine)}\n${settings.quick ? 'quick: these figures say little\n' : ''}\n${table(report.cases)}\n`);
save();
process.exit(interrupted ? 130 : report.cases.some((c) => Object.keys(c.failed).length > 0) ? 1 : 0);
