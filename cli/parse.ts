/**
 * From argv to a subcommand and its options, with commander configured from cli/table.ts. Nothing is run here; help and
 * version are texts to print. Defaults are filled in last, so that a configuration file can stand between them and the
 * command line.
 */
import { Argument, Command, CommanderError, Option } from 'commander';
import { FramekeepError } from '../native/error.js';
import { readConfig } from './config.js';
import { EXIT, EXIT_HELP } from './exit.js';
import { COMMANDS, COMMON, keyOf } from './table.js';
import type { CommandEntry, OptionEntry } from './table.js';
import type { PortSpec } from './options.js';
import { didYouMean } from './suggest.js';
import { BadValue, PORT_KINDS } from './values.js';
import type { Value } from './values.js';

/** What a newcomer does, from nothing to a capture. */
const FIRST_STEPS = [
  ['framekeep doctor', 'what can be done on this machine?'], ['framekeep demo', 'a switch between real captures; needs no privilege and no interface'],
  ['framekeep up xdp:eth1 xdp:eth2', 'switch two interfaces, keep every frame'], ['framekeep top', 'watch it, in another terminal'],
  ['framekeep export /dev/shm/framekeep-sw0.pool -w kept.pcapng', 'what it kept, for Wireshark; also after a crash'],
].map(([line, what]) => `  ${line}\n      ${what}`).join('\n');

export type Parsed =
  /** Something to print: help and version with exit code 0, help with 2 where no command was given. */
  | { text: string; exitCode: number }
  | { command: string; options: Record<string, unknown> };

/**
 * @param argv  without node and script
 * @param base  directory that relative paths start from
 * @throws FramekeepError E_USAGE, or E_CONFIG for the configuration file
 */
