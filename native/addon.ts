/** Loads the compiled addon, once a thread. Only the files of this folder import this one. */
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';
import { FramekeepError } from './error.js';

/** The root of the package, whether this file runs from dist/native or from native. */
function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) dir = dirname(dir);
  return dir;
}

function load(): Record<string, (...args: any[]) => any> {
  const root = packageRoot();
  const wanted = process.env['FRAMEKEEP_ADDON'];
  const candidates = wanted ? [wanted] : [
    join(root, 'build', 'framekeep.node'),
    join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'framekeep.node'),
  ];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) {
    throw new FramekeepError('E_ADDON_MISSING', `the native addon is not built (looked for ${candidates.join(', ')})`,
      existsSync(join(root, 'tsconfig.json')) ? 'build it with: npm run setup' : 'this package has addons for x86-64 and arm64; on other machines build framekeep from its sources');
  }
  try {
    return createRequire(import.meta.url)(found);
  } catch (cause) {
    throw new FramekeepError('E_ADDON_BROKEN', `the native addon ${found} does not load: ${(cause as Error).message}`,
      existsSync(join(root, 'tsconfig.json')) ? 'rebuild it with: rm -rf build && npm run setup' : 'it needs glibc 2.28 or later; on other systems build framekeep from its sources', { cause });
  }
}

export const addon = load();
export { packageRoot };
