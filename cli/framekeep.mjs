#!/usr/bin/env node
// The `framekeep` command: finds the compiled program and runs it. Plain JavaScript, so that it can say what is missing.
import { existsSync } from 'node:fs';

const [major, minor] = process.versions.node.split('.').map(Number);
const compiled = new URL('../dist/cli/main.js', import.meta.url);
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
    const { main } = await import(compiled.href);
    process.exitCode = await main(process.argv.slice(2));
  }
}
