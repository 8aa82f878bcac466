/**
 * The inspector: what happened to a pool, and the frames in it, as Wireshark shows them. `Frames` is what it shows, `FramePanes` and
 * `ReportPage` its two pages, `ListMotion` what moves by itself, `Questions` what it asks; this file has who gets which key, the title
 * and the last line.
 *
 *   | title                                          |
 *   | frames                                         |   below, from 150 columns on side by side:
 *   | ---------------------------------------------- |
 *   | the chosen frame's layers                      |
 *   | ---------------------------------------------- |
 *   | its bytes                                      |
 *   | keys, a question, how far something is         |
 */
import { compileFilter } from '../../logger/filter/index.js';
import { Pool } from '../../logger/pool.js';
import { thousands } from '../../logger/words.js';
import type { Style } from '../look.js';
import { drawBar, drawHelp, type HelpSection } from '../overlay.js';
import { fit, type Painter } from '../painter.js';
import { Screen, type Closed, type Mouse, type Program } from '../screen.js';
import type { ExportJob } from '../top/export_job.js';
import { FramePanes } from './frame_panes.js';
import { nsOfIso } from './frame_words.js';
import { Frames } from './frames.js';
import { ListMotion } from './list_motion.js';
import { Questions, reasonOf } from './questions.js';
import { ReportPage } from './report_page.js';

const FOLLOW_MS = 200, LOOK_MS = 1000;
const HELP: readonly HelpSection[] = [
  { title: 'Moving', keys: [['arrows, h j k l', 'rows; branches of the tree; bytes'], ['PgUp PgDn, g G', 'pages; first, last'],
    ['Tab, S-Tab', 'frames, layers, bytes'], ['Enter', 'opens: a frame, a branch'], ['< >, left right', 'scrolls the list sideways'],
    ['z', 'the pane alone, and back']] },
  { title: 'Finding', keys: [['/', 'filter like tcpdump: tcp port 80; Escape ends it'], ['t', 'go to a time or #number'],
    ['F', 'follow what is being kept'], ['m, space', 'mark; n N: next, last marked; U: unmark all'],
    ['T', 'times: since the first, since the one before, of day']] },
  { title: 'All', keys: [['e', 'export the marked, or what is shown; E: what is shown'], ['r', 'the report, and back; R: look again'],
    ['O, C', 'open, close all layers'], ['?', 'this help'], ['q', 'end']] },
];
const REPORT_KEYS = [['Enter', 'frames'], ['R', 'look again'], ['?', 'help'], ['q', 'quit']] as const;
const FRAME_KEYS = [['?', 'help'], ['/', 'filter'], ['t', 'time'], ['F', 'follow'], ['m', 'mark'], ['e', 'export'], ['r', 'report'], ['q', 'quit'],
  ['Tab', 'pane']] as const;

export class Inspector implements Program {
  readonly title: string;
  readonly least = { width: 60, height: 16 };
  private readonly frames: Frames;
  private readonly begin: bigint;
  private readonly panes: FramePanes;
  private readonly report: ReportPage;
  private readonly motion: ListMotion;
  private readonly questions: Questions;
  private screen: Screen | undefined;
  private page: 'report' | 'frames' = 'report';
  private helpFrom = -1;
  private message: { readonly text: string; readonly style: Style } | undefined;
  private job: ExportJob | undefined;
  private readonly timers: NodeJS.Timeout[] = [];

  constructor(pool: Pool) {
    this.title = `framekeep: ${pool.path}`;
    this.frames = new Frames(pool);
    this.begin = nsOfIso(this.frames.report.window.oldest);
    this.panes = new FramePanes(this.frames, this.begin, {
      say: (text, style) => this.say(text, style),
      chose: () => this.motion.forgetPlace(),
      wentBack: () => { if (this.motion.isFollowing) this.setFollowing(false); },
    });
    this.report = new ReportPage(this.frames);
    this.motion = new ListMotion(this.frames, this.panes.list.list);
    this.questions = new Questions(this.frames);
  }

