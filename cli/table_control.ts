/** The commands that speak to a running switch; a part of cli/table.ts. docs/control.md has the protocol underneath. */
import type { ArgumentEntry, CommandEntry, OptionEntry } from './table.js';
import * as v from './values.js';

const NAME: OptionEntry = {
  long: 'name', short: 'n', value: v.switchName, shown: 'the one that runs',
  help: 'which switch, when several run', completes: 'switch',
};
const NAME_ARGUMENT: ArgumentEntry = {
  name: 'NAME', key: 'name', value: v.switchName, optional: true,
  help: 'which switch, when several run', completes: 'switch',
};
const PORT: ArgumentEntry = { name: 'PORT', key: 'port', value: v.text, help: 'what status calls it, or its number', completes: 'port' };
const MAC: ArgumentEntry = { name: 'MAC', key: 'mac', value: v.mac, help: 'aa:bb:cc:dd:ee:ff' };
const VLAN: OptionEntry = {
  long: 'vlan', value: v.integer('VLAN', 0, 4094), fallback: 0, shown: 'untagged',
  help: 'of a switch that learns per VLAN',
};
const ON_OFF = v.oneOf('on|off', ['on', 'off']);

/** What is made from the table. */
export const SHELL_COMMANDS: readonly CommandEntry[] = [
  {
    name: 'completion',
    group: 'The shell:',
    summary: 'write a completion script for bash, zsh or fish',
    description: 'Writes a script that completes commands, verbs, options, values, files, names of running switches and their ports.\n'
      + 'The scripts ask it for switches and ports themselves.',
    arguments: [{ name: 'SHELL', key: 'what', value: v.shell, help: 'bash, zsh or fish' }],
    options: [NAME],
    examples: [
      ['framekeep completion bash > ~/.local/share/bash-completion/completions/framekeep', 'for bash, from the next shell on'],
      ['framekeep completion zsh > ~/.zfunc/_framekeep', 'for zsh, with ~/.zfunc in $fpath'],
      ['framekeep completion fish > ~/.config/fish/completions/framekeep.fish', 'for fish'],
    ],
  },
  {
    name: 'man',
    group: 'The shell:',
    summary: 'write the manual page',
    description: 'Writes the manual page in roff, man(7).',
    arguments: [],
    options: [],
    examples: [['framekeep man | man -l -', 'read it']],
  },
];

