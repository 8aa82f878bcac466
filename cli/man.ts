/** `framekeep man`: the manual page, in man(7)'s roff, from the table. */
import { readFileSync } from 'node:fs';
import { EXIT_HELP } from './exit.js';
import type { Io } from './io.js';
import { COMMANDS, COMMON, type ArgumentEntry, type OptionEntry, type VerbEntry } from './table.js';

export async function run(_options: unknown, io: Io): Promise<number> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  // reproducible-builds.org: what is built says when its source was made
  const epoch = process.env['SOURCE_DATE_EPOCH'], date = epoch !== undefined && /^\d+$/.test(epoch) ? new Date(Number(epoch) * 1000) : new Date();
  io.stdout.write(manualPage(version, date.toISOString().slice(0, 10)));
  return 0;
}

/** A text as roff has it: backslashes and hyphens escaped, no line that begins like a request. */
const plain = (text: string): string => text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll(/^(?=[.'])/gm, '\\&');
/** The same, in lines that an editor shows whole; what is filled may be broken anywhere. */
const filled = (text: string): string => plain(text.replaceAll(/(.{1,70})(?: |$)/g, '$1\n').trimEnd());
const bold = (text: string): string => `\\fB${plain(text)}\\fR`;
const italic = (text: string): string => `\\fI${plain(text)}\\fR`;

/** @param date `2026-11-21` */
export function manualPage(version: string, date: string): string {
  const out: string[] = [
    `.TH FRAMEKEEP 1 "${date}" "framekeep ${version}" "User Commands"`,
    '.SH NAME', `framekeep \\- ${plain('a learning Ethernet switch that keeps the frames you choose')}`,
    '.SH SYNOPSIS', ...COMMANDS.flatMap((c) => [...(c === COMMANDS[0] ? [] : ['.br']), synopsis(c.name, c, c.verbs)]),
    '.SH DESCRIPTION',
    filled('framekeep switches Ethernet frames between network interfaces, taps, other processes and captures. '
      + 'The frames that a filter selects are kept in a pool: the buffer that a frame was received into is its record. '
      + 'What was kept is found again after a crash, and exported for Wireshark.'),
    '.SH COMMANDS',
  ];
  for (const command of COMMANDS) {
    out.push(`.SS ${plain(`framekeep ${command.name}`)}`, ...paragraphs(command.description), ...entries(command.arguments, command.options), ...examples(command));
    for (const verb of command.verbs ?? []) {
      out.push('.PP', `${bold(`framekeep ${command.name} ${verb.name}`)}${verb.arguments.map((a) => ` ${argument(a)}`).join('')}`, '.RS 4',
        ...paragraphs(verb.description), ...entries(verb.arguments, verb.options), ...examples(verb), '.RE');
    }
  }
  out.push('.SH OPTIONS', 'Every command takes these:', ...entries([], [...COMMON, { long: 'help', short: 'h', help: 'print help' }]),
    '.SH "EXIT STATUS"', ...EXIT_HELP.split(', ').flatMap((one) => ['.TP', bold(one.split(' ')[0]), plain(one.slice(one.indexOf(' ') + 1))]),
    '.SH ENVIRONMENT', '.TP', bold('FRAMEKEEP_RUN'), plain('directory of sockets and counters; by default /run/framekeep for root, framekeep in XDG_RUNTIME_DIR otherwise'),
    '.TP', bold('NO_COLOR'), 'turns colours off',
    '.SH FILES', '.TP', italic('/run/framekeep/NAME/control'), 'the control socket of a running switch: JSON\\-RPC 2.0, a message a line',
    '.TP', italic('/run/framekeep/NAME/counters'), plain('its counters, also after a crash'), '.TP', italic('/dev/shm/framekeep-NAME.pool'), plain('the pool, unless --pool says another'),
    '.SH "SEE ALSO"', `${bold('pcap-filter')}(7), ${bold('wireshark')}(1), ${bold('ip-link')}(8), ${bold('bridge')}(8)`);
  return `${out.join('\n')}\n`;
}

const argument = (a: ArgumentEntry): string => a.optional ? `[${italic(a.name)}${a.many ? ' ...' : ''}]` : `${italic(a.name)}${a.many ? ' ...' : ''}`;

function synopsis(name: string, entry: Omit<VerbEntry, 'name'>, verbs: readonly VerbEntry[] | undefined): string {
  const verb = verbs === undefined ? '' : ` [${verbs.map((one) => bold(one.name)).join('|')}]`;
  return `${bold(`framekeep ${name}`)}${verb} [${italic('options')}]${entry.arguments.map((a) => ` ${argument(a)}`).join('')}`;
}

/** A line of the description that begins with blanks stands as it is. */
function paragraphs(text: string): string[] {
  const out: string[] = [];
  let table = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('  ') !== table) out.push(table ? '.fi' : '.nf');
    else if (out.length > 0 && !table) out.push('.br');
    table = line.startsWith('  ');
    out.push(table ? plain(line) : filled(line));
  }
  return table ? [...out, '.fi'] : out;
}

function entries(args: readonly ArgumentEntry[], options: readonly OptionEntry[]): string[] {
  const out = args.flatMap((a) => ['.TP', argument(a), filled(a.help)]);
  for (const o of options) {
    const shown = o.shown ?? (o.value && o.fallback !== undefined ? String(o.fallback) : undefined);
    const flags = [...(o.short ? [bold(`-${o.short}`)] : []), bold(`--${o.long}`)].join(', ');
    out.push('.TP', `${flags}${o.value ? ` ${italic(o.placeholder ?? o.value.placeholder)}` : ''}`,
      filled(o.help + (o.many ? '; may be given again' : '') + (shown === undefined ? '' : ` (default: ${shown})`)));
    if (o.negatable) out.push('.TP', bold(`--no-${o.long}`), filled(o.negatable));
  }
  return out;
}

function examples(entry: Pick<VerbEntry, 'examples'>): string[] {
  return entry.examples.flatMap(([line, what]) => ['.PP', `${plain(what)}:`, '.RS 4', '.nf', plain(line), '.fi', '.RE']);
}
