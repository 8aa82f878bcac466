/**
 * Values over time as text: braille, two values and four levels a cell, or ASCII, one value a cell, in a plain locale. Newest at
 * the right.
 */

/** The last values of something, a fixed number of them. */
export class History {
  private readonly values: Float64Array;
  private written = 0;

  constructor(capacity: number) { this.values = new Float64Array(capacity); }

  /** How many values there are. */
  get length(): number { return Math.min(this.written, this.values.length); }

  push(value: number): void { this.values[this.written++ % this.values.length] = value; }

  /** How many values ago; 0 is the newest. 0 where nothing was pushed yet. */
  ago(n: number): number {
    return n < 0 || n >= this.length ? 0 : this.values[(this.written - 1 - n) % this.values.length];
  }

  /** The largest of the last n. */
  peak(n: number): number {
    let most = 0;
    for (let i = Math.min(n, this.length) - 1; i >= 0; i--) most = Math.max(most, this.ago(i));
    return most;
  }
}

// Unicode's braille patterns: bit 0–2 and 6 are the left dots from the top, 3–5 and 7 the right ones. Columns fill from the bottom.
const LEFT = [0x00, 0x40, 0x44, 0x46, 0x47], RIGHT = [0x00, 0x80, 0xa0, 0xb0, 0xb8];
const STEPS = [' ', '.', ':', '|', '#'];

/** How many values fit into so many columns. */
export const valuesIn = (columns: number, utf8: boolean): number => utf8 ? columns * 2 : columns;

/** @returns `rows` lines of `columns` characters. A value above nothing shows at least one dot. @param peak the value that fills the height */
export function graph(history: History, columns: number, rows: number, peak: number, utf8: boolean): string[] {
  const level = (n: number): number => {
    const value = history.ago(n);
    return value <= 0 || peak <= 0 ? 0 : Math.max(1, Math.min(rows * 4, Math.round(value / peak * rows * 4)));
  };
  const lines: string[] = [];
  for (let row = 0; row < rows; row++) {
    const below = (rows - 1 - row) * 4, part = (n: number): number => Math.max(0, Math.min(4, level(n) - below));
    let line = '';
    for (let x = columns - 1; x >= 0; x--) {
      const dots = utf8 ? LEFT[part(2 * x + 1)] + RIGHT[part(2 * x)] : 0;
      // Some fonts show a braille pattern of no dots as circles.
      line += !utf8 ? STEPS[part(x)] : dots === 0 ? ' ' : String.fromCharCode(0x2800 + dots);
    }
    lines.push(line);
  }
  return lines;
}