export const CONTROL_COMMANDS: readonly CommandEntry[] = [
  {
    name: 'status',
    group: 'A switch that runs:',
    summary: 'say what a running switch does',
    description: 'Says what runs: the switch, its pool, what it keeps, its ports.',
    arguments: [NAME_ARGUMENT],
    options: [NAME],
    examples: [
      ['framekeep status', 'of the only one that runs'],
      ['framekeep status lab --json | jq .keep', 'in a script'],
    ],
  },
  {
    name: 'ports',
    group: 'A switch that runs:',
    summary: 'list, add, remove and set ports of a running switch',
    description: 'Ports come and go while the others go on.',
    arguments: [],
    options: [NAME],
    examples: [],
    verbs: [
      {
        name: 'list', summary: 'list the ports (what `framekeep ports` does)', description: 'Lists the ports.',
        arguments: [], options: [],
        examples: [['framekeep ports', 'of the only switch that runs']],
      },
      {
        name: 'add', summary: 'open a port', description: 'Opens a port: kind:name[,option=value...], as for up.',
        arguments: [{ name: 'PORT', key: 'port', value: v.port, help: 'kind:name[,option=value...]' }], options: [],
        examples: [['framekeep ports add tap:vm2', 'a tap for one more virtual machine']],
      },
      {
        name: 'remove', summary: 'close a port',
        description: 'Closes a port, and leaves its interface as it was found.', arguments: [PORT], options: [],
        examples: [['framekeep ports remove tap:vm2', 'the device that the switch made goes with it']],
      },
      {
        name: 'set', summary: 'change what a port does', description: 'Changes what a port does; what is not named stays.',
        arguments: [PORT],
        options: [
          { long: 'forward', value: ON_OFF, shown: 'as it is', help: 'off: what comes in is dropped, and nothing is sent; it may still be kept' },
          { long: 'keep', value: ON_OFF, shown: 'as it is', help: 'off: nothing that comes in here is kept' },
          { long: 'promiscuous', value: ON_OFF, shown: 'as it is', help: 'off: its interface leaves out frames that are for others; of xdp: ports' },
        ],
        examples: [['framekeep ports set xdp:eth2 --forward off', 'quiet, while somebody looks for a loop']],
      },
    ],
  },
  {
    name: 'fdb',
    group: 'A switch that runs:',
    summary: 'show and change the forwarding table of a running switch',
    description: 'The table says behind which port a station is. Entries are learned and age; static ones neither age nor move.',
    arguments: [],
    options: [NAME],
    examples: [],
    verbs: [
      {
        name: 'show', summary: 'show the table (what `framekeep fdb` does)', description: 'Shows the table.', arguments: [],
        options: [{ long: 'port', value: v.text, placeholder: 'PORT', shown: 'all', help: 'only what is behind this port', completes: 'port' }],
        examples: [['framekeep fdb show --port tap:vm1', 'who is behind that tap?']],
      },
      {
        name: 'add', summary: 'make a static entry', description: 'Makes a static entry: it neither ages nor moves, and goes with its port.',
        arguments: [MAC, PORT], options: [VLAN], examples: [['framekeep fdb add 02:00:00:00:00:01 tap:vm1', 'a station that must not move']],
      },
      {
        name: 'delete', summary: 'delete an entry', description: 'Deletes an entry, static or learned.',
        arguments: [MAC], options: [VLAN],
        examples: [['framekeep fdb delete 02:00:00:00:00:01', 'it may be learned again']],
      },
      {
        name: 'flush', summary: 'forget what was learned',
        description: 'Forgets what was learned; static entries stay.',
        arguments: [{ ...PORT, optional: true, help: 'only what is behind this port' }], options: [],
        examples: [['framekeep fdb flush xdp:eth2', 'after cables were moved']],
      },
    ],
  },
  {
    name: 'keep',
    group: 'A switch that runs:',
    summary: 'show and change what a running switch keeps',
    description: 'What is kept changes with the next burst of frames; what the pool holds is not touched.',
    arguments: [],
    options: [NAME],
    examples: [],
    verbs: [
      {
        name: 'show', summary: 'show what is kept (what `framekeep keep` does)', description: 'Shows what is kept.',
        arguments: [], options: [],
        examples: [['framekeep keep', 'of the only switch that runs']],
      },
      {
        name: 'set', summary: 'change what is kept', description: 'Changes what is kept; what is not named stays.',
        arguments: [{ name: 'EXPR', key: 'words', value: v.text, optional: true, many: true, help: 'pcap-filter(7) expression; also all, none' }],
        options: [
          {
            long: 'keep-port', value: v.keepPort, key: 'keepPorts', many: true, shown: 'as it is',
            help: 'only what this port received (:in), sent (:out), or both; - for every port', completes: 'port',
          },
          { long: 'snap', value: v.integer('BYTES', 0, 65535), shown: 'as it is', help: 'at most so many bytes of a frame; 0: all' },
          { long: 'sample', value: v.integer('N', 1, 0xffffffff), shown: 'as it is', help: '1 in N of the selected frames' },
        ],
        examples: [
          ['framekeep keep set tcp port 80', 'only HTTP from now on'],
          ['framekeep keep set --snap 128', 'the first bytes of what was kept before'],
        ],
      },
      {
        name: 'freeze', summary: 'keep nothing new', description: 'Keeps nothing new: what the pool holds stays. Frames are forwarded as before.',
        arguments: [], options: [],
        examples: [['framekeep keep freeze', 'it has just happened: do not overwrite it']],
      },
      {
        name: 'resume', summary: 'keep again', description: 'Keeps again, after a freeze.',
        arguments: [], options: [],
        examples: [['framekeep keep resume', 'seen enough']],
      },
    ],
  },
  {
    name: 'stats',
    group: 'A switch that runs:',
    summary: 'show the counters of a running switch',
    description: 'Shows frames, bytes, drops by reason and what was kept, for each port. With --watch: again and again, with rates.\n'
      + 'Counters are read from shared memory; with --json each look is one line.',
    arguments: [NAME_ARGUMENT],
    options: [
      NAME,
      { long: 'watch', short: 'w', help: 'again and again, with rates, until interrupted' },
      { long: 'every', value: v.seconds, fallback: 1, help: 'with --watch: look this often' },
    ],
    examples: [
      ['framekeep stats --watch', 'rates, once a second'],
      ['framekeep stats --json | jq .ports[0].dropped', 'one port\'s drops, by reason'],
    ],
  },
  {
    name: 'stop',
    group: 'A switch that runs:',
    summary: 'stop a running switch',
    description: 'Ends a switch in order: sends what is in flight, commits what is kept, leaves interfaces as they were found; '
      + 'returns when that is done.',
    arguments: [NAME_ARGUMENT],
    options: [NAME],
    examples: [['framekeep stop lab', 'in order, as Ctrl-C would']],
  },
];
