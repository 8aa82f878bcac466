/** The command line as a flat list, for what is made from cli/table.ts besides the parser: completions and the manual page. */
import { COMMANDS, COMMON, type ArgumentEntry, type CommandEntry, type OptionEntry, type VerbEntry } from './table.js';
import * as v from './values.js';

/** What stands somewhere: one of some words, a file, a running switch, a port of one, a port's specification, or anything. */
export interface Kind { readonly what: 'words' | 'file' | 'switch' | 'port' | 'spec' | 'any'; readonly words: readonly string[] }

export interface ShapeOption { readonly flags: readonly string[]; readonly help: string; /** Of its value; undefined: it takes none. */ readonly kind: Kind | undefined }

/** `framekeep`, `framekeep ports`, or `framekeep ports add`. */
export interface Shape {
  /** '', 'ports', 'ports add'. */
  readonly path: string;
  readonly summary: string;
  readonly words: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly ShapeOption[];
  readonly args: readonly { readonly kind: Kind; readonly many: boolean }[];
}

const HELP: ShapeOption = { flags: ['-h', '--help'], help: 'print help', kind: undefined };

export function shapes(): Shape[] {
  const all: Shape[] = [{
    path: '', summary: 'a learning Ethernet switch that keeps the frames you choose', words: COMMANDS.map(({ name, summary }) => ({ name, summary })),
    options: [HELP, { flags: ['-V', '--version'], help: 'print the version', kind: undefined }], args: [],
  }];
  for (const command of COMMANDS) {
    const own = command.verbs?.[0] ?? command;  // the first verb is meant when none is said
    all.push(shapeOf(command.name, command.summary, command, [...(own === command ? [] : own.options), ...command.options], own, command.verbs ?? []));
    for (const verb of command.verbs ?? []) all.push(shapeOf(`${command.name} ${verb.name}`, verb.summary, command, [...verb.options, ...command.options], verb, []));
  }
  return all;
}

function shapeOf(path: string, summary: string, command: CommandEntry, options: readonly OptionEntry[], own: Pick<VerbEntry, 'arguments'>, verbs: readonly VerbEntry[]): Shape {
  return {
    path, summary, words: verbs.map((verb) => ({ name: verb.name, summary: verb.summary })), options: [...[...options, ...COMMON].flatMap((o) => optionShapes(o, command)), HELP],
    args: own.arguments.map((a) => ({ kind: kindOf(a.value, a), many: a.many ?? false })),
  };
}

function optionShapes(o: OptionEntry, command: CommandEntry): ShapeOption[] {
  const flags = [...(o.short === undefined ? [] : [`-${o.short}`]), `--${o.long}`], shape = { flags, help: o.help, kind: o.value && kindOf(o.value, o) };
  const off = o.negatable !== undefined || (!o.value && command.configured && !o.commandLineOnly);
  return off ? [shape, { flags: [`--no-${o.long}`], help: `not: ${o.help}`, kind: undefined }] : [shape];
}

function kindOf(value: v.Value<unknown>, entry: Pick<ArgumentEntry | OptionEntry, 'completes'>): Kind {
  const words = value.choices ?? [];
  if (entry.completes !== undefined) return { what: entry.completes, words };
  if (value === v.path || value === v.output || value === v.logic) return { what: 'file', words };
  if (value === v.port) return { what: 'spec', words: v.PORT_KINDS.map((k) => `${k.kind}:`) };
  return { what: words.length > 0 ? 'words' : 'any', words };
}