export function parse(argv: readonly string[], version: string, base: string): Parsed {
  let shown = '';
  let result: Parsed | undefined;
  const program = quiet(new Command('framekeep'), (text) => { shown += text; })
    .description('A learning Ethernet switch that keeps the frames you choose.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help; framekeep COMMAND --help says more')
    .addHelpCommand(new Command('help').argument('[COMMAND]').description('the same').helpOption(false).helpGroup('The shell:'))
    .usage('COMMAND [options]')
    .addHelpText('after', `\nExamples:\n${FIRST_STEPS}\n\nExit codes: ${EXIT_HELP}.\nNO_COLOR turns colours off.`);
  for (const entry of COMMANDS) {
    const command = describe(quiet(program.command(entry.name), (text) => { shown += text; }), entry, base).helpGroup(entry.group);
    for (const verb of entry.verbs ?? []) {
      // The command's options stand before or after the verb: commander looks for them in the whole line.
      const sub = describe(quiet(command.command(verb.name, { isDefault: verb === entry.verbs![0] }), (text) => { shown += text; }), verb, base, []);
      const whole: Described = { ...verb, name: entry.name, options: [...entry.options, ...verb.options] };
      sub.configureHelp({ showGlobalOptions: true }).action((...args: unknown[]) => {
        result = { command: entry.name, options: { ...collect(whole, args.slice(0, verb.arguments.length), sub.optsWithGlobals()), verb: verb.name } };
      });
    }
    if (entry.verbs === undefined) {
      command.action((...args: unknown[]) => {
        const words = args.slice(0, entry.arguments.length);
        result = { command: entry.name, options: collect(entry, words, command.opts()) };
      });
    }
  }
  try {
    program.parse(argv as string[], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { text: shown.trimEnd(), exitCode: 0 };
    if (error.code === 'commander.help') return { text: program.helpInformation().trimEnd(), exitCode: EXIT.usage };
    const unknown = error.code === 'commander.excessArguments' ? unknownVerb(argv) : undefined;
    throw unknown ?? usage(error.message.replace(/^error: /, '').replace('\n', ' '), argv);
  }
  return result!;
}

function quiet(command: Command, show: (text: string) => void): Command {
  return command.exitOverride().configureOutput({ writeOut: show, writeErr: () => {}, outputError: () => {} });
}

/** `framekeep ports ad x`: commander takes the default verb for meant, and has an argument too many. */
function unknownVerb(argv: readonly string[]): FramekeepError | undefined {
  const words = argv.filter((word, i) => !word.startsWith('-') && !['-n', '--name'].includes(argv[i - 1] ?? '')), entry = COMMANDS.find((c) => c.name === words[0]);
  if (entry?.verbs === undefined || words.length < 2 || entry.verbs.some((verb) => words.includes(verb.name))) return undefined;
  const names = entry.verbs.map((verb) => verb.name), found = words.slice(1).map((word) => didYouMean(word, names)).find((hint) => hint !== '') ?? '';
  return new FramekeepError('E_USAGE', `framekeep ${entry.name} does not know "${words[1]}"${found}; it has ${names.join(', ')}`, `see: framekeep ${entry.name} --help`);
}

function usage(what: string, argv: readonly string[]): FramekeepError {
  const named = COMMANDS.find((c) => c.name === argv.find((word) => !word.startsWith('-')));
  return new FramekeepError('E_USAGE', what, `see: framekeep ${named ? `${named.name} ` : ''}--help`);
}

function describe(command: Command, entry: Described, base: string, common = COMMON): Command {
  command.summary(entry.summary).description(entry.description).helpOption('-h, --help', 'print this');
  for (const a of entry.arguments) {
    const argument = new Argument(a.optional ? `[${a.name}${a.many ? '...' : ''}]` : `<${a.name}${a.many ? '...' : ''}>`, a.help);
    command.addArgument(argument.argParser((text: string, before: unknown) => {
      const value = read(a.value, text, a.name, base);
      return a.many ? [...(before as unknown[] | undefined ?? []), value] : value;
    }));
  }
  for (const o of [...entry.options, ...common]) addOption(command, o, entry, base);
  if (entry.examples.length === 0) return command.addHelpText('after', `\nframekeep ${entry.name} VERB --help says more.\nExit codes: ${EXIT_HELP}.`);
  const examples = entry.examples.map(([line, what]) => `  ${line}\n      ${what}`).join('\n');
  const unset = entry.configured ? '\n--no-FLAG unsets a flag that the configuration file sets.' : '';
  return command.addHelpText('after', `\nExamples:\n${examples}\n${unset}\nExit codes: ${EXIT_HELP}.`);
}

function addOption(command: Command, o: OptionEntry, entry: Described, base: string): void {
  const dashes = (o.short ? `-${o.short}, ` : '') + `--${o.long}`;
  const { value } = o;
  const shown = o.shown ?? (value && o.fallback !== undefined ? String(o.fallback) : undefined);
  const option = new Option(value ? `${dashes} <${o.placeholder ?? value.placeholder}>` : dashes,
    o.help + (o.many ? '; may be given again' : '') + (shown === undefined ? '' : ` (default: ${shown})`));
  if (o.group) option.helpGroup(o.group);
  if (o.required) option.makeOptionMandatory();
  if (value) {
    option.argParser((text: string, before: unknown) => {
      const one = read(value, text, `--${o.long}`, base);
      // Boxed: commander takes null, which is `--keep none`, for "not given".
      return { value: o.many ? [...((before as Boxed | undefined)?.value as unknown[] | undefined ?? []), one] : one };
    });
  }
  command.addOption(option);
  // With both defined commander leaves the option undefined until one is given.
  if (o.negatable !== undefined) command.addOption(withGroup(new Option(`--no-${o.long}`, o.negatable), o.group));
  else if (!value && entry.configured && !o.commandLineOnly) command.addOption(new Option(`--no-${o.long}`).hideHelp());
}

/** A command or a verb. */
type Described = Omit<CommandEntry, 'group' | 'verbs'>;

interface Boxed { value: unknown }

function withGroup(option: Option, group: string | undefined): Option {
  return group === undefined ? option : option.helpGroup(group);
}

function read(value: Value<unknown>, text: string, where: string, base: string): unknown {
  try {
    return value.read(text, base);
  } catch (error) {
    if (error instanceof BadValue) throw new FramekeepError('E_USAGE', `${where}: ${error.message}`, 'see --help');
    throw error;
  }
}

/** Defaults, then the configuration file, then the command line. */
function collect(entry: Described, words: readonly unknown[], given: Record<string, unknown>): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  const all = [...entry.options, ...COMMON];
  for (const o of all) options[keyOf(o)] = o.many ? [] : o.value || o.negatable !== undefined ? o.fallback : false;
  for (const a of entry.arguments) options[a.key] ??= a.many ? [] : undefined;

  const file = (given['config'] as Boxed | undefined)?.value as string | undefined;
  if (entry.configured && file !== undefined) Object.assign(options, readConfig(file, entry));

  for (const o of all) {
    if (given[camelCase(o.long)] === undefined) continue;
    const value = o.value ? (given[camelCase(o.long)] as Boxed).value : given[camelCase(o.long)];
    const key = keyOf(o);
    options[key] = key === 'ports' && entry.configured ? [...(options[key] as unknown[]), ...(value as unknown[])] : value;
  }
  entry.arguments.forEach((a, i) => {
    const value = words[i];
    if (value === undefined) return;
    options[a.key] = a.many ? [...(options[a.key] as unknown[]), ...(value as unknown[])] : value;
  });
  finish(entry.name, options);
  return options;
}

