/** `wireshark` and `extcap`: framekeep as a capture interface of Wireshark; a part of cli/table.ts. docs/wireshark.md is the page. */
import type { CommandEntry, OptionEntry } from './table.js';
import * as v from './values.js';

const WHERE: readonly OptionEntry[] = [
  { long: 'user', help: 'for this user (the default, but for root)' },
  { long: 'system', help: 'for every user' },
  { long: 'dir', value: v.path, shown: 'what Wireshark says', help: 'in this directory', completes: 'file' },
];

export const WIRESHARK_COMMANDS: readonly CommandEntry[] = [
  {
    name: 'wireshark',
    group: 'What was kept:',
    summary: 'capture in Wireshark with one click',
    description: 'Puts a small program where Wireshark and tshark look for capture interfaces: they then list every running switch and every pool.',
    arguments: [],
    options: [],
    examples: [],
    verbs: [
      {
        name: 'show', summary: 'say where this Wireshark looks, and what it would list',
        description: 'Says where this Wireshark looks, whether the program is there, and what it would list.',
        arguments: [], options: [], examples: [['framekeep wireshark', 'is it installed?']],
      },
      {
        name: 'install', summary: 'put the program there',
        description: 'Puts the program there. What it finds there of its own is replaced, anything else is left alone.',
        arguments: [], options: WHERE,
        examples: [['framekeep wireshark install', 'for yourself'], ['sudo framekeep wireshark install --system', 'for everybody on this machine']],
      },
      {
        name: 'uninstall', summary: 'take it away', description: 'Takes the program away again.', arguments: [], options: WHERE,
        examples: [['framekeep wireshark uninstall', 'what install did is undone']],
      },
    ],
  },
  {
    name: 'extcap',
    group: 'What was kept:',
    summary: 'what Wireshark calls (extcap); lists what it would see',
    description: 'Wireshark and tshark call this program by themselves, with options of theirs (--extcap-interfaces, --capture, ...).\n'
      + 'By hand it lists what they would see.',
    arguments: [],
    options: [],
    examples: [['framekeep extcap', 'the interfaces that Wireshark lists']],
  },
];
