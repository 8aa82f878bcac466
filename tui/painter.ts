/**
 * Draws text into the cells of a screen, clipped to a rectangle. What comes from frames, names and files passes through here:
 * control characters, and characters that are not one column wide, never reach the terminal.
 */
import { attributeOf, type Look, type Style } from './look.js';

/** One of blessed's cells: attribute, character. */
export type Cell = [number, string];
export interface Rect { readonly x: number; readonly y: number; readonly width: number; readonly height: number }

/** What ASCII shows instead. */
const PLAIN: Readonly<Record<string, string>> = {
  '─': '-', '│': '|', '┌': '+', '┐': '+', '└': '+', '┘': '+', '├': '+', '┤': '+', '┬': '+', '┴': '+', '┼': '+', '━': '=', '═': '=', '█': '#', '▓': '#', '▒': '=', '░': '.',
  '▌': '|', '▐': '|', '▶': '>', '▸': '>', '▾': 'v', '▼': 'v', '▲': '^', '●': '*', '○': 'o', '•': '*', '·': '.', '…': '~', '–': '-', '—': '-', '→': '>', '←': '<', '↑': '^', '↓': 'v',
  '×': 'x', '’': "'", '‘': "'", '“': '"', '”': '"', '✓': '+', 'µ': 'u', '┃': '|', '╹': "'", '╻': '.', '⇄': '=',
};

/** One column wide in every terminal and locale of UTF-8: Latin, Greek, Cyrillic, punctuation, arrows, boxes, blocks, braille. */
function isNarrow(code: number): boolean {
  return (code >= 0xa1 && code < 0x300 && code !== 0xad) || (code >= 0x370 && code < 0x483) || (code >= 0x48a && code < 0x530) || (code >= 0x2010 && code < 0x2028)
    || (code >= 0x2190 && code < 0x2200) || (code >= 0x2500 && code < 0x2600) || code === 0x2713 || (code >= 0x2800 && code < 0x2900);
}

/** The text with every character that cannot be shown in one column replaced. */
export function printable(text: string, look: Look): string {
  if (/^[ -~]*$/.test(text)) return text;
  let out = '';
  for (const ch of text) {
    const code = ch.codePointAt(0)!;
    if (code >= 0x20 && code <= 0x7e) out += ch;
    else if (look.utf8) out += isNarrow(code) ? ch : '?';
    else out += PLAIN[ch] ?? (code >= 0x2800 && code < 0x2900 ? (code === 0x2800 ? ' ' : ':') : '?');
  }
  return out;
}

/** Exactly so many columns: padded with blanks, or cut, the cut marked. */
export function fit(text: string, width: number, side: 'left' | 'right' = 'left'): string {
  if (text.length > width) return width < 1 ? '' : width < 4 ? text.slice(0, width) : `${text.slice(0, width - 1)}…`;
  return side === 'left' ? text.padEnd(width) : text.padStart(width);
}

export class Painter {
  readonly look: Look;
  readonly width: number;
  readonly height: number;
  /** Where it is on the screen, for the mouse. */
  readonly x: number;
  readonly y: number;
  private readonly lines: Cell[][];

  constructor(lines: Cell[][], look: Look, rect: Rect) {
    this.lines = lines;
    this.look = look;
    this.x = rect.x;
    this.y = rect.y;
    this.width = Math.max(0, rect.width);
    this.height = Math.max(0, rect.height);
  }

  /** A part of it; its origin becomes 0, 0. What lies outside of this one is cut off. */
  part(x: number, y: number, width: number, height: number): Painter {
    const left = Math.max(0, Math.min(x, this.width)), top = Math.max(0, Math.min(y, this.height));
    return new Painter(this.lines, this.look, {
      x: this.x + left, y: this.y + top, width: Math.min(width, this.width - left), height: Math.min(height, this.height - top),
    });
  }

  /** Writes one line. @returns the column after it */
  text(x: number, y: number, text: string, style: Style = 'normal'): number {
    const shown = printable(text, this.look);
    if (y < 0 || y >= this.height) return x + shown.length;
    const line = this.lines[this.y + y], attribute = attributeOf(style, this.look);
    for (let i = 0; i < shown.length; i++) {
      const at = x + i;
      if (at < 0 || at >= this.width) continue;
      const cell = line?.[this.x + at];
      if (cell === undefined) continue;
      cell[0] = attribute;
      cell[1] = shown[i];
    }
    return x + shown.length;
  }

  /** Pieces of a line in styles of their own, one after the other. @returns the column after them */
  pieces(x: number, y: number, ...pieces: readonly (readonly [text: string, style?: Style])[]): number {
    for (const [text, style] of pieces) x = this.text(x, y, text, style);
    return x;
  }

  fill(style: Style, ch = ' ', x = 0, y = 0, width = this.width, height = this.height): void {
    const row = ch.repeat(Math.max(0, width));
    for (let i = 0; i < height; i++) this.text(x, y + i, row, style);
  }

  /** Changes how a line looks, not what it says. */
  restyle(y: number, style: Style, x = 0, width = this.width): void {
    if (y < 0 || y >= this.height) return;
    const attribute = attributeOf(style, this.look);
    for (let at = Math.max(0, x); at < Math.min(this.width, x + width); at++) {
      const cell = this.lines[this.y + y]?.[this.x + at];
      if (cell !== undefined) cell[0] = attribute;
    }
  }

  /** A frame around all of it, with a title in its upper edge. @returns what is inside */
  frame(title: string, focused = false, note = ''): Painter {
    const { width, height } = this;
    if (width < 2 || height < 2) return this.part(0, 0, 0, 0);
    const style: Style = focused ? 'focus' : 'dim', bar = '─'.repeat(width - 2);
    this.text(0, 0, `┌${bar}┐`, style);
    for (let y = 1; y < height - 1; y++) {
      this.text(0, y, '│', style);
      this.text(width - 1, y, '│', style);
    }
    this.text(0, height - 1, `└${bar}┘`, style);
    if (title !== '' && width > 6) this.text(2, 0, ` ${fit(title, Math.min(title.length, width - 6))} `, focused ? 'focus' : 'title');
    if (note !== '' && width > title.length + note.length + 9) this.text(width - note.length - 4, 0, ` ${note} `, 'dim');
    return this.part(1, 1, width - 2, height - 2);
  }
}
