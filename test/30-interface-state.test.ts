/** What ports change on interfaces is put back: in order, after SIGKILL, and never under a living owner. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { InterfaceState } from '../switch/ports/interface_state.js';
import { Namespace } from './namespaces.js';
import { has } from './needs.js';

const url = new URL('../switch/ports/interface_state.js', import.meta.url).href;

test('an empty directory has no leftovers; a file that is no record is left alone', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'framekeep-state-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const state = new InterfaceState(join(directory, 'made', 'here'));
  t.is(statSync(join(directory, 'made', 'here')).mode & 0o777, 0o700);
  t.deepEqual(state.restoreLeftovers(), []);
  writeFileSync(join(directory, 'made', 'here', 'x.json'), '{"version":1');
  t.deepEqual(state.restoreLeftovers(), ['x.json: not a record of ours, left alone']);
  t.true(existsSync(join(directory, 'made', 'here', 'x.json')));
  t.throws(() => state.prepare('nosuchif', { offloads: 'wire' }), { code: 'E_INTERFACE_UNKNOWN' });
});

if (has('offloads put back in network namespaces', 'root', 'ip')) {
  interface Scene { ns: Namespace; directory: string; on(name: string, ...features: string[]): boolean[]; state(code: string): any; records(): string[] }
  const scene = (title: string, body: (t: ExecutionContext, s: Scene) => void | Promise<void>) => test(title, async (t) => {
    const ns = new Namespace(), directory = mkdtempSync(join(tmpdir(), 'framekeep-state-'));
    ns.sh('ip link add v0 type veth peer name v1; ip tuntap add t0 mode tap');
    const s: Scene = {
      ns, directory,
      on: (name, ...features) => ns.node(`const f = fk.getFeatures(${JSON.stringify(name)}); say(${JSON.stringify(features)}.map((one) => f.get(one).on))`),
      state: (code) => ns.node(prelude(directory) + code),
      records: () => readdirSync(directory),
    };
    try { await body(t, s); } finally { ns.delete(); rmSync(directory, { recursive: true }); }
  });
  const prelude = (directory: string) => `const { InterfaceState } = await import(${JSON.stringify(url)}); const s = new InterfaceState(${JSON.stringify(directory)});\n`;
  const VLAN = ['tx-vlan-hw-insert', 'tx-vlan-stag-hw-insert'];

  scene('what hides bytes is turned off and put back, and only that', (t, { on, state, records, directory }) => {
    t.deepEqual(on('t0', 'rx-gro', 'tx-scatter-gather'), [true, true]);
    const [before, file, during, after] = state(`
      const on = () => [...fk.getFeatures('t0')].filter(([, f]) => f.on).map(([n]) => n), before = on();
      const { readdirSync, readFileSync, statSync } = await import('node:fs');
      const report = s.prepare('t0', { offloads: 'wire' }), name = readdirSync(${JSON.stringify(directory)})[0], path = ${JSON.stringify(directory)} + '/' + name;
      const file = [name, statSync(path).mode & 0o777, JSON.parse(readFileSync(path, 'utf8'))], during = [report, on(), s.restoreLeftovers(), on(), s.prepare('t0', { offloads: 'wire' })];
      say([before, file, during, [s.restore('t0'), on(), s.restore('t0')]]);`);
    t.regex(file[0], /^t0\.\d+\.json$/);
    t.is(file[1], 0o600);
    t.like(file[2], { version: 1, interface: 't0', changes: [{ name: 't0', feature: 'rx-gro' }] });
    t.deepEqual(during[0], ['t0: turned off rx-gro']);
    t.deepEqual(during[1], before.filter((one: string) => one !== 'rx-gro'));
    t.deepEqual(during[2], [], 'the owner is alive');
    t.deepEqual(during[3], during[1]);
    t.deepEqual(during[4], ['t0: this process has prepared it already']);
    t.deepEqual(after, [['t0: turned on again rx-gro'], before, []]);
    t.deepEqual(records(), []);
  });

  scene('keep changes nothing and says what that means', (t, { on, state, records }) => {
    t.deepEqual(state("say(s.prepare('t0', { offloads: 'keep' }))"), ['t0: rx-gro is on and joins received frames; kept as asked']);
    t.deepEqual(on('t0', 'rx-gro'), [true]);
    t.deepEqual(records(), []);
  });

  scene('on a veth the other end is told to put tags into its frames; out of reach, it is left to the port', (t, { ns, on, state }) => {
    const other = new Namespace();
    t.teardown(() => other.delete());
    t.deepEqual(on('v1', ...VLAN), [true, true]);
    t.deepEqual(state("const r = s.prepare('v0', { offloads: 'wire' }), f = fk.getFeatures('v1'); say([r.at(-1), f.get('tx-vlan-hw-insert').on, s.restore('v0')])"),
      ['v1: turned off tx-vlan-hw-insert, tx-vlan-stag-hw-insert', false, ['v1: turned on again tx-vlan-hw-insert, tx-vlan-stag-hw-insert']]);
    t.deepEqual(on('v1', ...VLAN), [true, true]);
    ns.sh(`ip link set v1 netns ${other.name}`);
    t.deepEqual(state("say(s.prepare('v0', { offloads: 'wire' }))"), []);
    t.deepEqual(other.node("say(['tx-vlan-hw-insert', 'tx-vlan-stag-hw-insert'].map((f) => fk.getFeatures('v1').get(f).on))"), [true, true]);
  });

  scene('a killed switch\'s changes are undone by the next start, also under another name', async (t, { ns, on, state, records, directory }) => {
    const switchy = await ns.start(`${prelude(directory)} s.prepare('t0', { offloads: 'wire' }); s.prepare('v0', { offloads: 'wire' }); say(process.pid); setInterval(() => {}, 1000);`);
    t.deepEqual([...on('t0', 'rx-gro'), ...on('v1', ...VLAN)], [false, false, false]);
    t.is(records().length, 2);
    t.deepEqual(state('say(s.restoreLeftovers())'), [], 'it lives: hands off');
    t.regex(state("say(s.prepare('t0', { offloads: 'wire' }))")[0], new RegExp(`process ${switchy.said} has changed its offloads`));
    t.deepEqual(state("say(s.restore('t0'))"), [], 'not ours to put back');
    await switchy.kill();
    t.deepEqual([...on('t0', 'rx-gro'), ...on('v1', ...VLAN)], [false, false, false], 'the kernel alone does not undo this');
    ns.sh('ip link set t0 name renamed0; ip tuntap add t0 mode tap');
    const other = new Namespace();
    t.teardown(() => other.delete());
    t.deepEqual(other.node(`${prelude(directory)} say(s.restoreLeftovers())`), [], 'another namespace\'s interfaces are not ours');
    t.deepEqual(state('say(s.restoreLeftovers())').sort(), [
      `renamed0: turned on again rx-gro, which process ${switchy.said} left off`,
      `v1: turned on again tx-vlan-hw-insert, tx-vlan-stag-hw-insert, which process ${switchy.said} left off`,
    ]);
    t.deepEqual([...on('renamed0', 'rx-gro'), ...on('v1', ...VLAN)], [true, true, true]);
    t.deepEqual(records(), []);
  });

  scene('a start on the same interface undoes first what a killed one left, so that the original state is what comes back', async (t, { ns, on, state, directory }) => {
    const first = await ns.start(`${prelude(directory)} s.prepare('t0', { offloads: 'wire' }); say(1); setInterval(() => {}, 1000);`);
    await first.kill();
    const report = state("const r = s.prepare('t0', { offloads: 'wire' }); say([r, s.restore('t0')])");
    t.regex(report[0][0], /turned on again rx-gro, which process \d+ left off/);
    t.is(report[0][1], 't0: turned off rx-gro');
    t.deepEqual(report[1], ['t0: turned on again rx-gro']);
    t.deepEqual(on('t0', 'rx-gro'), [true]);
  });

  scene('gone, replaced, earlier boot, reused process number: nothing is touched that was not ours', async (t, { ns, on, state, records, directory }) => {
    const leave = async () => { const child = await ns.start(`${prelude(directory)} s.prepare('t0', { offloads: 'wire' }); say(process.pid); setInterval(() => {}, 1000);`); await child.kill(); };
    await leave();
    ns.sh('ip link del t0');
    t.deepEqual(state('say(s.restoreLeftovers())'), []);
    t.deepEqual(records(), []);

    ns.sh('ip tuntap add t0 mode tap');
    await leave();
    ns.sh('ip link set t0 address 02:00:00:00:be:ef');
    t.regex(state('say(s.restoreLeftovers())')[0], /no longer what t0 was.*ethtool -K t0 rx-gro on/);
    t.deepEqual(on('t0', 'rx-gro'), [false]);
    t.deepEqual(records(), []);

    ns.node("say(fk.setFeatures('t0', { 'rx-gro': true }))");
    await leave();
    const path = join(directory, records()[0]), record = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...record, boot: 'another' }));
    t.deepEqual(state('say(s.restoreLeftovers())'), []);
    t.deepEqual(records(), []);
    t.deepEqual(on('t0', 'rx-gro'), [false]);

    // Process 1 lives, but did not start when the record's owner did.
    writeFileSync(path, JSON.stringify({ ...record, owner: { ...record.owner, pid: 1 } }));
    t.regex(state('say(s.restoreLeftovers())')[0], /turned on again rx-gro, which process 1 left off/);
    t.deepEqual(on('t0', 'rx-gro'), [true]);
  });

  scene('without privilege nothing is thrown, nothing is lost, and what is missing is named', async (t, { ns, on, state, records, directory }) => {
    const asNobody = (code: string) => { ns.sh(`chown -R 65534 ${directory}`); return state(`process.setgid(65534); process.setuid(65534); ${code}`); };
    t.regex(asNobody("say(s.prepare('t0', { offloads: 'wire' }))")[0], /rx-gro stays on \(changing offloads of t0 needs CAP_NET_ADMIN\)/);
    t.deepEqual(records(), []);
    const child = await ns.start(`${prelude(directory)} s.prepare('t0', { offloads: 'wire' }); say(1); setInterval(() => {}, 1000);`);
    await child.kill();
    t.regex(asNobody('say(s.restoreLeftovers())')[0], /stays off, which process \d+ left off \(.*CAP_NET_ADMIN/);
    t.is(records().length, 1);
    t.regex(state('say(s.restoreLeftovers())')[0], /turned on again rx-gro/);
    t.deepEqual(on('t0', 'rx-gro'), [true]);
  });

  scene('nothing is changed without a record', (t, { on, state, directory, records }) => {
    t.is(state(`process.chdir('/'); const { rmSync } = await import('node:fs'); rmSync(${JSON.stringify(directory)}, { recursive: true });
      try { s.prepare('t0', { offloads: 'wire' }) } catch (e) { const { mkdirSync } = await import('node:fs'); mkdirSync(${JSON.stringify(directory)}); say(e.code) }`), 'E_RUN_DIRECTORY');
    t.deepEqual(on('t0', 'rx-gro'), [true]);
    t.deepEqual(records(), []);
  });
}
