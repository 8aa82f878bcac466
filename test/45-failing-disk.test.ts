/** A disk that fills up under the pool: a loop device on a small tmpfs takes what it has room for, then refuses msync. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Pool, PoolReader } from '../logger/index.js';
import { FramekeepError } from '../native/index.js';
import { Switch, type SwitchEvent } from '../switch/index.js';
import { has } from './needs.js';
import { eventually } from './patience.js';

/** The mounted directory, and how it is taken away again; undefined where mounting is not to be had. */
function smallDisk(): { readonly path: string; remove(): void } | undefined {
  const dir = mkdtempSync('/dev/shm/framekeep-disk-'), memory = join(dir, 'memory'), path = join(dir, 'disk'), image = join(memory, 'image');
  mkdirSync(memory);
  mkdirSync(path);
  const done: string[] = [], sh = (program: string, ...args: string[]): void => { execFileSync(program, args, { stdio: 'pipe' }); };
  const remove = (): void => {
    for (const mount of done) sh('umount', '-l', mount);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    sh('mount', '-t', 'tmpfs', '-o', 'size=12m', 'framekeep-test', memory);
    done.unshift(memory);
    sh('truncate', '-s', '128M', image);
    sh('mkfs.ext4', '-q', '-O', '^has_journal', '-E', 'lazy_itable_init=1,nodiscard', image);
    sh('mount', '-o', 'loop', image, path);
    done.unshift(path);
    return { path, remove };
  } catch (error) {
    remove();
    console.log(`left out: a disk that fills up: ${(error as Error).message.split('\n')[1] ?? ''}`);
    return undefined;
  }
}

const disk = has('a disk that fills up', 'root', 'mkfs.ext4', 'mount') ? smallDisk() : undefined;
if (disk !== undefined) {
  const run = process.env['FRAMEKEEP_RUN'] = mkdtempSync('/dev/shm/framekeep-run-');
  test.after.always(() => {
    disk.remove();
    rmSync(run, { recursive: true, force: true });
  });

  test('when the disk refuses a commit, keeping stops and says so, the batch is lost, and every frame is still forwarded', async (t) => {
    const path = join(disk.path, 'pool'), events: SwitchEvent[] = [];
    const sw = await Switch.start({ name: 'full', pool: path, create: { bytes: 48 << 20 }, durability: 'power', checked: true, held: true });
    sw.on('event', (event) => events.push(event));
    sw.on('failed', (error) => t.fail(error.message));
    await sw.addPort('gen:a,rate=20000,size=1500,count=60000');
    await sw.addPort('sink:b');
    await sw.begin();
    await eventually('the generator\'s end', () => sw.stats().ports[0].finished !== 0, 20);
    const error = await t.throwsAsync(sw.freeze(false), { instanceOf: FramekeepError }) as FramekeepError;
    t.is(error.code, 'E_COMMIT', 'it cannot be thawed');
    const stopped = events.filter((e) => e.kind === 'keeping-stopped');
    t.is(stopped.length, 1);
    t.regex(stopped[0].kind === 'keeping-stopped' ? stopped[0].text : '', /medium refused a commit/);
    await sw.stop();
    const { ports: [a, b], global } = sw.stats();
    t.deepEqual([a.received, a.forwarded + a.flooded + a.dropped['no-egress'] + a.dropped['tx-full'], global.frozen], [60000, 60000, 1]);
    t.is(b.sent, a.forwarded + a.flooded);
    t.true(b.sent > 55000);
    t.true(a.kept > 1000 && a.lost > 0 && a.notSelected > 30000, `${a.kept} kept, ${a.lost} lost, ${a.notSelected} not selected`);
    t.is(a.received, a.kept + a.notSelected + a.lost);
    t.is(a.kept, global.committed);

    // From the page cache: all that was acknowledged, and perhaps what was refused.
    const pool = Pool.open(path), reader = new PoolReader(pool);
    let n = 0;
    while (reader.next()) {
      const number = Buffer.from(reader.bytes.buffer, reader.bytes.byteOffset + reader.offset, reader.captured).readBigUInt64BE(14);
      if (Number(number) !== reader.sequence) t.fail(`record ${reader.sequence} has frame ${number}`);
      n++;
    }
    pool.close();
    t.true(n >= a.kept && n <= a.kept + a.lost, `${n} read`);
  });
}
