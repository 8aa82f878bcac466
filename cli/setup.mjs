#!/usr/bin/env node
// Makes a fresh checkout ready, before `npm start` (--run) and `npm test` (--test): Node's version, Debian packages, npm
// packages, the addon, `cap`, the compiled TypeScript. Each step first looks whether it is needed, so that there is
// nothing to install and nothing to spawn when there is nothing to do. No dependencies: it runs before they exist.
// With --rebuild (cli/framekeep.mjs, when native sources have changed) it leaves Debian packages alone.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildCap, capWanted } from './setup_cap.mjs';
import { installPackages, missingPackages } from './setup_packages.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);
const forTests = args.includes('--test');
const at = (...parts) => join(root, ...parts);
// On a terminal, what is being done stands there until it is done: the addon alone may take twenty seconds.
const onTerminal = process.stderr.isTTY === true;
const say = (line) => process.stderr.write(`${onTerminal ? '\r\x1b[K' : ''}framekeep setup: ${line}\n`);
const begin = (doing) => { if (onTerminal) process.stderr.write(`framekeep setup: ${doing} …`); };

function fail(what, remedy) {
  process.stderr.write(`framekeep: ${what}\n  ${remedy}\n  [E_SETUP]\n`);
  process.exit(1);
}

/** Runs a step and shows what it wrote only if it failed. */
function step(doing, finished, command, parameters, remedy) {
  const began = Date.now();
  begin(doing);
  const done = spawnSync(command, parameters, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8', maxBuffer: 64 << 20 });
  if (done.status !== 0) {
    process.stderr.write((onTerminal ? '\n' : '') + (done.stdout ?? '') + (done.stderr ?? ''));
    fail(`${doing} failed${done.error ? `: ${done.error.message}` : ''}`, remedy);
  }
  say(`${finished} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
}

const mtime = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    fail(`Node ${process.versions.node} is too old: 20.19 or later is needed`, 'install a newer one, from your distribution or from https://nodejs.org');
  }
}

// npm writes what it installed to node_modules/.package-lock.json. Versions are compared, not times: a checkout that
// touches package-lock.json is no reason to install everything again.
function modulesMissing() {
  const installed = at('node_modules', '.package-lock.json');
  if (!existsSync(installed)) return true;
  const have = JSON.parse(readFileSync(installed, 'utf8')).packages;
  const want = JSON.parse(readFileSync(at('package-lock.json'), 'utf8')).packages;
  return Object.entries(want).some(([path, p]) => path !== '' && !p.optional && have[path]?.version !== p.version);
}

function installModules() {
  // Under `npm start` npm names itself; otherwise it is on the PATH.
  const self = process.env.npm_execpath;
  const [command, first] = self?.endsWith('.js') ? [process.execPath, [self]] : ['npm', []];
  step('installing npm packages', 'npm packages installed', command, [...first, 'ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'],
    'the npm registry must be reachable once; behind a proxy set HTTPS_PROXY');
}

function addonStale(name) {
  const addon = mtime(at('build', name));
  const sources = readdirSync(at('native', 'src')).map((file) => at('native', 'src', file));
  return [at('native', 'build.mjs'), ...sources].some((source) => mtime(source) > addon);
}

const ROOMS = ['native', 'logger', 'switch', 'tui', 'cli', 'test', 'bench'];
const filesUnder = (dir, end) => !existsSync(dir) ? [] : readdirSync(dir, { recursive: true }).filter((file) => file.endsWith(end));

/** The compiled files that no source has any more (AVA would run an old test), and whether a source is newer than its. */
function compiledState() {
  const stamp = mtime(at('dist', '.compiled'));
  const orphans = [];
  let stale = mtime(at('tsconfig.json')) > stamp || stamp === 0;
  for (const room of ROOMS) {
    const sources = new Set(filesUnder(at(room), '.ts'));
    for (const source of sources) {
      if (mtime(at(room, source)) > stamp || !existsSync(at('dist', room, source.replace(/\.ts$/, '.js')))) stale = true;
    }
    for (const file of filesUnder(at('dist', room), '.js')) {
      if (!sources.has(file.replace(/\.js$/, '.ts'))) orphans.push(at('dist', room, file.replace(/\.js$/, '')));
    }
  }
  return { stale, orphans };
}

function compile({ stale, orphans }) {
  for (const orphan of orphans) for (const end of ['.js', '.js.map', '.d.ts']) rmSync(orphan + end, { force: true });
  if (!stale) return;
  const began = new Date();
  // tsc trusts its build info, also when somebody has removed what it had written.
  if (ROOMS.some((room) => filesUnder(at(room), '.ts').some((s) => !existsSync(at('dist', room, s.replace(/\.ts$/, '.js')))))) {
    rmSync(at('dist', '.tsbuildinfo'), { force: true });
  }
  step('compiling TypeScript', 'TypeScript compiled', process.execPath, [at('node_modules', 'typescript', 'bin', 'tsc'), '-p', root], 'the lines above say where');
  writeFileSync(at('dist', '.compiled'), '');
  utimesSync(at('dist', '.compiled'), began, began);  // a source that was written meanwhile counts as newer
}

/** What is to be done, or an empty list: the same questions before and after waiting for another run. */
function wanted() {
  const packages = args.includes('--rebuild') ? [] : missingPackages(forTests);
  const modules = modulesMissing();
  const compiled = compiledState();
  return {
    packages, modules, compiled,
    addon: addonStale('framekeep.node'),
    recorder: forTests && addonStale('framekeep-record.node'),
    cap: modules || capWanted(root),
    nothing() { return packages.length === 0 && !modules && !compiled.stale && compiled.orphans.length === 0 && !this.addon && !this.recorder && !this.cap; },
  };
}

checkNode();
if (!existsSync(at('tsconfig.json'))) process.exit(0);  // an installed package: compiled, with its addons
let todo = wanted();
if (todo.nothing()) process.exit(0);

// One run at a time in a checkout: flock(1) is part of util-linux and lets go when its process dies, however it dies.
if (!args.includes('--locked')) {
  mkdirSync(at('build'), { recursive: true });
  const held = spawnSync('flock', [at('build', '.setup.lock'), process.execPath, fileURLToPath(import.meta.url), ...args, '--locked'],
    { stdio: ['ignore', 'inherit', 'inherit'] });
  if (held.error === undefined) process.exit(held.status ?? 1);
}

if (todo.packages.length > 0) installPackages(todo.packages, say, fail);
if (todo.modules) installModules();
if (todo.addon) step('building the addon from C++ (the longest step)', 'addon built', process.execPath, [at('native', 'build.mjs')], 'the lines above say why; a C++17 compiler is needed (g++ or clang++)');
if (todo.recorder) step('building the recording addon', 'recording addon built', process.execPath, [at('native', 'build.mjs'), '--record'], 'the lines above say why');
if (capWanted(root)) {
  begin('building cap');
  buildCap(root, say);
}
compile(todo.compiled);
