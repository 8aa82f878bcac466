/** Imported first: builds the recording addon if it is not there or older than its sources, and has this process load it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../../..');
mkdirSync(join(root, 'build'), { recursive: true });
// One at a time: several test files want it, and npm run setup has mostly built it before.
const built = spawnSync('flock', [join(root, 'build', '.record.lock'), process.execPath, join(root, 'native', 'build.mjs'), '--record'], { encoding: 'utf8' });
if (built.status !== 0) throw new Error(`the recording addon does not build: ${built.stdout ?? ''}${built.stderr ?? ''}${built.error?.message ?? ''}`);
process.env['FRAMEKEEP_ADDON'] = join(root, 'build', 'framekeep-record.node');
