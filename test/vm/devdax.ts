/**
 * The switch on a devdax device: AF_XDP receives straight into persistent memory. Three boots, two power cuts, two runs of one pool;
 * at the last boot the platform has persistent caches, and there is persistent memory of the host's making beside it.
 */
import { checkRecovered, type Trial } from './trial.js';

const POOL = '/dev/dax0.0';
/** Room for some 2,200 frames: each run overwrites the oldest, so that the guarantee's edge is met. */
const SIZE = '6M';
/** Of captured frames, before the power may go: some 3,800 frames. */
const TRAFFIC = 3e6;
const PROMISE = /^persistent memory \(devdax, flushed by \w+\): what is kept survives a killed switch, a kernel crash and a power cut$/;
const EADR = /^persistent memory with persistent caches \(devdax, eADR\): what is kept survives a killed switch, a kernel crash and a power cut$/;
const UNVERIFIED = /^devdax whose persistence is unverified \(.*a virtual device\): what is kept survives a killed switch; what a kernel crash or a power cut leaves is up to the host$/;

export async function devdax(trial: Trial): Promise<void> {
  const first = trial.boot(['before', 'switch1', 'errors1', 'acks1'], `
    ndctl create-namespace -f -e namespace0.0 -m devdax -M mem >/dev/null
    result blank framekeep inspect --json ${POOL}
    result create framekeep create --json ${POOL} --size ${SIZE}
    result again framekeep create --json ${POOL} --size ${SIZE}
    result larger framekeep create --json ${POOL} --force --size 1G
    result doctor framekeep doctor --json ${POOL}
    result sysfs cat /sys/bus/dax/devices/dax0.0/size
    hosts 1; up 1 ${POOL} --commit-before-forward; send before; opened 1; acknowledge 1; traffic first 1; wait`, { virtioPmem: [] });
  const before = await trial.results(first, 'before');
  trial.same('a blank device is no pool, and stays as it is', [before.code('blank'), JSON.parse(before.errors('blank')).error.code], [1, 'E_POOL_EMPTY']);
  trial.check('create says what it made and what it survives', created(before.json('create'), PROMISE), before.json('create'));
  trial.same('what is there is not created over', JSON.parse(before.errors('again')).error.code, 'E_POOL_EXISTS');
  trial.same('a pool larger than the device is refused', JSON.parse(before.errors('larger')).error.code, 'E_POOL_SIZE');
  const [place] = before.json('doctor').media;
  trial.check('doctor says the same of the device', place.ok && place.kind === 'devdax' && place.zeroCopy && place.durability === 'power' && PROMISE.test(place.promise) && place.free === Number(before.text('sysfs')), place);
  const run = await trial.started(first, 1);
  trial.check('the switch receives into it by AF_XDP, zero-copy, and says what it survives',
    run.medium === 'devdax' && run.zeroCopy && run.durability === 'power' && PROMISE.test(run.promise) && run.ports.length === 2 && run.ports.every((p: any) => /^AF_XDP native/.test(p.note)), run);
  await trial.cutUnderTraffic(first, [1], TRAFFIC);

  const second = trial.boot(['after', 'live', 'switch1', 'errors1', 'acks1'], `${look('--boot 1')} send after
    hosts 1; up 1 ${POOL}; opened 1
    result second framekeep create --json ${POOL} --force
    result beside framekeep inspect --json ${POOL}
    send live; acknowledge 1; traffic second 1; wait`, { virtioPmem: [] });
  const after = await trial.results(second, 'after');
  checkRecovered(trial, 'run 1, committed before forwarded', after, '', 1, trial.compare(first, 1, after.path('export'), 'first'), 0);
  const report = after.json('inspect');
  trial.check('inspect says the medium, its persistence domain and the promise',
    report.medium.kind === 'devdax' && report.medium.persistenceDomain === 'memory_controller' && report.medium.durability === 'power' && PROMISE.test(report.medium.promise), report.medium);
  trial.same('inspect knows that the machine has booted since, and that the run did not end in order', [report.boots[0].kernelRestarted, report.boots[0].ending], [true, 'without a word']);
  const again = await trial.started(second, 1);
  trial.same('the next start goes on in the same pool', [again.boot, again.recovered], [2, report.lanes[0].valid]);
  const live = await trial.results(second, 'live');
  trial.same('nobody formats a device under a running switch', JSON.parse(live.errors('second')).error.code, 'E_POOL_LOCKED');
  trial.same('inspect reads beside it', [live.code('beside'), live.json('beside').live], [0, true]);
  await trial.cutUnderTraffic(second, [1], TRAFFIC);

  const third = trial.boot(['after', 'media'], `${look('--boot 2')} send after
    result force framekeep create --json ${POOL} --force
    mkdir -p /huge; mount -t hugetlbfs none /huge; echo 8 >/proc/sys/vm/nr_hugepages
    ip link add umem0 type veth peer name umem1; ip link set umem0 up; ip link set umem1 up
    result matrix node /framekeep/test/vm/guest/media.mjs umem umem0 /dev/shm/file /huge/file ${POOL}
    ndctl create-namespace -f -e namespace1.0 -m devdax -M mem >/dev/null
    result doctor framekeep doctor --json ${POOL} /dev/dax1.0
    node /framekeep/test/vm/guest/media.mjs scribble /dev/dax1.0
    result foreign framekeep create --json /dev/dax1.0
    result forced framekeep create --json /dev/dax1.0 --force --size ${SIZE}
    send media`, { persistence: 'cpu' });
  const end = await trial.results(third, 'after');
  const lacking = end.json('inspect').boots.find((b: any) => b.id === 2).maxBatch;
  checkRecovered(trial, 'run 2, forwarded before committed', end, '', 2, trial.compare(second, 1, end.path('export'), 'second'), lacking);
  const media = await trial.results(third, 'media');
  trial.check('create --force makes a new pool of the whole device', created(media.json('force'), EADR) && media.json('force').bytes > 64 * 2 ** 20, media.json('force'));
  trial.same('the UMEM matrix: tmpfs, hugetlbfs and devdax are taken; MAP_SYNC is for DAX alone; a device has no msync', media.json('matrix'), [
    { path: '/dev/shm/file', kind: 'tmpfs', zeroCopy: true, umem: 'yes', sync: 'EOPNOTSUPP', msync: 'yes' },
    { path: '/huge/file', kind: 'hugetlbfs', zeroCopy: true, umem: 'yes', sync: 'EOPNOTSUPP', msync: 'yes' },
    { path: POOL, kind: 'devdax', zeroCopy: true, umem: 'yes', sync: 'yes', msync: 'EINVAL' },
  ]);
  const [caches, virtio] = media.json('doctor').media;
  trial.check('persistent caches (eADR): nothing to flush, a power cut is survived', caches.kind === 'devdax' && caches.durability === 'power' && EADR.test(caches.promise), caches);
  trial.check('virtio-pmem: its persistence is unverified, no power cut is promised', virtio.kind === 'devdax' && virtio.durability === 'process' && UNVERIFIED.test(virtio.promise), virtio);
  trial.same('a device with something else on it is left alone', JSON.parse(media.errors('foreign')).error.code, 'E_POOL_EXISTS');
  trial.check('and formatted when that is forced', media.code('forced') === 0 && UNVERIFIED.test(media.json('forced').promise), media.errors('forced'));
  await third.finished(30);
}

const look = (run: string): string => `
    result inspect framekeep inspect --json ${POOL}
    result verify framekeep verify --json ${POOL}
    result export framekeep export ${POOL} ${run} -w -
`;

const created = (said: any, promise: RegExp): boolean => said.medium === 'devdax' && said.zeroCopy === true && said.durability === 'power' && promise.test(said.promise) && said.frames > 1500;
