/**
 * The switch on files: fsdax (MAP_SYNC, one copy), a file in the page cache as it is, and one that is written back at each commit.
 * The middle one must lose what was acknowledged: that shows that the power really goes.
 * At the last boot the platform no longer says how far it takes its caches when the power goes.
 */
import { checkRecovered, type Results, type Trial } from './trial.js';

const FSDAX = '/mnt/pool', PROCESS = '/disk/process', POWER = '/disk/power';
const SIZE = '24M';
/** Of captured frames on each cable, before the power may go: some 1,600 frames. */
const TRAFFIC = 1.2e6;
// No write-back by the clock: it would save some of what nobody asked to be saved.
const DISKS = `
    echo 0 >/proc/sys/vm/dirty_writeback_centisecs
    mount -t ext4 -o dax=always,commit=600 /dev/pmem0 /mnt; mount -t ext4 -o commit=600 /dev/vdc /disk
`;
const FSDAX_PROMISE = /^persistent memory \(fsdax, one-copy mode, flushed by \w+\): what is kept survives a killed switch, a kernel crash and a power cut$/;
const UNVERIFIED = /^fsdax, one-copy mode whose persistence is unverified \(the region names no persistence domain\): what is kept survives a killed switch; .* is up to the host$/;
const FILE_PROMISE = /^a file in the page cache \(one-copy mode\): .* a kernel crash or a power cut loses what the kernel had not written back/;
const MSYNC_PROMISE = /^a file written back at each commit \(msync, one-copy mode\): .* a power cut, as far as the disk keeps what it acknowledged$/;

