/** How numbers are said. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from './properties.js';
import { packageRoot } from '../native/index.js';
import { thousands } from '../logger/words.js';

test('whole numbers have commas as English writes them', (t) => {
  fc.assert(fc.property(fc.maxSafeInteger(), (n) => { t.is(thousands(n), n.toLocaleString('en')); }));
  t.deepEqual([0, 999, 1000, -1000, 999_999, 1_000_000].map(thousands), ['0', '999', '1,000', '-1,000', '999,999', '1,000,000']);
});

test('nothing that runs beside traffic loads ICU: its first use takes 30 ms, and 8 MB', (t) => {
  for (const folder of ['native', 'switch', 'logger', 'cli', 'tui']) {
    for (const file of readdirSync(join(packageRoot(), folder), { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts'))) {
      const code = readFileSync(join(packageRoot(), folder, file), 'utf8').replace(/\/\*[^]*?\*\/|\/\/.*/g, '');
      t.notRegex(code, /\.toLocale|\bIntl\.|\.localeCompare|\.normalize\(/, join(folder, file));
    }
  }
});
