#!/usr/bin/env node
// Makes the addons that go into packages: prebuilds/linux-x64 and linux-arm64, for any glibc since 2.28, checked for that. Node-API
// makes one serve every version of Node. What is up to date is left alone.
//
//   npm run prebuild            both; the other machine's by Debian's cross compiler
//   npm run prebuild -- --host  this machine's alone
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const MOST = [2, 28];
const TARGETS = [
  { arch: 'x64', machine: 62, cxx: 'x86_64-linux-gnu-g++', debian: 'g++-x86-64-linux-gnu' },
  { arch: 'arm64', machine: 183, cxx: 'aarch64-linux-gnu-g++', debian: 'g++-aarch64-linux-gnu' },
];

function fail(what, remedy) {
  process.stderr.write(`framekeep: ${what}\n  ${remedy}\n  [E_SETUP]\n`);
  process.exit(1);
}

/** The machine an ELF file is for (e_machine, at 18), and the latest glibc that a name in it asks for. */
function lookAt(path) {
  const bytes = readFileSync(path), versions = [...bytes.toString('latin1').matchAll(/\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)/g)].map((m) => [Number(m[1]), Number(m[2])]);
  versions.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return { machine: bytes.readUInt16LE(18), latest: versions.at(-1) };
}

for (const { arch, machine, cxx, debian } of TARGETS) {
  const isHost = arch === process.arch;
  if (!isHost && process.argv.includes('--host')) continue;
  if (!isHost && spawnSync(cxx, ['--version']).status !== 0) fail(`the compiler for ${arch} is missing: ${cxx}`, `install it: apt-get install ${debian}; or leave ${arch} out: npm run prebuild -- --host`);
  const path = join('prebuilds', `linux-${arch}`, 'framekeep.node');
  const env = { ...process.env, ...(isHost ? {} : { CXX: cxx }) };
  const { status } = spawnSync(process.execPath, [join(root, 'native', 'build.mjs'), '--portable', path], { env, stdio: 'inherit' });
  if (status !== 0) process.exit(1);
  const found = lookAt(join(root, path));
  if (found.machine !== machine || found.latest[0] > MOST[0] || found.latest[1] > MOST[1]) {
    renameSync(join(root, path), join(root, `${path}.refused`));
    fail(`${path} is of no use: machine ${found.machine}, glibc ${found.latest.join('.')}`, `names that need more than glibc ${MOST.join('.')}: objdump -T; native/prebuild/old_glibc.cc is where they are replaced`);
  }
  process.stderr.write(`${path}: ${Math.round(statSync(join(root, path)).size / 1024)} KiB, glibc ${found.latest.join('.')} or later\n`);
}
