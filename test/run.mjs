// `npm test`: runs the compiled tests with AVA and closes with the line `N passed, N failed`, which is alone on its line and the
// last one. What a file left out for want of root or of a program is printed by name before it (test/needs.ts); a file
// that left out everything is no failure, one that has no tests for any other reason is.
//
//   node test/run.mjs                          all of it
//   node test/run.mjs 50-cli 20-               files whose name contains one of these
//   node test/run.mjs --match '*exit code*'    tests whose title matches (AVA's --match)
//   node test/run.mjs --dir DIR                compiled tests elsewhere (for this file's own tests)
//
// AVA is driven through its own modules, as its command line does: its machine-readable output (--tap, 7.0.0) dies of a
// test that times out, and its command line calls a file that leaves out everything a failure. package.json pins the
// version, and this file's own tests (test/51-runner.test.ts) notice a change.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { match: { type: 'string', multiple: true, default: [] }, dir: { type: 'string', default: join(root, 'dist', 'test') }, timeout: { type: 'string' } },
});
const dir = resolve(values.dir);
const config = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).ava;

const ava = (file) => import(new URL(`../node_modules/ava/lib/${file}`, import.meta.url).href);
const chalkOptions = { level: process.stdout.isTTY && !process.env.NO_COLOR ? 1 : 0 };
(await ava('chalk.js')).set(chalkOptions);
const { default: Api } = await ava('api.js');
const { default: Reporter } = await ava('reporters/default.js');
const { normalizeGlobs } = await ava('globs.js');

/** AVA's own report, without what is no failure here, and with the files' notes taken aside. */
class LeavingOut extends Reporter {
  /** Files that said what they left out. */
  leftOut = new Set();
  notes = new Set();
  crashed = new Set();
  /** File → what AVA said of it. */
  withoutTests = new Map();

  consumeStateChange(event) {
    if (event.type === 'worker-stdout') {
      const text = event.chunk.toString();
      const lines = text.split('\n').filter((line) => line.startsWith('left out: '));
      if (lines.length > 0) {
        this.leftOut.add(event.testFile);
        for (const line of lines) this.notes.add(line);
        const rest = text.split('\n').filter((line) => !line.startsWith('left out: ')).join('\n');
        if (rest.trim() === '') return;
        event = { ...event, chunk: Buffer.from(rest) };
      }
    }
    // Whether that is a failure is known at the end only: a file's output and its messages come by different ways.
    const { declaredTests } = this.stats?.byFile.get(event.testFile) ?? {};
    if (event.type === 'missing-ava-import' || (event.type === 'worker-finished' && declaredTests === 0)) {
      this.withoutTests.set(event.testFile, event);
      return;
    }
    if (event.type === 'worker-failed') {
      if (this.withoutTests.has(event.testFile)) return;
      this.crashed.add(event.testFile);
    }
    super.consumeStateChange(event);
  }

  endRun() {
    for (const [file, event] of this.withoutTests) if (!this.leftOut.has(file)) super.consumeStateChange(event);
    super.endRun();
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'framekeep-test-'));
process.env.FRAMEKEEP_LEFT_OUT = join(scratch, 'left-out');
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

const compiled = readdirSync(dir, { recursive: true }).filter((file) => file.endsWith('.test.js')).sort().map((file) => join(dir, file));
const wanted = positionals.map((word) => basename(word).replace(/\.test\.[jt]s$|\.[jt]s$/, ''));
const files = wanted.length === 0 ? compiled : compiled.filter((file) => wanted.some((word) => basename(file).includes(word)));

const api = new Api({
  cacheEnabled: false,              // it is for watching, and lies in node_modules, where another user may not write
  chalkOptions,
  concurrency: config.concurrency,
  timeout: values.timeout ?? config.timeout,
  workerThreads: config.workerThreads,
  globs: normalizeGlobs({ files: config.files, extensions: ['js'], providers: [] }),
  match: values.match, projectDir: root, ranFromCli: true, failWithoutAssertions: true,
  debug: null, environmentVariables: {}, experiments: {}, extensions: ['js'], failFast: false, moduleTypes: { js: 'module' }, nodeArguments: [],
  parallelRuns: null, providers: [], require: [], serial: false, snapshotDir: null, updateSnapshots: false,
});
const reporter = new LeavingOut({ extensions: ['js'], projectDir: root, reportStream: process.stdout, stdStream: process.stderr, watching: false });
let status;
api.on('run', (plan) => {
  status = plan.status;
  reporter.startRun(plan);
  plan.status.on('stateChange', (event) => { if (event.type === 'interrupt') finish(true); });
});
const began = Date.now();
if (files.length > 0) await api.run({ files });
finish(false);

/** A file counts each test that failed or never ended, and at least one if it crashed. */
function failuresOf(file) {
  const f = status.stats.byFile.get(file);
  const tests = f.failedTests + f.failedHooks + f.remainingTests;
  const crashed = f.uncaughtExceptions + f.unhandledRejections + f.internalErrors + f.unexpectedProcessExits > 0 || reporter.crashed.has(file);
  const empty = f.declaredTests === 0 && !reporter.leftOut.has(file);
  return tests > 0 ? tests : crashed || empty ? 1 : 0;
}

function finish(interrupted) {
  let passed = 0;
  let failed = 0;
  if (status !== undefined) {
    reporter.endRun();
    const { stats } = status;
    passed = stats.passedTests + stats.passedKnownFailingTests;
    for (const file of stats.byFile.keys()) failed += failuresOf(file);
    // What belongs to no file, and a run that AVA gives up without a test having failed.
    if (failed === 0 && (stats.internalErrors > 0 || stats.timeouts > 0 || stats.sharedWorkerErrors > 0)) failed = 1;
  }
  const say = (line) => process.stdout.write(`${line}\n`);
  // The notes' file has those of every process, also of one that a test started itself.
  if (existsSync(process.env.FRAMEKEEP_LEFT_OUT)) {
    for (const line of readFileSync(process.env.FRAMEKEEP_LEFT_OUT, 'utf8').split('\n')) if (line !== '') reporter.notes.add(line);
  }
  for (const note of reporter.notes) say(note);
  if (files.length === 0) say(wanted.length > 0 ? `no test file is named like ${wanted.join(' or ')}` : `there is no compiled test in ${dir}: npm run setup`);
  say(`${files.length} test file${files.length === 1 ? '' : 's'} in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  say(`${passed} passed, ${failed} failed`);
  process.exit(interrupted ? 130 : failed > 0 || passed === 0 ? 1 : 0);
}
