#!/usr/bin/env node
// The `framekeep` command: finds the compiled program and runs it. Plain JavaScript, so that it can say what is missing.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const [major, minor] = process.versions.node.split('.').map(Number);
const compiled = new URL('../dist/cli/main.js', import.meta.url);
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

// In a checkout whose native sources have changed since the addon was built (git pull), all is built again first, where this user may.
// What is not built here is said by native/addon.ts, when it is to be loaded.
function buildAgain() {
  if (!existsSync(at('native/sources.cjs')) || !existsSync(at('build/framekeep.node')) || process.env.FRAMEKEEP_ADDON) return;
  if (!createRequire(import.meta.url)(at('native/sources.cjs')).isStale(at('build/framekeep.node'))) return;
  try { for (const folder of ['build', 'dist', 'node_modules']) accessSync(at(folder), constants.W_OK); } catch { return; }
  spawnSync(process.execPath, [at('cli/setup.mjs'), '--rebuild'], { stdio: ['ignore', 2, 2] });
}

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`framekeep: Node ${process.versions.node} is too old\n  install Node 20.19 or later\n  [E_SETUP]`);
  process.exitCode = 1;
} else if (!existsSync(compiled)) {
  console.error('framekeep: it is not built\n  build it with: npm run setup\n  [E_SETUP]');
  process.exitCode = 1;
} else {
  const [command, ...rest] = process.argv.slice(2);
  if (command === 'extcap' && rest.some((word) => /^--(extcap-|capture$)/.test(word))) {
    const { extcap } = await import(new URL('extcap.js', compiled).href);  // past the parser: Wireshark waits for it at its start
    process.exitCode = await extcap(rest);
  } else {
    buildAgain();
    if (command === 'up' || command === 'demo') (await import(new URL('../switch/warm.js', compiled).href)).warmThread();  // loads beside what follows
    const { main } = await import(compiled.href);
    process.exitCode = await main(process.argv.slice(2));
  }
}
