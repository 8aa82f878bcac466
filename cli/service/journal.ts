/**
 * The journal as pino's destination: each line becomes one datagram of fields (https://systemd.io/JOURNAL_NATIVE_PROTOCOL), so that
 * `journalctl FRAMEKEEP_EVENT=overload` finds it. A value with a line feed is sent with its length, as that page says.
 */
import { existsSync } from 'node:fs';
import { datagramSend, FramekeepError } from '../../native/index.js';

/** systemd.journal-fields(7). FRAMEKEEP_JOURNAL overrides it. */
const SOCKET = '/run/systemd/journal/socket';
/** syslog(3): what the levels are there. */
const PRIORITY: Readonly<Record<string, number>> = { debug: 7, info: 6, warn: 4, error: 3, fatal: 2 };
const MEANT: Readonly<Record<string, string>> = { msg: 'MESSAGE', pid: 'SYSLOG_PID', code: 'FRAMEKEEP_CODE' };

export class Journal {
  private readonly address = process.env['FRAMEKEEP_JOURNAL'] || SOCKET;

  /** @throws FramekeepError E_LOG when there is no journal */
  constructor() {
    if (!existsSync(this.address)) throw new FramekeepError('E_LOG', `there is no journal at ${this.address}`, 'is systemd-journald running? otherwise log to a file: --log FILE');
  }

  /** One JSON line, as pino gives it. What the journal does not take is gone: there is nobody to wait for. */
  write(line: string): void {
    datagramSend(this.address, fieldsOf(JSON.parse(line) as Record<string, unknown>));
  }
}

/** The fields of one entry in the protocol's form. */
export function fieldsOf(entry: Readonly<Record<string, unknown>>): Buffer {
  const parts: Buffer[] = [field('SYSLOG_IDENTIFIER', 'framekeep'), field('PRIORITY', String(PRIORITY[String(entry['level'])] ?? 6))];
  for (const [key, value] of Object.entries(entry)) {
    if (key === 'level' || key === 'time' || value === undefined) continue;
    const name = MEANT[key] ?? `FRAMEKEEP_${key.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;
    parts.push(field(name, typeof value === 'string' ? value : JSON.stringify(value)));
  }
  return Buffer.concat(parts);
}

function field(name: string, value: string): Buffer {
  if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value), size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), size, bytes, Buffer.from('\n')]);
}
