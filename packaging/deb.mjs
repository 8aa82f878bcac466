#!/usr/bin/env node
// Makes a Debian package of this checkout: build/framekeep_VERSION_ARCH.deb. Needs dpkg-deb and no network.
//
//   npm run deb                    for this machine
//   npm run deb -- --arch arm64    for the other one (the addon is cross-compiled: g++-aarch64-linux-gnu)
//   npm run deb -- --out DIR
//
// The files are those of the npm package, and the npm packages it depends on as package-lock.json has them installed here. Times in
// the package are those of the last commit (SOURCE_DATE_EPOCH overrides them), so that the same sources give the same package.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2), option = (name, fallback) => args.includes(name) ? args[args.indexOf(name) + 1] : fallback;
const about = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const DEBIAN = { x64: 'amd64', arm64: 'arm64' };
const node = { amd64: 'x64', arm64: 'arm64', x64: 'x64' }[option('--arch', process.arch)];
if (node === undefined) fail(`there are no packages for ${option('--arch')}`, 'amd64 or arm64');
const arch = DEBIAN[node], name = `framekeep_${about.version}_${arch}`;
const out = option('--out', join(root, 'build')), stage = join(root, 'build', `deb-${arch}-${process.pid}`);

function fail(what, remedy) {
  process.stderr.write(`framekeep: ${what}\n  ${remedy}\n  [E_SETUP]\n`);
  process.exit(1);
}
function run(command, parameters, extra = {}) {
  const done = spawnSync(command, parameters, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20, ...extra });
  if (done.status !== 0) fail(`${command} ${parameters.join(' ')} failed`, (done.stderr ?? String(done.error)).trim());
  return done.stdout;
}
function put(path, content, mode = 0o644) {
  mkdirSync(dirname(join(stage, path)), { recursive: true });
  writeFileSync(join(stage, path), content);
  chmodSync(join(stage, path), mode);
}
function copy(from, path) {
  mkdirSync(dirname(join(stage, path)), { recursive: true });
  cpSync(join(root, from), join(stage, path), { recursive: true, dereference: false });
}
const epoch = process.env.SOURCE_DATE_EPOCH ?? (spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }).stdout?.trim() || String(Math.floor(Date.now() / 1000)));
const MAINTAINER = `${about.author} <framekeep@localhost>`;
const zipped = (text) => gzipSync(text, { level: 9 });  // without name and time: Node writes none

run(process.execPath, ['native/prebuild.mjs', ...(node === process.arch ? ['--host'] : [])], { stdio: ['ignore', 'ignore', 'inherit'] });
run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.']);
rmSync(stage, { recursive: true, force: true });
process.on('exit', () => rmSync(stage, { recursive: true, force: true }));

