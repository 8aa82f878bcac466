/** A progress bar on standard error, for what takes long on a terminal; nothing anywhere else. */
import type { Io } from './io.js';

const FIRST_AFTER_MS = 500, EACH_MS = 100;

export class Progress {
  private readonly io: Io;
  private readonly enabled: boolean;
  private readonly begin = performance.now();
  private shown = 0;

  /** @param wanted true or false by an option; undefined: where standard error is a terminal */
  constructor(io: Io, wanted: boolean | undefined) {
    this.io = io;
    this.enabled = wanted ?? io.stderr.isTTY === true;
  }

  /** To be called now and then; draws at most ten times a second, and not in the first half second. */
  update(done: number, total: number, note = ''): void {
    if (!this.enabled) return;
    const now = performance.now();
    if (now - this.begin < FIRST_AFTER_MS || now - this.shown < EACH_MS) return;
    this.shown = now;
    const part = total > 0 ? Math.min(done / total, 1) : 0, percent = `${Math.floor(part * 100)} %`.padStart(5);
    const left = part > 0 ? `, ${Math.ceil((now - this.begin) / part * (1 - part) / 1000)} s left` : '';
    const text = `${percent}${note === '' ? '' : `  ${note}`}${left}`;
    if (this.io.stderr.isTTY !== true) { this.io.note(text); return; }
    const width = Math.max(0, Math.min((this.io.stderr.columns || 80) - text.length - 4, 40)), full = Math.round(part * width);
    this.io.stderr.write(`\r\x1b[K${width > 4 ? `[${'#'.repeat(full)}${'.'.repeat(width - full)}]` : ''}${text}`);
  }

  /** Takes the bar away. */
  end(): void {
    if (this.shown > 0 && this.io.stderr.isTTY === true) this.io.stderr.write('\r\x1b[K');
  }
}