/** What one option's value says about another's. */
function finish(command: string, options: Record<string, unknown>): void {
  if (command === 'up') {
    options['pool'] ??= defaultPool(options['name'] as string);
    if ((options['minFrame'] as number) > (options['maxFrame'] as number)) {
      throw new FramekeepError('E_USAGE', `the shortest frame (${options['minFrame']}) is longer than the longest (${options['maxFrame']})`, 'see --min-frame and --max-frame');
    }
    const ports = options['ports'] as PortSpec[];
    for (const kind of PORT_KINDS.filter((k) => k.exclusive)) {
      const names = ports.filter((p) => p.kind === kind.kind).map((p) => p.name);
      const twice = names.find((name, i) => names.indexOf(name) !== i);
      if (twice !== undefined) throw new FramekeepError('E_USAGE', `port ${kind.kind}:${twice} is named twice`, 'name it once');
    }
    if (options['log'] === '-' && options['json'] === true) throw new FramekeepError('E_USAGE', 'standard output has --json already', 'log to a file (--log FILE), or leave out --json');
    if (ports.length === 0) throw new FramekeepError('E_USAGE', 'the switch has no port', 'name some, like: framekeep up xdp:eth1 xdp:eth2');
  }
  if (command === 'wireshark' && [options['user'], options['system'], options['dir']].filter((o) => o === true || typeof o === 'string').length > 1) {
    throw new FramekeepError('E_USAGE', 'more than one place is named', 'say one of --user, --system, --dir DIR');
  }
  if (command === 'demo') options['pool'] ??= defaultPool('demo');
  if (command === 'export') {
    const words = (options['filterWords'] as string[]).join(' ');
    delete options['filterWords'];
    if (options['follow'] === true && options['to'] !== undefined) throw new FramekeepError('E_USAGE', '--follow goes on, and --to says where to end', 'leave one of them out');
    if (words !== '' && options['filter'] !== '') throw new FramekeepError('E_USAGE', 'the filter is given twice, as --filter and as words', 'give it once');
    if (words !== '') options['filter'] = words;
  }
}

function camelCase(long: string): string {
  return long.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Root's has the plain name; /dev/shm is everybody's, so another user's carries the user's number. */
function defaultPool(name: string): string {
  const uid = process.getuid?.() ?? 0;
  return `/dev/shm/framekeep-${name}${uid === 0 ? '' : `-${uid}`}.pool`;
}
