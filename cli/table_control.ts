/** The commands that speak to a running switch; a part of cli/table.ts. */
import type { CommandEntry, OptionEntry } from './table.js';
import * as v from './values.js';

const NAME: OptionEntry = { long: 'name', short: 'n', value: v.switchName, shown: 'the one that runs', help: 'which switch', completes: 'switch' };

export const CONTROL_COMMANDS: readonly CommandEntry[] = [
  {
    name: 'status',
    summary: 'say what a running switch does',
    description: 'The switch, its pool, what it keeps, its ports.',
    arguments: [{ name: 'NAME', key: 'name', value: v.switchName, optional: true, help: 'which switch; needed when several run', completes: 'switch' }],
    options: [NAME],
    examples: [
      ['framekeep status', 'of the only one that runs'],
      ['framekeep status lab --json | jq .keep', 'in a script'],
    ],
  },
];
