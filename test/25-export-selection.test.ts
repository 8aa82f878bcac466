/** Which frames an export takes: any combination of selections against a model. */
import test from 'ava';
import fc from './properties.js';
import { compileFilter } from '../logger/filter/index.js';
import { Pool } from '../logger/index.js';
import { exported, type Frame, framesOf, aPool, specOf, digest, pcapFrames, pcapngFrames } from './exported_pool.js';

test('selections: any combination takes what a model takes, in order, in both formats', async (t) => {
  const path = aPool(t, { frames: 120 }), all = framesOf(path), pool = Pool.open(path);
  t.teardown(() => pool.close());
  const { match, reach } = compileFilter('udp port 5353 or greater 900');
  const byFilter = (f: Frame): boolean => (f.data.length >= 38 && f.data.readUInt16BE(36) === 5353) || f.wire >= 900;
  const newest = all.reduce((m, f) => f.ns > m ? f.ns : m, 0n);
  const moment = fc.oneof(
    fc.nat(all.length - 1).map((i) => ({ relative: false, ns: all[i].ns })), fc.nat(all.length - 1).map((i) => ({ relative: true, ns: all[i].ns - newest })),
    fc.constantFrom({ relative: false, ns: 0n }, { relative: true, ns: -(1n << 70n) }, { relative: true, ns: 1n }));
  const option = <T>(a: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(a, { nil: undefined });
  let some = 0;
  await fc.assert(fc.asyncProperty(fc.record({
    match: option(fc.constant(match)), from: option(moment), to: option(moment), boot: option(fc.constantFrom<number | 'last'>(1, 2, 3, 'last')), last: option(fc.nat(400)),
    ports: fc.constantFrom<string[]>([], [], ['vm1'], ['tap:vm1', 'gen:p0'], ['2'], ['eth2'], ['xdp:eth3', 'p0']), snap: fc.constantFrom(0, 0, 1, 64, 2000), format: fc.constantFrom<'pcap' | 'pcapng'>('pcap', 'pcapng'),
    // The same with frames copied as far as the filter looks, and the rest of those that it takes fetched.
  }), fc.boolean(), async (o, knowsReach) => {
    const boot = o.boot === 'last' ? 3 : o.boot, at = (m: { relative: boolean; ns: bigint }): bigint => m.relative ? newest + m.ns : m.ns;
    if (boot !== undefined && ((o.ports.includes('eth2') && boot !== 2) || (o.ports.includes('xdp:eth3') && boot !== 3))) {
      await t.throwsAsync(exported(pool, `${path}.sel`, o), { code: 'E_PORT_UNKNOWN' });
      return;
    }
    const chosen = all.filter((f) => (o.match === undefined || byFilter(f)) && (boot === undefined || f.boot === boot)
      && (o.from === undefined || f.ns >= at(o.from)) && (o.to === undefined || f.ns <= at(o.to))
      && (o.ports.length === 0 || o.ports.some((p) => p === String(f.ingress) || [specOf(f), specOf(f).split(',')[0], specOf(f).split(':')[1].split(',')[0]].includes(p))));
    const expected = o.last === undefined ? chosen : o.last === 0 ? [] : chosen.slice(-o.last);
    const result = await exported(pool, `${path}.sel`, { ...o, reach: knowsReach ? reach : undefined });
    const got = o.format === 'pcap' ? pcapFrames(`${path}.sel`) : pcapngFrames(`${path}.sel`);
    t.deepEqual(got, expected.map((f) => ({ ns: f.ns, wire: f.wire, digest: digest(f.data.subarray(0, o.snap || 65535)) })));
    t.is(result.frames, expected.length);
    some += expected.length;
  }), { numRuns: 150 });
  t.true(some > 1000, `${some} frames were selected`);
  await t.throwsAsync(exported(pool, `${path}.sel`, { boot: 7 }), { code: 'E_BOOT_UNKNOWN', message: /it knows 1, 2, 3/ });
  await t.throwsAsync(exported(pool, `${path}.sel`, { ports: ['vm9'] }), { code: 'E_PORT_UNKNOWN', message: /gen:p0, tap:vm1/ });
});
