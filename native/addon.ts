/** Loads the compiled addon, once a thread. Only the files of this folder import this one. */
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { basename, dirname, join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { FramekeepError } from './error.js';

/** The root of the package, whether this file runs from dist/native or from native. */
function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) dir = dirname(dir);
  return dir;
}

const REBUILD: Readonly<Record<string, string>> = {
  'framekeep-asan.node': 'node native/build.mjs --sanitize', 'framekeep-record.node': 'node native/build.mjs --record',
};

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
  const require = createRequire(import.meta.url), sources = join(root, 'native', 'sources.cjs');
  // In a checkout, and once a process: a thread loads what the main thread has.
  if (isMainThread && existsSync(sources) && (require(sources) as { isStale: (addon: string) => boolean }).isStale(found)) {
    throw new FramekeepError('E_ADDON_STALE', `the native addon ${found} was built from other sources than those here`,
      `build it again with: ${REBUILD[basename(found)] ?? 'npm run setup'}`);
  }
  try {
    return require(found);
  } catch (cause) {
    throw new FramekeepError('E_ADDON_BROKEN', `the native addon ${found} does not load: ${(cause as Error).message}`,
      existsSync(join(root, 'tsconfig.json')) ? 'rebuild it with: rm -rf build && npm run setup' : 'it needs glibc 2.28 or later; on other systems build framekeep from its sources', { cause });
  }
}

export const addon = load();
export { packageRoot };
