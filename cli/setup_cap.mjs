// Builds the optional npm package `cap` (libpcap for `cap:` ports) where npm put its source. It is one C++ file against the
// headers that Node installs beside itself, so neither node-gyp, Python nor make is needed. Without libpcap's headers,
// or if it does not compile, framekeep does without: a note, not an error.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const cap = (root, ...parts) => join(root, 'node_modules', 'cap', ...parts);
// Holds the Node ABI it was last built for and how that ended: another Node needs another build, and what does not
// compile is not tried at every start.
const verdictFile = (root) => cap(root, 'build', '.framekeep');

function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath));
  return [join(prefix, 'include', 'node'), '/usr/include/node', '/usr/local/include/node'].find((dir) => {
    // Headers of another Node make an addon that does not load.
    const version = join(dir, 'node_version.h');
    return existsSync(version) && readFileSync(version, 'utf8').includes(`#define NODE_MODULE_VERSION ${process.versions.modules}\n`);
  });
}

const pcapHeaders = () => ['/usr/include', '/usr/local/include'].find((dir) => existsSync(join(dir, 'pcap', 'pcap.h')));

/** The source is there, it can be built, and it has not been built or given up for this Node. */
export function capWanted(root) {
  if (!existsSync(cap(root, 'src', 'binding.cc')) || nodeHeaders() === undefined || pcapHeaders() === undefined) return false;
  const verdict = existsSync(verdictFile(root)) ? readFileSync(verdictFile(root), 'utf8') : '';
  if (verdict === `${process.versions.modules} failed`) return false;
  return verdict !== `${process.versions.modules} built` || !existsSync(cap(root, 'build', 'Release', 'cap.node'));
}

export function buildCap(root, say) {
  const began = Date.now();
  const compiler = process.env.CXX ?? ['c++', 'g++', 'clang++'].find((c) => spawnSync(c, ['--version']).status === 0);
  const target = cap(root, 'build', 'Release', 'cap.node');
  const half = `${target}.${process.pid}`;
  mkdirSync(dirname(target), { recursive: true });
  // V8 13 (Node 24) asks for C++20.
  const standard = Number(process.versions.modules) >= 131 ? '-std=gnu++20' : '-std=gnu++17';
  const done = spawnSync(compiler ?? 'c++', [standard, '-O2', '-fPIC', '-shared', '-w', '-fno-rtti', '-fno-exceptions', '-fno-strict-aliasing', '-pthread',
    '-DNODE_GYP_MODULE_NAME=cap', '-DBUILDING_NODE_EXTENSION', '-DUSING_UV_SHARED=1', '-DUSING_V8_SHARED=1',
    `-I${nodeHeaders()}`, `-I${pcapHeaders()}`, `-I${join(root, 'node_modules', 'nan')}`, cap(root, 'src', 'binding.cc'), '-lpcap', '-o', half],
  { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  // In a process of its own: an addon that cannot be loaded may take its process along.
  const loads = done.status === 0 && spawnSync(process.execPath, ['-e', 'process.dlopen(module, process.argv[1])', half]).status === 0;
  if (loads) renameSync(half, target);
  else rmSync(half, { force: true });
  writeFileSync(verdictFile(root), `${process.versions.modules} ${loads ? 'built' : 'failed'}`);
  if (loads) say(`cap built (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  else say(`cap could not be built: cap: ports will not work, all else does\n${(done.stderr || done.error?.message || 'it does not load').split('\n').slice(0, 5).join('\n')}`);
}
