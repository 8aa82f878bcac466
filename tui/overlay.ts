/** What is drawn over a screen: the keys and what they do, a question or a message, a bar that says how far something is. */
import { fit, type Painter } from './painter.js';
import type { Style } from './look.js';

export interface HelpSection { readonly title: string; readonly keys: readonly (readonly [keys: string, what: string])[]; readonly text?: readonly string[] }

/** A window in the middle, blank, framed. @returns what is inside */
export function overlay(p: Painter, title: string, width: number, height: number): Painter {
  const w = Math.min(width + 4, p.width), h = Math.min(height + 2, p.height);
  const window = p.part((p.width - w) >> 1, (p.height - h) >> 1, w, h);
  window.fill('normal');
  const inside = window.frame(title, true);
  return inside.part(1, 0, inside.width - 2, inside.height);
}

/** The keys, in two columns where there is room. @param from  how many lines are scrolled away. @returns how many lines there are beyond the window */
export function drawHelp(p: Painter, title: string, sections: readonly HelpSection[], from = 0): number {
  const widest = Math.max(...sections.flatMap((s) => s.keys.map(([keys]) => keys.length)));
  const lines: [string, string, Style][] = [];
  for (const section of sections) {
    if (lines.length > 0) lines.push(['', '', 'normal']);
    lines.push([section.title, '', 'bold']);
    for (const [keys, what] of section.keys) lines.push([`  ${fit(keys, widest)}`, what, 'accent']);
    for (const line of section.text ?? []) lines.push([`  ${line}`, '', 'normal']);
  }
  const width = Math.max(...lines.map(([a, b]) => a.length + (b === '' ? 0 : 2 + b.length)));
  const inside = overlay(p, title, Math.max(width, title.length + 4), lines.length);
  const over = Math.max(0, lines.length - inside.height), first = Math.min(from, over);
  lines.slice(first, first + inside.height).forEach(([keys, what, style], y) => {
    const end = inside.text(0, y, keys, style);
    if (what !== '') inside.text(end + 2, y, what);
  });
  return over;
}

/** Some lines of text in a window. */
export function drawMessage(p: Painter, title: string, lines: readonly string[], style: Style = 'normal'): void {
  const width = Math.max(title.length + 4, ...lines.map((l) => l.length)), inside = overlay(p, title, width, lines.length);
  lines.forEach((line, y) => inside.text(0, y, line, style));
}

/** `[████████░░░░]  62 %  text` in one line. @param part of 1 */
export function drawBar(p: Painter, y: number, part: number, text: string, width = 30): void {
  const room = Math.max(4, Math.min(width, p.width - text.length - 10)), full = Math.round(Math.max(0, Math.min(1, part)) * room);
  const x = p.pieces(0, y, ['█'.repeat(full), 'accent'], ['░'.repeat(room - full), 'dim']);
  p.text(x, y, ` ${Math.floor(part * 100)} % ${text}`.slice(0, Math.max(0, p.width - x)));
}
