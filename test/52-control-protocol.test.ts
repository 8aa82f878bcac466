/** The control protocol: every method against its description, and docs/control.md against what a switch answers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { FramekeepError, packageRoot } from '../native/index.js';
import { has } from './needs.js';
import { connectControl, LONGEST_LINE, METHODS } from '../switch/control/index.js';
import { Place, until } from './control_place.js';

test.serial('every method has an entry that says what it does, and answers what it should', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['sink:b']);
  const control = await connectControl(place.socket('lab'));
  t.deepEqual(await control.call('events.subscribe'), { subscribed: true });
  t.deepEqual(await control.call('events.unsubscribe'), { subscribed: false });
  for (const method of Object.keys(METHODS) as (keyof typeof METHODS)[]) {
    t.true(METHODS[method].does.length > 5);
    const error = await t.throwsAsync(control.call(method, { nonsense: 1 } as never)) as FramekeepError;
    t.is(error.code, 'E_CONTROL_PARAMS', method);
  }
  control.close();
});

const page = readFileSync(join(packageRoot(), 'docs/control.md'), 'utf8');
const section = (title: string): string => page.split(new RegExp(`^### ${title.replaceAll('.', '\\.')}$`, 'm'))[1]?.split(/^##/m)[0] ?? '';
/** `id`: its number; `kind`, `name`: what it is → id, kind, name: what stands before a colon, or alone, in the lines of a list. */
const named = (text: string): string[] => [...text.matchAll(/^\* (.+)$/gm)].flatMap(([, line]) => line.split(';').flatMap((part) => [...part.split(':')[0].matchAll(/`([a-zA-Z]+)`/g)].map(([, name]) => name)));

test.serial('docs/control.md has every method with its parameters and errors, and no other', (t) => {
  const titles = [...page.split('\n## Methods\n')[1].split('\n## ')[0].matchAll(/^### (.+)$/gm)].map((m) => m[1]);
  t.deepEqual(titles, Object.keys(METHODS));
  for (const [method, { does, params, errors }] of Object.entries(METHODS)) {
    const text = section(method);
    t.true(text.includes(`\n${does[0].toUpperCase()}${does.slice(1)}.\n`), method);
    t.deepEqual([...text.matchAll(/^\| `([^`]+)` \| (.+?) \| (.+) \|$/gm)].map(([, ...row]) => row),
      Object.entries(params).map(([name, p]) => [name, p.type + (p.required ? ', required' : ''), p.help]), method);
    t.deepEqual([...(/^Errors: (.*)$/m.exec(text)?.[1] ?? '').matchAll(/E_[A-Z_]+/g)].map(([code]) => code), errors.filter((e) => e.startsWith('E_')), method);
    t.regex(text, /^Result: /m);
  }
  for (const [bound, where] of [[String((LONGEST_LINE - 1).toLocaleString('en')), 'a line']]) t.true(page.includes(`| ${where} | ${bound} bytes |`));
});

test.serial('what docs/control.md says is in a status, a port, what is kept and an entry is what a switch answers', async (t) => {
  const place = new Place(t);
  await place.up('lab', ['gen:a,rate=1000', 'sink:b']);
  const control = await place.control('lab');
  await until(async () => (await control.call('fdb.show')).entries.length > 0);
  const status = await control.call('status');
  const same = (title: string, what: object): void => { t.deepEqual(named(section(title)).sort(), Object.keys(what).sort(), title); };
  same('A status', status);
  same('A port', status.ports[0]);
  same('What is kept', await control.call('keep.show'));
  same('An entry of the forwarding table', (await control.call('fdb.show')).entries[0]);
  const events = page.split('\n## Events\n')[1].split('\n## ')[0];
  const source = readFileSync(join(packageRoot(), 'switch/messages.ts'), 'utf8').split('export type SwitchEvent')[1].split(';\n\n')[0];
  const kinds = [...source.matchAll(/readonly kind: ([^;]+);/g), ...source.matchAll(/readonly kind: ([^;}]+) }/g)].flatMap(([, words]) => [...words.matchAll(/'([a-z-]+)'/g)].map(([, kind]) => kind));
  const told = [...events.matchAll(/^\| (`.+?) \|/gm)].flatMap(([, cell]) => [...cell.matchAll(/`([a-z-]+)`/g)].map(([, kind]) => kind));
  t.deepEqual([...new Set(told)].sort(), [...new Set([...kinds, 'events-lost'])].sort());
});

if (has('the control socket with nc', 'nc')) {
  test.serial('nc is client enough: requests of a file are answered in order, and the connection ends', async (t) => {
    const place = new Place(t);
    await place.up('lab', ['sink:b']);
    const nc = spawn('nc', ['-N', '-U', place.socket('lab')], { stdio: ['pipe', 'pipe', 'inherit'] });
    let out = '';
    nc.stdout.on('data', (text) => { out += text; });
    nc.stdin.end(['keep.show', 'ports.list', 'fdb.show'].map((method, id) => `{"jsonrpc":"2.0","id":${id},"method":"${method}"}\n`).join(''));
    await once(nc, 'close');
    t.deepEqual(out.trim().split('\n').map((line) => (JSON.parse(line) as { id: number }).id), [0, 1, 2]);
  });
}