  /** Starts to follow the pool. */
  start(screen: Screen): void {
    this.screen = screen;
    this.motion.start(() => screen.redraw());
    this.timers.push(setInterval(() => this.motion.advance(), FOLLOW_MS), setInterval(() => this.look(), LOOK_MS));
  }

  stop(): void {
    for (const timer of this.timers) clearInterval(timer);
    this.job?.cancel();
    this.motion.stop();
    this.screen = undefined;
  }

  // ---- drawing

  draw(p: Painter): void {
    this.drawTitle(p.part(0, 0, p.width, 1));
    const body = p.part(0, 1, p.width, p.height - 2);
    if (this.page === 'report') this.report.draw(body);
    else this.panes.draw(body);
    this.drawBottom(p.part(0, p.height - 1, p.width, 1));
    if (this.helpFrom >= 0) this.helpFrom = Math.min(this.helpFrom, drawHelp(p, 'Keys', HELP, this.helpFrom));
  }

  private drawTitle(p: Painter): void {
    const { frames } = this, { filter } = frames;
    p.fill('bar');
    const live = frames.live ? ' living' : '', all = thousands(frames.total);
    const gone = frames.all.dropped > 0 ? ` (${thousands(frames.all.dropped)} replaced since)` : '';
    const what = filter === '' ? `${all} frame${frames.total === 1 ? '' : 's'}${gone}`
      : `${filter}: ${thousands(frames.count)} of ${all}${gone}${frames.isFiltering ? '' : ` in ${frames.filterSeconds.toFixed(2)} s`}`;
    const marks = frames.marks.size > 0 ? `, ${thousands(frames.marks.size)} marked` : '';
    const right = `${what}${marks}${this.motion.isFollowing ? ', following' : ''} `;
    const path = frames.pool.path, room = p.width - right.length - live.length - 3;
    p.text(1, 0, path.length <= room ? path : room > 8 ? `…${path.slice(path.length - room + 1)}` : '', 'bar');
    const x = Math.max(0, p.width - right.length);
    p.text(x, 0, right, 'bar');
    if (live !== '' && room > 8) p.text(1 + Math.min(path.length, room) + 1, 0, 'living', 'bar');
  }

  private drawBottom(p: Painter): void {
    if (this.questions.isAsking) this.questions.draw(p);
    else if (this.job !== undefined) drawBar(p, 0, this.job.part, `exporting to ${this.job.file} (Escape ends it)`);
    else if (this.frames.isFiltering) drawBar(p, 0, this.frames.progress, `filtering: ${thousands(this.frames.count)} found (Escape takes the filter away)`);
    else if (this.message !== undefined) p.text(1, 0, fit(this.message.text, p.width - 1), this.message.style);
    else {
      let x = 1;
      for (const [key, what] of this.page === 'report' ? REPORT_KEYS : FRAME_KEYS) {
        if (x + key.length + 1 + what.length > p.width) return;
        x = p.pieces(x, 0, [key, 'focus'], [` ${what}  `, 'dim']);
      }
    }
  }

  // ---- keys and mouse

  key(key: string): void {
    this.message = undefined;
    if (this.questions.isAsking) this.questions.key(key);
    else if (this.helpFrom >= 0) this.helpKey(key);
    else if (!this.commonKey(key)) {
      if (this.page === 'frames') this.panes.key(key);
      else if (!this.report.key(key) && (key === 'enter' || key === 'tab')) this.page = 'frames';
    }
    this.screen?.redraw();
  }

  private helpKey(key: string): void {
    if (key === 'down' || key === 'j') this.helpFrom++;
    else if (key === 'up' || key === 'k') this.helpFrom = Math.max(0, this.helpFrom - 1);
    else this.helpFrom = -1;
  }

