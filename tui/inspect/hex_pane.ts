/** A frame's bytes, sixteen a row, in hexadecimal and ASCII; those of the chosen field are marked, and a cursor walks over them. */
import { pair } from '../decode/text.js';
import type { Painter } from '../painter.js';
import type { Mouse } from '../screen.js';

const COLUMNS = 16;
/** Columns of a row: offset, bytes, a wider gap after eight, text. */
export const HEX_WIDTH = 6 + COLUMNS * 3 + 1 + 2 + COLUMNS;

export class HexPane {
  cursor = 0;
  private bytes: Uint8Array = new Uint8Array(0);
  private marked = { at: 0, length: 0 };
  private top = 0;
  private height = 1;
  private place = { x: 0, y: 0, width: 0 };

  show(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.cursor = Math.min(this.cursor, Math.max(0, bytes.length - 1));
  }

  /** Marks a field's bytes and brings its first into sight. */
  mark(at: number, length: number, move: boolean): void {
    this.marked = { at, length };
    if (!move || length === 0) return;
    this.cursor = at;
    const last = Math.floor((at + length - 1) / COLUMNS);
    this.reveal(last);
    this.reveal(Math.floor(at / COLUMNS));
  }

  /** @returns whether the cursor has moved; undefined: a key that is not for it */
  key(key: string): boolean | undefined {
    const page = Math.max(1, this.height - 1) * COLUMNS;
    const step: Record<string, number> = { left: -1, h: -1, right: 1, l: 1, up: -COLUMNS, k: -COLUMNS, down: COLUMNS, j: COLUMNS, pageup: -page,
      pagedown: page, 'C-b': -page, 'C-f': page, home: -Infinity, g: -Infinity, end: Infinity, G: Infinity };
    if (step[key] === undefined) return undefined;
    this.moveTo(this.cursor + step[key]);
    return true;
  }

  /** @returns whether the cursor has moved; undefined: it was elsewhere */
  mouse({ action, x, y }: Mouse): boolean | undefined {
    const row = y - this.place.y, column = x - this.place.x;
    if (row < 0 || row >= this.height || column < 0 || column >= this.place.width) return undefined;
    if (action === 'wheelup' || action === 'wheeldown') {
      this.top = Math.max(0, Math.min(this.top + (action === 'wheelup' ? -2 : 2), Math.ceil(this.bytes.length / COLUMNS) - this.height));
      return false;
    }
    if (action !== 'down') return false;
    const inHex = column - 6, inText = column - (6 + COLUMNS * 3 + 1 + 2);
    const i = inText >= 0 ? inText : inHex >= 25 ? Math.floor((inHex - 1) / 3) : Math.floor(inHex / 3);
    if (i < 0 || i >= COLUMNS) return false;
    this.moveTo((this.top + row) * COLUMNS + i);
    return true;
  }

  draw(p: Painter, focused: boolean): void {
    this.height = Math.max(1, p.height);
    this.place = { x: p.x, y: p.y, width: p.width };
    const rows = Math.ceil(this.bytes.length / COLUMNS), { at, length } = this.marked;
    this.top = Math.max(0, Math.min(this.top, rows - p.height));
    for (let y = 0; y < p.height && this.top + y < rows; y++) {
      const from = (this.top + y) * COLUMNS;
      p.text(0, y, from.toString(16).padStart(4, '0'), 'dim');
      for (let i = 0; i < COLUMNS && from + i < this.bytes.length; i++) {
        const byte = from + i, value = this.bytes[byte], isMarked = byte >= at && byte < at + length, isCursor = focused && byte === this.cursor;
        const style = isCursor ? 'cursor' : isMarked ? 'marked' : 'normal', x = 6 + i * 3 + (i >= 8 ? 1 : 0);
        p.text(x, y, pair(value), style);
        // The blank between two marked bytes is marked too: one block, also without colours.
        if (isMarked && i < COLUMNS - 1 && byte + 1 < at + length) p.text(x + 2, y, i === 7 ? '  ' : ' ', 'marked');
        p.text(6 + COLUMNS * 3 + 1 + 2 + i, y, value >= 0x20 && value < 0x7f ? String.fromCharCode(value) : '.', style === 'normal' ? 'dim' : style);
      }
    }
  }

  private moveTo(to: number): void {
    this.cursor = Math.max(0, Math.min(to, this.bytes.length - 1));
    this.reveal(Math.floor(this.cursor / COLUMNS));
  }
  private reveal(row: number): void {
    if (row < this.top) this.top = row;
    else if (row >= this.top + this.height) this.top = row - this.height + 1;
  }
}
