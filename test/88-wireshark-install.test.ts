/** `framekeep wireshark`: puts the capture program where this Wireshark looks for it, and takes it away. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { scratch } from './pool_maker.js';
import { program } from './wireshark_user.js';

test('wireshark install and uninstall: again and again, and never over what is somebody else\'s', (t) => {
  const directory = join(scratch(t), 'not', 'there', 'yet'), path = join(directory, 'framekeep');
  const wireshark = (...args: string[]) => spawnSync(process.execPath, [program, 'wireshark', ...args, '--dir', directory], { encoding: 'utf8' });
  t.regex(wireshark('uninstall').stdout, /is not there: nothing to remove/);
  t.regex(wireshark('install').stdout, new RegExp(`^installed ${path}\n`));
  t.is(statSync(path).mode & 0o777, 0o755);
  t.regex(wireshark('install').stdout, /is there already/);
  t.like(JSON.parse(wireshark('install', '--json').stdout), { path, done: 'unchanged' });
  const listed = spawnSync(path, ['--extcap-interfaces', '--extcap-version=4.0'], { encoding: 'utf8' });
  t.regex(listed.stdout, /^extcap \{version=/, listed.stderr);
  // Of another framekeep: replaced, and said.
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replaceAll(program, '/nonexistent/framekeep.mjs'));
  t.is(spawnSync(path, ['--extcap-interfaces'], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } }).status, 0, 'one that was removed lists nothing, and is no error');
  t.regex(wireshark('install').stdout, /now calls this framekeep/);
  t.is(readFileSync(path, 'utf8'), text);
  t.regex(wireshark('uninstall').stdout, /^removed /);
  t.deepEqual(readdirSync(directory), []);
  for (const foreign of ['#!/bin/sh\necho mine\n', '', 'x'.repeat(100_000)]) {
    writeFileSync(path, foreign);
    for (const verb of ['install', 'uninstall']) {
      const { status, stderr } = wireshark(verb);
      t.is(status, 1);
      t.regex(stderr, /E_WIRESHARK_FOREIGN/);
    }
    t.is(readFileSync(path, 'utf8'), foreign);
  }
  rmSync(path);
  symlinkSync('/bin/true', path);
  t.regex(wireshark('install').stderr, /E_WIRESHARK_FOREIGN/);
  t.regex(spawnSync(process.execPath, [program, 'wireshark', 'install', '--user', '--system'], { encoding: 'utf8' }).stderr, /more than one place is named/);
  t.regex(spawnSync(process.execPath, [program, 'wireshark'], { encoding: 'utf8', env: { PATH: '/nonexistent' } }).stderr, /E_WIRESHARK_MISSING/);
});

test('where Wireshark looks is asked of it: of 4.0, and of those that name both places', (t) => {
  const directory = scratch(t);
  const ask = (folders: string): { user: { directory: string }; system: { directory: string } } => {
    writeFileSync(join(directory, 'tshark'), `#!/bin/sh\ncase "$*" in *folders*) cat <<'E'\n${folders}\nE\n;; *) echo 'TShark (Wireshark) 4.4.2.';; esac\n`, { mode: 0o755 });
    return JSON.parse(spawnSync(process.execPath, [program, 'wireshark', '--json'], { encoding: 'utf8', env: { ...process.env, PATH: `${directory}:${process.env['PATH']}` } }).stdout) as ReturnType<typeof ask>;
  };
  t.like(ask('Personal configuration:\t/home/u/.config/wireshark\nExtcap path:         \t/usr/lib/wireshark/extcap'),
    { user: { directory: '/home/u/.config/wireshark/extcap' }, system: { directory: '/usr/lib/wireshark/extcap' } });
  t.like(ask('Personal configuration:\t/home/u/.config/wireshark\nPersonal Extcap path:\t/home/u/.local/lib/wireshark/extcap\nGlobal Extcap path:  \t/usr/libexec/wireshark/extcap'),
    { user: { directory: '/home/u/.local/lib/wireshark/extcap' }, system: { directory: '/usr/libexec/wireshark/extcap' } });
});
