/** Compiles the reference programs of bench/reference/ into build/bench/, when their sources are newer. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../native/index.js';
import { run } from './child.js';

const compiled = new Map<string, Promise<string>>();

export function compilerLacks(): string | undefined {
  return spawnSync('g++', ['--version']).status === 0 ? undefined : 'g++ not installed (npm run bench:peers)';
}

/** @param name  of the source, without its ending: `fabric` (C++) or one that is C @returns the program's path */
export function compileReference(name: string): Promise<string> {
  let done = compiled.get(name);
  if (done === undefined) compiled.set(name, done = compile(name));
  return done;
}

async function compile(name: string): Promise<string> {
  const root = packageRoot(), folder = join(root, 'bench', 'reference'), out = join(root, 'build', 'bench', name);
  const source = readdirSync(folder).find((f) => f === `${name}.cc` || f === `${name}.c`);
  if (source === undefined) throw new Error(`there is no bench/reference/${name}`);
  const native = join(root, 'native', 'src'), headers = readdirSync(native).filter((f) => f.endsWith('.h')).map((f) => join(native, f));
  const newest = Math.max(...[join(folder, source), ...headers].map((f) => statSync(f).mtimeMs));
  if (existsSync(out) && statSync(out).mtimeMs >= newest) return out;
  mkdirSync(join(root, 'build', 'bench'), { recursive: true });
  await run(source.endsWith('.cc') ? ['g++', '-std=c++17', '-fno-exceptions', '-fno-rtti', '-O3', '-march=native', '-Wall', '-Wextra', `-I${native}`, '-o', out, join(folder, source), '-lpthread']
    : ['gcc', '-O3', '-march=native', '-Wall', '-Wextra', '-o', out, join(folder, source), '-lpthread'], { seconds: 120 });
  return out;
}
