/** `framekeep export`: formats, what is refused, readers that go away. */
import test from 'ava';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, linkSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../native/addon.js';
import { blocks } from './capture_file.js';
import { MiB, framesOf, aPool } from './exported_pool.js';

const bin = join(packageRoot(), 'cli', 'framekeep.mjs');

function framekeep(...args: string[]): { status: number | null; stdout: Buffer; stderr: string } {
  const run = spawnSync(process.execPath, [bin, ...args], { maxBuffer: 1 << 28 });
  return { status: run.status, stdout: run.stdout, stderr: run.stderr.toString() };
}

test('framekeep export: formats, filters, standard output, summary', (t) => {
  const path = aPool(t), total = 900;
  let run = framekeep('export', path, '-w', `${path}.pcapng`);
  t.is(run.status, 0, run.stderr);
  t.regex(run.stderr, /^900 frames, [\d,]+ bytes, in [\d.]+ s to .*a\.pool\.pcapng\n$/);
  t.is(run.stdout.length, 0);
  const file = readFileSync(`${path}.pcapng`);
  run = framekeep('export', path, '-w', '-');
  t.true(run.stdout.equals(file), 'the same on standard output');
  t.is(framekeep('export', path, '-w', `${path}.pcap`).status, 0);
  t.is(readFileSync(`${path}.pcap`).readUInt32LE(0), 0xa1b23c4d, 'by the name');
  t.is(framekeep('export', path, '-w', `${path}.x`, '--format', 'pcap').status, 0);
  t.true(readFileSync(`${path}.x`).equals(readFileSync(`${path}.pcap`)));
  t.is(framekeep('export', path, '-w', `${path}.pcap`, '--format', 'pcapng').status, 0);
  t.true(readFileSync(`${path}.pcap`).equals(file));
  run = framekeep('export', path, '-w', `${path}.pcap`, '--json', '--port', 'vm1', '--boot', 'last', '--last', '30', 'udp', 'port', '5353');
  const shown = JSON.parse(run.stdout.toString());
  t.is(run.status, 0);
  t.is(shown.format, 'pcap');
  t.is(shown.frames, framesOf(path).filter((f) => f.boot === 3 && f.ingress === 1 && f.data.readUInt16BE(36) === 5353).length);
  t.true(shown.complete && shown.frames > 0 && shown.frames + shown.notSelected <= total);
});

test('framekeep export: what is refused leaves everything as it was', (t) => {
  const path = aPool(t, { frames: 20 }), dir = join(path, '..'), other = join(dir, 'other.pool'), precious = join(dir, 'precious.pcapng');
  copyFileSync(path, other);
  symlinkSync(path, join(dir, 'link'));
  linkSync(path, join(dir, 'hard'));
  writeFileSync(precious, 'precious');
  const before = readFileSync(path);
  for (const [args, status, code] of [
    [['-w', path], 2, 'E_USAGE'], [['-w', join(dir, 'link')], 2, 'E_USAGE'], [['-w', join(dir, 'hard')], 2, 'E_USAGE'], [['-w', other], 1, 'E_POOL_EXISTS'],
    [['-w', precious, 'no such filter'], 2, 'E_FILTER_SYNTAX'], [['-w', precious, '--port', 'nobody'], 1, 'E_PORT_UNKNOWN'], [['-w', precious, '--boot', '9'], 1, 'E_BOOT_UNKNOWN'],
    [['-w', dir], 1, 'E_IO'], [['-w', join(dir, 'no', 'where')], 1, 'E_IO'], [['-w', '/dev/full'], 1, 'E_OUTPUT_FULL'],
  ] as [string[], number, string][]) {
    const run = framekeep('export', path, ...args);
    t.is(run.status, status, `${args.join(' ')}: ${run.stderr}`);
    t.true(run.stderr.includes(`[${code}]`), `${args.join(' ')}: ${run.stderr}`);
  }
  t.is(readFileSync(precious, 'utf8'), 'precious');
  t.true(readFileSync(path).equals(before));
  t.true(readFileSync(other).equals(before));
});

test.serial('framekeep export: a reader that goes away, and SIGINT in the middle', async (t) => {
  const path = aPool(t, { frames: 9000, bytes: 128 * MiB, lanes: 1 });
  const piped = spawnSync('sh', ['-c', '"$0" "$@" | head -c 1000 | wc -c; exit ${PIPESTATUS:-0}', process.execPath, bin, 'export', path, '-w', '-'], { encoding: 'utf8' });
  t.is(piped.stdout.trim(), '1000');
  t.is(piped.stderr, '', 'quietly');
  const status = spawnSync('bash', ['-c', '"$0" "$@" | head -c 1000 >/dev/null; echo ${PIPESTATUS[0]}', process.execPath, bin, 'export', path, '-w', '-'], { encoding: 'utf8' });
  t.is(status.stdout.trim(), '0');

  // The pipe is full, and read on only after the signal: what comes then ends with a whole frame.
  const child = spawn(process.execPath, [bin, 'export', path, '-w', '-'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  let said = '';
  child.stderr.on('data', (text) => { said += String(text); });
  await new Promise((resolve) => child.stdout.once('readable', resolve));
  child.kill('SIGINT');
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise((resolve) => child.once('close', (c) => resolve(c)));
  t.is(code, 130, said);
  t.regex(said, /interrupted: the file ends after the last of them/);
  writeFileSync(`${path}.cut`, Buffer.concat(chunks));
  const found = blocks(`${path}.cut`).filter((b) => b.type === 6).length;
  t.true(found > 0 && found < 27_000, `${found} frames`);
});