export async function files(trial: Trial): Promise<void> {
  const first = trial.boot(['before', 'journal', ...[1, 2, 3].flatMap((n) => [`switch${n}`, `errors${n}`, `acks${n}`])], `
    ndctl create-namespace -f -e namespace0.0 -m fsdax -M mem >/dev/null
    mkfs.ext4 -q -b 4096 -E lazy_itable_init=0 /dev/pmem0; mkfs.ext4 -q -E lazy_itable_init=0 /dev/vdc
    ${DISKS}
    result doctor framekeep doctor --json /mnt /disk
    send before; hosts 3
    up 1 ${FSDAX} --pool-size ${SIZE} --commit-before-forward
    up 2 ${PROCESS} --pool-size ${SIZE} --commit-before-forward
    up 3 ${POWER} --pool-size ${SIZE} --commit-before-forward --durability power
    opened 1; opened 2; opened 3
    while :; do head -n 1 /proc/fs/jbd2/pmem0-8/info; sleep 1; done >/run/port/journal &
    acknowledge 1; acknowledge 2; acknowledge 3; traffic first 1 2 3; wait`);
  const before = await trial.results(first, 'before');
  trial.check('doctor tells fsdax from a disk', says(before.json('doctor').media, [['fsdax', 'power', FSDAX_PROMISE], ['file', 'process', FILE_PROMISE]]), before.json('doctor').media);
  const started = [await trial.started(first, 1), await trial.started(first, 2), await trial.started(first, 3)];
  trial.check('each switch says what its pool survives', says(started, [['fsdax', 'power', FSDAX_PROMISE], ['file', 'process', FILE_PROMISE], ['file', 'power', MSYNC_PROMISE]]), started);
  trial.same('all three are in one-copy mode', started.map((s) => s.zeroCopy), [false, false, false]);
  await trial.cutUnderTraffic(first, [1, 2, 3], TRAFFIC);
  const journal = first.text('journal').split('\n').filter(Boolean).map((line) => parseInt(line));
  trial.check('keeping frames on fsdax waits for no journal: its blocks were written when the pool was made', journal.length > 2 && journal.at(-1)! - journal[0] <= 2, journal);

  const second = trial.boot(['after', 'switch1', 'errors1', 'acks1'], `${DISKS}
    ${look('dax', FSDAX, 1)} ${look('process', PROCESS, 1)} ${look('power', POWER, 1)}
    send after; hosts 1; up 1 ${FSDAX}; opened 1; acknowledge 1; traffic second 1; wait`);
  const after = await trial.results(second, 'after');
  checkRecovered(trial, 'fsdax, run 1, committed before forwarded', after, 'dax.', 1, trial.compare(first, 1, after.path('dax.export'), 'first'), 0);
  checkRecovered(trial, 'a file with --durability power', after, 'power.', 1, trial.compare(first, 3, after.path('power.export'), 'first'), 0);
  checkLost(trial, after, trial.compare(first, 2, after.path('process.export'), 'first'));
  trial.check('inspect says of each pool what it is on', says(['dax', 'process'].map((name) => after.json(`${name}.inspect`).medium), [['fsdax', 'power', FSDAX_PROMISE], ['file', 'process', FILE_PROMISE]]),
    ['dax', 'process'].map((name) => after.json(`${name}.inspect`).medium));
  trial.same('inspect says what region fsdax is in', after.json('dax.inspect').medium.persistenceDomain, 'memory_controller');
  const again = await trial.started(second, 1);
  trial.same('the next start goes on in the fsdax pool', [again.boot, again.recovered, again.medium], [2, after.json('dax.inspect').lanes[0].valid, 'fsdax']);
  await trial.cutUnderTraffic(second, [1], TRAFFIC);

  const third = trial.boot(['after'], `${DISKS}
    ${look('dax', FSDAX, 2)}
    ip link add umem0 type veth peer name umem1; ip link set umem0 up; ip link set umem1 up
    result matrix node ${MEDIA} umem umem0 /mnt/umem /disk/umem; sync
    result nosync node ${MEDIA} store /mnt/sync sync
    send after
    framekeep create /disk/created --size 16M >/dev/null && node ${MEDIA} store /mnt/plain plain >/dev/null && say stored
    sleep 60`);
  const end = await trial.results(third, 'after');
  checkRecovered(trial, 'fsdax, run 2, forwarded before committed', end, 'dax.', 2, trial.compare(second, 1, end.path('dax.export'), 'second'), batchOf(end, 2));
  trial.same('the UMEM matrix: fsdax is EOPNOTSUPP, a file in the page cache EFAULT', end.json('matrix'), [
    { path: '/mnt/umem', kind: 'fsdax', zeroCopy: false, umem: 'EOPNOTSUPP', sync: 'yes', msync: 'yes' },
    { path: '/disk/umem', kind: 'file', zeroCopy: false, umem: 'EFAULT', sync: 'EOPNOTSUPP', msync: 'yes' },
  ]);
  await trial.cutAfter(third, 'stored');

  const fourth = trial.boot(['after'], `${DISKS}
    result created framekeep inspect --json /disk/created
    result pages node ${MEDIA} look /mnt/sync /mnt/plain
    result doctor framekeep doctor --json /mnt
    send after`, { persistence: undefined });
  const last = await trial.results(fourth, 'after');
  const [sync, plain] = last.json('pages');
  trial.same('with MAP_SYNC, flushed and fenced pages of an fsdax file survive', [sync.bytes, sync.pages], [4 << 20, 1024]);
  trial.check('without MAP_SYNC, the same flushes and fences lose them: the blocks were not the file\'s yet', plain.pages === 0, plain);
  trial.same('a pool that create said it made is there, under its name', [last.code('created'), last.json('created').findings], [0, []]);
  const places = last.json('doctor').media;
  trial.check('a platform that names no persistence domain: unverified', says(places, [['fsdax', 'process', UNVERIFIED]]), places);
  await fourth.finished(30);
}

const MEDIA = '/framekeep/test/vm/guest/media.mjs';
const look = (prefix: string, pool: string, boot: number): string => `
    result ${prefix}.inspect framekeep inspect --json ${pool}
    result ${prefix}.verify framekeep verify --json ${pool}
    result ${prefix}.export framekeep export ${pool} --boot ${boot} -w -
`;

const batchOf = (results: Results, boot: number): number => results.json('dax.inspect').boots.find((b: any) => b.id === boot).maxBatch;

function says(found: readonly any[], wanted: readonly (readonly [kind: string, durability: string, promise: RegExp])[]): boolean {
  return found.length === wanted.length && wanted.every(([kind, durability, promise], i) => {
    const one = found[i];
    return (one.medium ?? one.kind) === kind && one.durability === durability && promise.test(one.promise);
  });
}

/** The page cache went with the machine: most of what was acknowledged is gone, what is there is whole, and inspect says so. */
function checkLost(trial: Trial, results: Results, found: ReturnType<Trial['compare']>): void {
  const report = results.json('process.inspect');
  trial.check('a file in the page cache loses what was acknowledged: the power is really cut', found.acknowledged > 300 && found.missing > found.acknowledged / 2, found);
  trial.check('what it still has is whole', found.strange === 0, found);
  trial.same('inspect calls that no damage', report.findings, []);
}