// Of the captures, those that `framekeep demo` shows: the others are for tests.
const SHOWN = new Set([...readFileSync(join(root, 'cli', 'demo.ts'), 'utf8').matchAll(/file: '([^']+)'/g)].map((m) => `captures/${m[1]}`));
// What npm would pack; documentation goes where Debian has it.
const lib = 'usr/lib/framekeep', doc = 'usr/share/doc/framekeep';
const files = JSON.parse(run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts']))[0].files.map((file) => file.path);
for (const file of files) {
  if (/^(docs|packaging)\/|^(LICENSE|CHANGELOG\.md|README\.md)$/.test(file) || /^prebuilds\//.test(file) && !file.includes(`linux-${node}/`)) continue;
  if (/^cli\/setup|\.d\.ts$/.test(file) || /^captures\/(?!LICEN|README)/.test(file) && !SHOWN.has(file)) continue;
  copy(file, join(lib, file));
}
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
const bundled = Object.entries(lock).filter(([path, p]) => path !== '' && !p.dev && !p.optional && !p.devOptional).map(([path]) => path);
for (const path of bundled) {
  if (!existsSync(join(root, path))) fail(`${path} is not installed`, 'npm run setup');
  copy(path, join(lib, path));
}
// Of them, what only those who develop or read look at.
for (const file of readdirSync(join(stage, lib, 'node_modules'), { recursive: true })) {
  const path = join(stage, lib, 'node_modules', file);
  if (existsSync(path) && /(^|\/)(bin|bin\.js|test|tests|docs|benchmarks?|examples?|\.github|\.husky|\.vscode|\.nyc_output)$|\.(map|md|markdown|html|sh|ts|mts|cts|tsbuildinfo)$|(^|\/)\.[^/]+$/i.test(file)) {
    if (!/licen[cs]e|notice/i.test(file)) rmSync(path, { recursive: true, force: true });
  }
}
const command = join(lib, 'cli', 'framekeep.mjs');
put(command, readFileSync(join(root, 'cli', 'framekeep.mjs'), 'utf8').replace(/^#!.*\n/, '#!/usr/bin/node\n'), 0o755);
mkdirSync(join(stage, 'usr/bin'), { recursive: true });
symlinkSync('../lib/framekeep/cli/framekeep.mjs', join(stage, 'usr/bin/framekeep'));

copy('packaging/systemd/framekeep@.service', 'usr/lib/systemd/system/framekeep@.service');
copy('packaging/systemd/framekeep.sysusers', 'usr/lib/sysusers.d/framekeep.conf');
copy('packaging/example.toml', 'etc/framekeep/example.toml');
const says = (...words) => run(process.execPath, ['cli/framekeep.mjs', ...words]);
put('usr/share/man/man1/framekeep.1.gz', zipped(says('man')));
put('usr/share/bash-completion/completions/framekeep', says('completion', 'bash'));
put('usr/share/zsh/vendor-completions/_framekeep', says('completion', 'zsh'));
put('usr/share/fish/vendor_completions.d/framekeep.fish', says('completion', 'fish'));
for (const file of files) if (/^docs\/|^README\.md$/.test(file)) copy(file, join(doc, file));
put(join(doc, 'CHANGELOG.md.gz'), zipped(readFileSync(join(root, 'CHANGELOG.md'))));
const stamp = new Date(Number(epoch) * 1000).toUTCString().replace('GMT', '+0000');
put(join(doc, 'changelog.gz'), zipped(`framekeep (${about.version}) unstable; urgency=medium\n\n  * What changed is in CHANGELOG.md.gz.\n\n -- ${MAINTAINER}  ${stamp}\n`));
put(join(doc, 'copyright'), copyright());

put('DEBIAN/conffiles', '/etc/framekeep/example.toml\n');
for (const script of ['postinst', 'postrm']) put(`DEBIAN/${script}`, readFileSync(join(root, 'packaging', 'debian', script)), 0o755);
const installed = walk(stage).filter((path) => !path.startsWith('DEBIAN/'));
const plain = installed.filter((path) => lstatSync(join(stage, path)).isFile());
put('DEBIAN/md5sums', plain.map((path) => `${createHash('md5').update(readFileSync(join(stage, path))).digest('hex')}  ${path}\n`).join(''));
put('DEBIAN/control', control(Math.ceil(plain.reduce((sum, path) => sum + Math.ceil(lstatSync(join(stage, path)).size / 1024), 0))));
for (const path of ['', ...walk(stage, true)]) {
  const stat = lstatSync(join(stage, path));
  if (!stat.isSymbolicLink()) chmodSync(join(stage, path), stat.isDirectory() || path === command || /^DEBIAN\/post/.test(path) ? 0o755 : 0o644);
}
mkdirSync(out, { recursive: true });
run('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', stage, join(out, `${name}.deb`)], { env: { ...process.env, SOURCE_DATE_EPOCH: epoch } });
process.stdout.write(`${join(out, `${name}.deb`)}\n`);

/** Paths below a directory, files and links; with directories if asked for. */
function walk(dir, directories = false) {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => directories || !e.isDirectory()).map((e) => join(e.parentPath ?? e.path, e.name).slice(dir.length + 1)).sort();
}

function control(kib) {
  return `Package: framekeep
Version: ${about.version}
Architecture: ${arch}
Maintainer: ${MAINTAINER}
Installed-Size: ${kib}
Depends: nodejs (>= 20.19), libc6 (>= 2.28)
Recommends: libpcap0.8, netbase
Suggests: wireshark | tshark, prometheus
Section: net
Priority: optional
Description: learning Ethernet switch that keeps the frames you choose
 Switches frames between network interfaces (AF_XDP or libpcap), taps, pipes
 and captures. The buffer a frame arrived in becomes its record: it is found
 again after the switch was killed, and opened in Wireshark.
 .
 As a service (framekeep@NAME), with a log, metrics and a watchdog.
`;
}

function copyright() {
  const of = (path) => JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'));
  const others = bundled.map((path) => {
    const { name: dependency, version, license } = of(path);
    return `  ${dependency} ${version}: ${license ?? 'see its directory'}\n`;
  });
  return `framekeep\n\n${readFileSync(join(root, 'LICENSE'), 'utf8')}\nIn /usr/lib/framekeep/node_modules, each with its own licence in its directory:\n\n${others.join('')}`;
}
