// `npm run test:sanitize`: the native layer's tests with the addon built by -fsanitize=address,undefined. Ends with `N passed, N failed`,
// as `npm test` does; a report of a sanitizer is a failure, also one of a child process that a test started.
//
//   node test/sanitize.mjs                 the files below
//   node test/sanitize.mjs 20-log 30-      others (words as for test/run.mjs)
//
// Node itself is not instrumented, so the runtime is preloaded. Of malloc'ed memory ASan knows the bounds by itself; of mappings it knows
// what 36-frame-fuzz tells it (native/sanitizer.ts). Leaks are looked for when a process ends, and count where native/src/ allocated.
// First each sanitizer is shown a fault that it must tell: a run that would notice nothing is a failure.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// All that calls native code without starting programs that do not bear a preloaded runtime (tshark and iperf3 hang under it).
const FILES = ['10-checksum', '10-format', '10-gather', '10-netif', '10-tap', '10-xdp', '20-', '25-report', '27-mutants', '30-', '35-', '36-', '40-', '41-', '45-', '53-'];
const wanted = process.argv.slice(2);

const step = (program, args) => {
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
step(process.execPath, [join(root, 'native', 'build.mjs'), '--sanitize']);
step(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', root]);

const cxx = process.env.CXX ?? 'c++';
const runtime = ['libasan.so', 'libubsan.so'].map((name) => spawnSync(cxx, [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout.trim());
const logs = mkdtempSync(join(tmpdir(), 'framekeep-sanitize-'));
const env = {
  FRAMEKEEP_MUTANTS: '2000', ...process.env, LD_PRELOAD: runtime.join(' '), FRAMEKEEP_ADDON: join(root, 'build', 'framekeep-asan.node'),
  ASAN_OPTIONS: `detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:exitcode=99:log_path=${join(logs, 'asan')}`,
  // A leak is told in the log; most processes that a test starts are not ours, and some have leaks of their own.
  LSAN_OPTIONS: 'exitcode=0:max_leaks=50',
  // Beside libasan its runtime writes to standard error, whatever log_path says; and the process ends, which fails its test.
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1:exitcode=98',
};
/** Reports since the last look: all of them, but of leaks only those that native/src/ made. */
function reports() {
  const found = [];
  for (const file of readdirSync(logs)) {
    const text = readFileSync(join(logs, file), 'utf8');
    rmSync(join(logs, file));
    // Programs that a test starts have faults of their own (groff 1.22's troff, which systemd-analyze has run for a manual page).
    if (!/LeakSanitizer/.test(text)) { if (/\/node\b|framekeep|native\/src\//.test(text)) found.push(text); continue; }
    // What V8 allocated for us (an ArrayBuffer's bookkeeping) is reachable from its heap only, which is not looked through.
    const ours = text.split('\n\n').filter((block) => /^(Direct|Indirect) leak/m.test(block) && /^ *#1 .*(native\/src\/|framekeep-asan\.node|\/c\+\+\/)/m.test(block));
    if (ours.length > 0) found.push(ours.join('\n\n'));
  }
  return found;
}

let blind = 0;
['heap-buffer-overflow', 'signed integer overflow', 'leak of 4321 byte'].forEach((words, kind) => {
  const code = `const { sanitizerFault } = await import(${JSON.stringify(join(root, 'dist', 'native', 'sanitizer.js'))}); sanitizerFault(${kind});`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { env, encoding: 'utf8' });
  const told = [stderr, ...reports()].some((text) => text.includes(words));
  console.log(`${told ? 'told' : 'NOT TOLD'}: a planted ${words.replace(' 4321', ' so many')}${/byte$/.test(words) ? 's' : ''}`);
  if (!told) blind++;
});

const run = spawnSync(process.execPath, [join(root, 'test', 'run.mjs'), '--timeout', '300s', ...(wanted.length > 0 ? wanted : FILES)], { env, encoding: 'utf8', stdio: ['inherit', 'pipe', 'pipe'], maxBuffer: 1 << 28 });
const said = run.stdout.trimEnd().split('\n'), [, passed, failed] = /^(\d+) passed, (\d+) failed$/.exec(said.at(-1)) ?? [0, 0, 1];
console.log(said.slice(0, -1).join('\n'));
process.stderr.write(run.stderr);
const told = [...reports(), ...Array.from((run.stdout + run.stderr).matchAll(/^.*: runtime error: .*$/gm), ([line]) => line)];
for (const text of told) console.log(text);
rmSync(logs, { recursive: true, force: true });
console.log(`${told.length} reports of a sanitizer`);
console.log(`${passed} passed, ${Number(failed) + told.length + blind} failed`);
process.exitCode = run.status === 0 && told.length + blind === 0 ? 0 : 1;
