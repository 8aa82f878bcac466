/**
 * The configuration file: TOML whose keys are the long options of a subcommand (docs/configuration.md). Ports are
 * `port = ["xdp:eth1", …]` or `[[port]]` tables. A key that is not known, a value of the wrong type and a value that does
 * not read are errors with file and line; relative paths start from the file's own directory.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { FramekeepError } from '../native/error.js';
import { didYouMean } from './suggest.js';
import { keyOf } from './table.js';
import type { CommandEntry, OptionEntry } from './table.js';
import { BadValue, portSpec } from './values.js';

/** @returns the properties the file sets, by their name in the options object. @throws FramekeepError E_CONFIG, E_IO, E_PERMISSION */
export function readConfig(file: string, entry: Pick<CommandEntry, 'options'>): Record<string, unknown> {
  return parseConfig(readFileSync(file, 'utf8'), file, entry);
}

/** The same for a text; `file` is for messages and for relative paths. */
export function parseConfig(source: string, file: string, entry: Pick<CommandEntry, 'options'>): Record<string, unknown> {
  const { parse, TomlError } = createRequire(import.meta.url)('smol-toml') as typeof import('smol-toml');  // 4 ms that only a start with a file takes
  let table: Record<string, unknown>;
  try {
    table = parse(source) as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const why = error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '');
    throw new FramekeepError('E_CONFIG', `${file}:${error.line}:${error.column}: ${why}`, `the line says: ${lineOf(source, error.line)}`, { cause: error });
  }
  const known = entry.options.filter((o) => !o.commandLineOnly);
  const base = dirname(file);
  const options: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(table)) {
    const where = (): string => `${file}:${lineOfKey(source, key)}`;
    const option = known.find((o) => o.long === key);
    if (option === undefined) {
      const hint = didYouMean(key, known.map((o) => o.long));
      throw new FramekeepError('E_CONFIG', `${where()}: ${key} is not known here${hint}`, 'docs/configuration.md lists the keys');
    }
    try {
      options[keyOf(option)] = readKey(option, value, base);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      throw new FramekeepError('E_CONFIG', `${where()}: ${key}: ${error.message}`, 'docs/configuration.md says what it takes', { cause: error });
    }
  }
  return options;
}

function readKey(option: OptionEntry, value: unknown, base: string): unknown {
  if (!option.many) return readOne(option, value, base);
  if (!Array.isArray(value)) throw new BadValue(`it takes an array${option.long === 'port' ? ', or [[port]] tables' : ''}, not ${typeName(value)}`);
  return value.map((one) => option.long === 'port' && isTable(one) ? portTable(one, base) : readOne(option, one, base));
}

function readOne(option: OptionEntry, value: unknown, base: string): unknown {
  if (option.value === undefined) {
    if (typeof value !== 'boolean') throw new BadValue(`it takes true or false, not ${typeName(value)}`);
    return value;
  }
  if (typeof value === 'number' && option.value.number) return option.value.read(String(value), base);
  if (typeof value !== 'string') throw new BadValue(`it takes a string${option.value.number ? ' or a number' : ''}, not ${typeName(value)}`);
  return option.value.read(value, base);
}

/** `{ kind = "xdp", name = "eth1", queue = 2 }`: what is neither kind nor name is an option of the port. */
function portTable(table: Record<string, unknown>, base: string): unknown {
  const options: Record<string, string> = {};
  for (const [key, value] of Object.entries(table)) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) throw new BadValue(`${key} takes a string, a number, true or false, not ${typeName(value)}`);
    if (key !== 'kind' && key !== 'name') options[key] = String(value);
  }
  const { kind, name } = table;
  if (typeof kind !== 'string') throw new BadValue(`a [[port]] table has no kind${didYouMeanKey(options, 'kind')}`);
  if (name !== undefined && typeof name !== 'string') throw new BadValue(`name takes a string, not ${typeName(name)}`);
  return portSpec(kind, name ?? '', options, base);
}

function didYouMeanKey(options: Record<string, string>, wanted: string): string {
  const near = Object.keys(options).find((key) => didYouMean(key, [wanted]) !== '');
  return near === undefined ? '' : ` (is ${near} meant to be ${wanted}?)`;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function typeName(value: unknown): string {
  if (value instanceof Date) return 'a date';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'a table' : typeof value === 'boolean' ? String(value) : `a ${typeof value}`;
}

/** smol-toml gives no position of a key: the first line that begins with it, as `key =`, `"key" =`, `[key]` or `[[key]]`. */
function lineOfKey(source: string, key: string): number {
  const escaped = key.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = new RegExp(`^\\s*(\\[\\[?\\s*)?["']?${escaped}["']?\\s*[=.\\]]`);
  return source.split('\n').findIndex((line) => pattern.test(line)) + 1 || 1;
}

function lineOf(source: string, line: number): string {
  return (source.split('\n')[line - 1] ?? '').trim();
}
