/**
 * What the terminal can show, asked of the environment as other programs do: UTF-8 by the locale, colours by NO_COLOR, COLORTERM
 * and TERM. And the few styles that are drawn with, in terms of it.
 */
import { FramekeepError } from '../native/error.js';

export interface Look {
  /** false: ASCII alone. */
  readonly utf8: boolean;
  /** 0: bold, underlined and inverse are all there is. */
  readonly colours: 0 | 16 | 256;
}

export function lookOf(env: NodeJS.ProcessEnv): Look {
  // locale(7): the first of the three that is set and not empty decides.
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '', term = env['TERM'] ?? '';
  const colourless = Boolean(env['NO_COLOR']) || /^(vt\d|xterm-mono|.*-m$)/.test(term);
  const many = /256|direct|kitty|alacritty|foot|ghostty|wezterm/.test(term) || /truecolor|24bit|256/.test(env['COLORTERM'] ?? '');
  return { utf8: /utf-?8/i.test(locale), colours: colourless ? 0 : many ? 256 : 16 };
}

/** @throws FramekeepError E_TERMINAL where no screen can be drawn */
export function requireTerminal(input: { isTTY?: boolean }, output: { isTTY?: boolean }, env: NodeJS.ProcessEnv, instead: string): void {
  const which = output.isTTY !== true ? 'standard output' : input.isTTY !== true ? 'standard input' : undefined;
  if (which !== undefined) throw new FramekeepError('E_TERMINAL', `${which} is no terminal`, `run it in a terminal; ${instead}`);
  const term = env['TERM'] ?? '';
  if (term === '' || term === 'dumb') throw new FramekeepError('E_TERMINAL', `this terminal (TERM=${term}) cannot place text`, `run it in another one; ${instead}`);
}

export type Style =
  'normal' | 'dim' | 'bold' | 'title' | 'focus' | 'selected' | 'cursor' | 'good' | 'warn' | 'bad' | 'accent' | 'other' | 'marked' | 'mark' | 'bar';

const BOLD = 1, UNDERLINE = 2, INVERSE = 8, NONE = 0x1ff;
interface Face { readonly flags?: number; readonly fg?: number; readonly bg?: number }

// By depth: 256 colours, 16, none. Numbers are xterm's; the first 16 follow the user's palette.
const FACES: Readonly<Record<Style, readonly [Face, Face, Face]>> = {
  normal: [{}, {}, {}],
  dim: [{ fg: 245 }, { fg: 8 }, {}],
  bold: [{ flags: BOLD }, { flags: BOLD }, { flags: BOLD }],
  title: [{ flags: BOLD, fg: 252 }, { flags: BOLD }, { flags: BOLD }],
  focus: [{ flags: BOLD, fg: 81 }, { flags: BOLD, fg: 6 }, { flags: BOLD }],
  selected: [{ fg: 255, bg: 24 }, { flags: INVERSE }, { flags: INVERSE }],
  cursor: [{ flags: INVERSE }, { flags: INVERSE }, { flags: INVERSE }],
  good: [{ fg: 78 }, { fg: 2 }, {}],
  warn: [{ fg: 221 }, { fg: 3 }, { flags: BOLD }],
  bad: [{ flags: BOLD, fg: 203 }, { flags: BOLD, fg: 1 }, { flags: BOLD | UNDERLINE }],
  accent: [{ fg: 81 }, { fg: 6 }, {}],
  other: [{ fg: 177 }, { fg: 5 }, {}],
  marked: [{ fg: 16, bg: 221 }, { flags: INVERSE, fg: 3 }, { flags: INVERSE }],
  mark: [{ flags: BOLD, fg: 221 }, { flags: BOLD, fg: 3 }, { flags: BOLD }],
  bar: [{ fg: 255, bg: 236 }, { flags: INVERSE }, { flags: INVERSE }],
};

/** A style as blessed's cell attribute: flags << 18 | foreground << 9 | background; 0x1ff is the terminal's own colour. */
export function attributeOf(style: Style, look: Look): number {
  const { flags = 0, fg = NONE, bg = NONE } = FACES[style][look.colours === 256 ? 0 : look.colours === 16 ? 1 : 2];
  return (flags << 18) | (fg << 9) | bg;
}
