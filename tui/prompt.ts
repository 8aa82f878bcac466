/**
 * A line to type into at the bottom of the screen: a filter, a file's name. Keys as in a shell: the ends of the line by Home, End,
 * Ctrl-A, Ctrl-E, Ctrl-U and Ctrl-W delete, up and down go through what was typed before.
 */
import type { Painter } from './painter.js';

export interface PromptResult { readonly kind: 'entered' | 'cancelled'; readonly text: string }

export class Prompt {
  readonly label: string;
  /** Shown behind the text: why what was entered was refused. */
  problem = '';
  text: string;
  private at: number;
  private readonly history: readonly string[];
  private recalled: number;

  /** @param history what was entered before, oldest first */
  constructor(label: string, text = '', history: readonly string[] = []) {
    this.label = label;
    this.text = text;
    this.at = text.length;
    this.history = history;
    this.recalled = history.length;
  }

  /** @returns a result once the line is finished */
  key(key: string): PromptResult | undefined {
    const { text, at } = this;
    switch (key) {
      case 'enter': return { kind: 'entered', text: text.trim() };
      case 'escape': case 'C-g': return { kind: 'cancelled', text };
      case 'left': case 'C-b': this.at = Math.max(0, at - 1); return undefined;
      case 'right': case 'C-f': this.at = Math.min(text.length, at + 1); return undefined;
      case 'home': case 'C-a': this.at = 0; return undefined;
      case 'end': case 'C-e': this.at = text.length; return undefined;
      case 'backspace': case 'C-h': if (at > 0) this.put(text.slice(0, at - 1) + text.slice(at), at - 1); return undefined;
      case 'delete': case 'C-d': this.put(text.slice(0, at) + text.slice(at + 1), at); return undefined;
      case 'C-u': this.put(text.slice(at), 0); return undefined;
      case 'C-k': this.put(text.slice(0, at), at); return undefined;
      case 'C-w': {
        const kept = text.slice(0, at).replace(/\S*\s*$/, '');
        this.put(kept + text.slice(at), kept.length);
        return undefined;
      }
      case 'up': this.recall(-1); return undefined;
      case 'down': this.recall(1); return undefined;
      default: {
        const typed = key === 'space' ? ' ' : key;
        if (typed.length === 1) this.put(text.slice(0, at) + typed + text.slice(at), at + 1);
        return undefined;
      }
    }
  }

  /** Takes one line. */
  draw(p: Painter): void {
    p.fill('bar');
    const begin = p.text(0, 0, `${this.label} `, 'bar'), room = Math.max(8, p.width - begin - 1);
    const from = Math.max(0, this.at - room + 1), shown = this.text.slice(from, from + room);
    const end = p.text(begin, 0, shown, 'bar');
    p.text(begin + this.at - from, 0, this.text[this.at] ?? ' ', 'cursor');
    // Behind the text where there is room; else over it: why comes before what.
    if (this.problem !== '') p.text(Math.max(begin + 1, Math.min(end + 2, p.width - this.problem.length)), 0, this.problem, 'bad');
  }

  private put(text: string, at: number): void {
    this.text = text;
    this.at = at;
    this.problem = '';
  }

  private recall(step: -1 | 1): void {
    const to = this.recalled + step;
    if (to < 0 || to > this.history.length) return;
    this.recalled = to;
    this.put(this.history[to] ?? '', (this.history[to] ?? '').length);
  }
}
