/** `npm start` as its user sees it: one pass, the command it names, and that command after a SIGKILL in the middle. */
import test from 'ava';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCapture } from '../logger/capture/index.js';
import { packageRoot } from '../native/index.js';
import { difference } from './alike.js';

const root = packageRoot(), program = join(root, 'cli', 'framekeep.mjs');

function place(t: { teardown(f: () => void): void }): { directory: string; pool: string; env: NodeJS.ProcessEnv } {
  const directory = mkdtempSync(join(tmpdir(), 'framekeep-demo-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return { directory, pool: join(directory, 'demo.pool'), env: { ...process.env, FRAMEKEEP_RUN: join(directory, 'run'), NO_COLOR: '1' } };
}

/** The frames of a capture file, as text that can be compared. */
function framesOf(file: string): string[] {
  const capture = openCapture(file), frames: string[] = [];
  while (capture.next()) frames.push(Buffer.from(capture.bytes.subarray(capture.offset, capture.offset + capture.captured)).toString('hex'));
  capture.close();
  return frames;
}

/** Runs the command that the demonstration told its user, from the repository, with its file put elsewhere. */
function exportAsTold(told: string, directory: string, env: NodeJS.ProcessEnv): string[] {
  const command = /(\S*framekeep\.mjs export \S+ -w )kept\.pcapng( --boot last)?/.exec(told);
  if (command === null) throw new Error(`no export command in: ${told}`);
  const out = join(directory, 'kept.pcapng');
  const result = spawnSync('sh', ['-c', `${command[1]}${out}${command[2] ?? ''}`], { cwd: root, env, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(result.stderr);
  return framesOf(out);
}

test('one pass ends by itself, keeps every frame of the captures, and names the command that opens them', async (t) => {
  const { directory, pool, env } = place(t);
  const child = spawn(process.execPath, [program, 'demo', '--speed', '20', '--pool', pool], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (text) => { said += text; });
  child.stderr.resume();
  const [code] = await once(child, 'close');
  t.is(code, 0);
  const want = ['mptcp-v0.pcap', 'nb6-http.pcap', 'rpvstp-trunk-native-vid5.pcap'].flatMap((f) => framesOf(join(root, 'captures', f)));
  t.is(want.length, 348);
  t.true(said.includes(`${want.length} frames`), said);
  t.is(difference(exportAsTold(said, directory, env).sort(), want.sort()), '');
});

test('killed in the middle, the command it named gives what was kept until then, and the next start goes on', async (t) => {
  const { directory, pool, env } = place(t);
  const start = (speed: number): ReturnType<typeof spawn> => spawn(process.execPath, [program, 'demo', '--speed', String(speed), '--pool', pool, '--json'], { cwd: root, env, stdio: ['ignore', 'pipe', 'ignore'] });
  const child = start(1);  // ten seconds: it is killed before they are over
  let told = 0, buffered = '';
  // Every count it shows is a promise: so many were kept before it was written.
  const enough = new Promise<void>((resolve) => child.stdout!.on('data', (text) => {
    buffered += text;
    const lines = buffered.split('\n');
    buffered = lines.pop()!;
    for (const line of lines) {
      const message = JSON.parse(line) as { type: string; global?: { committed: number } };
      if (message.type === 'stats') told = message.global!.committed;
    }
    if (told >= 50) resolve();
  }));
  await enough;
  child.kill('SIGKILL');
  await once(child, 'close');
  const kept = exportAsTold(`./cli/framekeep.mjs export ${pool} -w kept.pcapng`, directory, env);
  t.true(kept.length >= told, `${kept.length} recovered, ${told} announced`);
  const sent = new Set(['mptcp-v0.pcap', 'nb6-http.pcap', 'rpvstp-trunk-native-vid5.pcap'].flatMap((f) => framesOf(join(root, 'captures', f))));
  t.true(kept.every((frame) => sent.has(frame)));

  const again = start(10);
  await once(again, 'close');
  const after = exportAsTold(`./cli/framekeep.mjs export ${pool} -w kept.pcapng`, directory, env);
  t.is(difference(after.slice(0, kept.length), kept), '');
  t.is(after.length, kept.length + 348);
  t.true(readFileSync(pool).subarray(0, 8).toString() === 'FRAMKEEP');
});
