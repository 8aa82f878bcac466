#!/usr/bin/env node
// Compiles native/src/*.cc into build/framekeep.node with the system's C++ compiler and the Node-API headers from npm:
// no node-gyp, no Python, nothing downloaded. Recompiles only what changed.
//
//   node native/build.mjs              the addon
//   node native/build.mjs --sanitize   build/framekeep-asan.node: address and undefined-behaviour sanitizers
//   node native/build.mjs --record     build/framekeep-record.node: logs what goes to the medium (src/record.h), for test/crash/
//   node native/build.mjs --portable FILE   one for other machines, for any glibc since 2.28; CXX says for which (native/prebuild.mjs)
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import native from './sources.cjs';

const run = promisify(execFile);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);
const flavour = args.includes('--sanitize') ? 'asan' : args.includes('--record') ? 'record' : '';
const portable = args.indexOf('--portable');
const own = ['c++', 'g++', 'clang++'].find((c) => spawnSync(c, ['--version']).status === 0);
const cxx = process.env.CXX ?? own;
if (cxx === undefined) {
  console.error('framekeep: no C++ compiler found\n  install one: apt-get install g++');
  process.exit(1);
}
const objects = join(root, 'build', 'obj' + (flavour && `-${flavour}`) + (cxx === own ? '' : `-${basename(cxx)}`));
const target = portable >= 0 ? join(root, args[portable + 1]) : join(root, 'build', `framekeep${flavour && `-${flavour}`}.node`);
mkdirSync(objects, { recursive: true });
mkdirSync(dirname(target), { recursive: true });

const src = join(root, 'native', 'src');
const flags = ['-std=c++17', '-fPIC', '-fvisibility=hidden', '-fno-exceptions', '-fno-rtti', '-Wall', '-Wextra', '-Werror=return-type',
  '-DNAPI_VERSION=8', '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', '-DBUILDING_NODE_EXTENSION',
  `-I${join(root, 'node_modules/node-api-headers/include')}`, `-I${join(root, 'node_modules/node-addon-api')}`,
  ...(flavour === 'asan' ? ['-O1', '-g', '-fsanitize=address,undefined', '-fno-omit-frame-pointer'] : ['-O2', '-g1']), ...(flavour === 'record' ? ['-DFRAMEKEEP_RECORD'] : [])];

// The names that have a later version than 2.28, native/prebuild/old_glibc.cc.
const WRAPPED = ['dlopen', 'dlsym', 'dlclose', 'dlerror', 'pthread_create', 'pthread_join', 'pthread_sigmask', 'pthread_once', '__pthread_key_create'];
const forOthers = portable < 0 ? [] : ['-Wl,--gc-sections', '-Wl,--exclude-libs,ALL', '-Wl,--strip-all', ...WRAPPED.map((name) => `-Wl,--wrap=${name}`)];

const newer = (a, b) => !existsSync(b) || statSync(a).mtimeMs > statSync(b).mtimeMs;
// The headers a source reaches, so that a change in one recompiles what includes it.
function headersOf(file, seen = new Set()) {
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/^#include "([^"]+)"/gm)) {
    const path = join(src, name);
    if (existsSync(path) && !seen.has(path)) { seen.add(path); headersOf(path, seen); }
  }
  return seen;
}
const sources = readdirSync(src).filter((f) => f.endsWith('.cc')).map((f) => join(src, f));
// What it was made from, for native/sources.cjs: read before anything is compiled, so that a source that is written meanwhile counts as another.
const origin = join(objects, 'origin.cc');
const line = `extern const char kOrigin[];\nconst char kOrigin[] = "framekeep sources ${native.sourceHash()}";\n`;
if (!existsSync(origin) || readFileSync(origin, 'utf8') !== line) writeFileSync(origin, line);
sources.push(origin);
if (portable >= 0) sources.push(join(root, 'native', 'prebuild', 'old_glibc.cc'));
const script = fileURLToPath(import.meta.url);
const stale = sources.filter((s) => {
  const o = join(objects, basename(s, '.cc') + '.o');
  return newer(s, o) || newer(script, o) || [...headersOf(s)].some((h) => newer(h, o));
});
const queue = [...stale];
let failed = false;
await Promise.all(Array.from({ length: Math.min(availableParallelism(), queue.length) }, async () => {
  for (let s = queue.shift(); s !== undefined && !failed; s = queue.shift()) {
    try {
      const { stderr } = await run(cxx, [...flags, '-c', s, '-o', join(objects, basename(s, '.cc') + '.o')]);
      if (stderr) console.error(stderr);
    } catch (error) { failed = true; console.error(error.stderr ?? error.message); }
  }
}));
if (failed) process.exit(1);
const objectFiles = sources.map((s) => join(objects, basename(s, '.cc') + '.o'));
if (stale.length > 0 || objectFiles.some((o) => newer(o, target))) {
  const half = `${target}.${process.pid}`;  // a running switch keeps its old inode
  const link = spawnSync(cxx, ['-shared', '-o', half, ...objectFiles, '-ldl', '-static-libgcc', '-static-libstdc++', ...forOthers,
    ...(flavour === 'asan' ? ['-fsanitize=address,undefined'] : [])], { encoding: 'utf8' });
  if (link.status !== 0) { console.error(link.stderr); process.exit(1); }
  renameSync(half, target);
}