  private commonKey(key: string): boolean {
    switch (key) {
      case '?': this.helpFrom = 0; return true;
      case 'q': this.screen?.close(); return true;
      case 'r': this.page = this.page === 'report' ? 'frames' : 'report'; return true;
      case 'R': this.frames.survey(); this.say(`looked at ${new Date().toTimeString().slice(0, 8)}`, 'good'); return true;
      case '/': this.questions.askFilter((text) => this.setFilter(text)); return true;
      case 't': this.questions.askTime(this.begin, (row) => this.goTo(row)); return true;
      case 'F': this.page = 'frames'; this.setFollowing(!this.motion.isFollowing); return true;
      case 'e': this.export(this.frames.marks.size > 0); return true;
      case 'E': this.export(false); return true;
      case 'escape': this.escape(); return true;
      default: return false;
    }
  }

  /** Ends the innermost of what is going on. */
  private escape(): void {
    if (this.job !== undefined) this.job.cancel();
    else if (this.page === 'report') this.page = 'frames';
    else if (this.panes.isAlone) this.panes.isAlone = false;
    else if (this.panes.focus !== 'list') this.panes.focus = 'list';
    else if (this.frames.filter !== '') this.setFilter('');
  }

  mouse(mouse: Mouse): void {
    if (this.questions.isAsking) return;
    if (this.helpFrom >= 0) {
      if (mouse.action === 'down') this.helpFrom = -1;
    } else if (this.page === 'frames') this.panes.mouse(mouse);
    else if (mouse.action === 'wheelup' || mouse.action === 'wheeldown') this.report.scroll(mouse.action === 'wheelup' ? -3 : 3);
    this.screen?.redraw();
  }

  // ---- what keys do

  private say(text: string, style: Style = 'normal'): void { this.message = { text, style }; }

  /** @returns why not */
  private setFilter(text: string): string | undefined {
    try {
      const filter = text === '' ? undefined : compileFilter(text);
      this.motion.keepPlace();
      this.frames.setFilter(text, filter?.match, filter?.reach);
    } catch (thrown) { return reasonOf(thrown); }
    this.page = 'frames';
    this.panes.focus = 'list';
    this.motion.filtered();
    return undefined;
  }

  private goTo(row: number): void {
    this.setFollowing(false);
    this.page = 'frames';
    this.motion.forgetPlace();
    this.panes.list.list.choose(row);
  }

  private setFollowing(on: boolean): void {
    this.motion.follow(on);
    if (on && !this.frames.live) this.say('no switch has this pool: nothing new will come', 'warn');
  }

  private export(marked: boolean): void {
    if ((marked ? this.frames.marks.size : this.frames.count) === 0) { this.say('there is no frame to export', 'warn'); return; }
    if (this.job !== undefined) { this.say('an export is running', 'warn'); return; }
    this.questions.askExport(marked, (job) => { this.job = job; }, (ended) => {
      if (ended === undefined) { this.motion.redrawSometimes(); return; }
      this.job = undefined;
      this.say(ended.text, ended.failed ? 'bad' : 'good');
      this.screen?.redraw();
    });
  }

  private look(): void {
    const before = this.frames.live;
    this.frames.look();
    if (before === this.frames.live) return;
    this.message = undefined;
    this.screen?.redraw();
  }
}

/**
 * Shows a pool on the whole terminal until the user has seen enough, or a signal ends it.
 * @returns why it ended: 'asked', or a signal's name
 * @throws FramekeepError E_TERMINAL where there is none, E_POOL_* where there is no pool
 */
export async function inspectPool(path: string): Promise<Closed> {
  const pool = Pool.open(path);
  try {
    const inspector = new Inspector(pool), screen = new Screen(inspector, `framekeep inspect ${path} prints the report`);
    try {
      inspector.start(screen);
      return await screen.closed;
    } finally {
      inspector.stop();
      screen.close();
    }
  } finally { pool.close(); }
}
