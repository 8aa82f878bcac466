/** What framekeep says of persistent memory that is not like the others: with persistent caches, of a platform that says nothing, of a host's making. */
import type { Trial } from './trial.js';

const EADR = /^persistent memory with persistent caches \(devdax, eADR\): what is kept survives a killed switch, a kernel crash and a power cut$/;
const UNVERIFIED = /^devdax whose persistence is unverified \(.+\): what is kept survives a killed switch; what a kernel crash or a power cut leaves is up to the host$/;

export async function words(trial: Trial): Promise<void> {
  const caches = trial.boot(['after'], `
    ndctl create-namespace -f -e namespace0.0 -m devdax -M mem >/dev/null; ndctl create-namespace -f -e namespace1.0 -m devdax -M mem >/dev/null
    result regions ndctl list -R
    result doctor framekeep doctor --json /dev/dax0.0 /dev/dax1.0
    send after`, { persistence: 'cpu' });
  const [eadr, virtio] = (await trial.results(caches, 'after')).json('doctor').media;
  trial.check('persistent caches (eADR): nothing to flush, a power cut is survived', eadr.kind === 'devdax' && eadr.durability === 'power' && EADR.test(eadr.promise), eadr);
  trial.check('virtio-pmem: its persistence is unverified, no power cut is promised', virtio.kind === 'devdax' && virtio.durability === 'process' && UNVERIFIED.test(virtio.promise) && /virtual/.test(virtio.promise), virtio);
  await caches.finished(30);

  const silent = trial.boot(['after'], 'result doctor framekeep doctor --json /dev/dax0.0; send after', { persistence: undefined, virtioPmem: [] });
  const [one] = (await trial.results(silent, 'after')).json('doctor').media;
  trial.check('a platform that names no persistence domain: unverified', one.kind === 'devdax' && one.durability === 'process' && UNVERIFIED.test(one.promise), one);
  await silent.finished(30);
}
