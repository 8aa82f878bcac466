/** What is shown to people is so: the tour runs, the tests that docs/promises.md names exist, and links lead somewhere. */
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageRoot } from '../native/index.js';
import { has } from './needs.js';

const root = packageRoot();
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

test('every test that docs/promises.md names exists', (t) => {
  const rows = [...read('docs/promises.md').matchAll(/^\| .+? \| `(\d\d-[a-z-]+|vm\/[a-z]+)` \| "(.+)" \|$/gm)];
  t.true(rows.length >= 25, `${rows.length} promises`);
  for (const [, file, title] of rows) t.true(read(`test/${file}${file.startsWith('vm/') ? '' : '.test'}.ts`).includes(title), `${file}: ${title}`);
});

test('relative links in the pages for people lead to files', (t) => {
  const rooms = ['.', 'docs', 'native', 'logger', 'switch', 'tui', 'cli', 'test', 'captures'];
  const pages = rooms.flatMap((room) => readdirSync(join(root, room)).filter((f) => f.endsWith('.md')).map((f) => join(room, f)));
  for (const page of pages) {
    for (const [, target] of read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) t.true(existsSync(join(root, dirname(page), target)), `${page}: ${target}`);
  }
});

if (has('the tour of the README', 'root', 'ip', 'ping', 'curl', 'tshark')) {
  test('the tour of the README does what the README says', (t) => {
    t.timeout(250_000);
    const tour = `t${process.pid.toString(36)}`;
    const { status, stdout, stderr } = spawnSync('sh', [join(root, 'docs/tour.sh')], { encoding: 'utf8', timeout: 240_000, maxBuffer: 1 << 28, env: { ...process.env, TOUR: tour, NO_COLOR: '1' } });
    t.is(status, 0, `${stdout}\n${stderr}`);
    // Every command that the README shows is one that was run; names and process numbers apart.
    const plain = (line: string): string => line.replaceAll(tour, 'tour').replaceAll("'", '').replace(/kill -9 \d+/, 'kill -9 PID').trim();
    const ran = new Set(stdout.split('\n').filter((line) => line.startsWith('$ ')).map(plain));
    const shown = read('README.md').split('## A tour in 60 seconds')[1].split('\n## ')[0].split('\n').filter((line) => line.startsWith('$ ')).map(plain);
    t.true(shown.length > 10);
    for (const line of shown) t.true(ran.has(line), line);
    t.deepEqual(readdirSync('/dev/shm').filter((file) => file.startsWith(`${tour}.`)), []);
    t.false(existsSync(`/run/netns/${tour}-a`));
  });
}
