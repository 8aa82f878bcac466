/**
 * The inspector: what happened to a pool, and the frames in it, as Wireshark shows them. `Frames` is what it shows, this file who gets
 * which key and where things are on the screen.
 *
 *   | title                                          |
 *   | frames                                         |   below, from 150 columns on side by side:
 *   | ---------------------------------------------- |
 *   | the chosen frame's layers                      |
 *   | ---------------------------------------------- |
 *   | its bytes                                      |
 *   | keys, a question, how far something is         |
 */
import { FramekeepError } from '../../native/error.js';
import { compileFilter } from '../../logger/filter/index.js';
import { Pool } from '../../logger/pool.js';
import { countText } from '../amounts.js';
import { decodeFrame } from '../decode/index.js';
import type { Style } from '../look.js';
import { drawBar, drawHelp, type HelpSection } from '../overlay.js';
import { fit, type Painter } from '../painter.js';
import { Prompt } from '../prompt.js';
import { Screen, type Closed, type Mouse, type Program } from '../screen.js';
import { ExportJob } from '../top/export_job.js';
import { CLOCKS, frameLayer, nsOfIso, parseTarget } from './frame_words.js';
import { Frames } from './frames.js';
import { HexPane, HEX_WIDTH } from './hex_pane.js';
import { ListPane } from './list_pane.js';
import { ReportPage } from './report_page.js';
import { TreePane } from './tree_pane.js';

const FOLLOW_MS = 200, LOOK_MS = 1000, PROGRESS_MS = 80;
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
type Focus = 'list' | 'tree' | 'hex';
const PANES: readonly Focus[] = ['list', 'tree', 'hex'];

export class Inspector implements Program {
  readonly title: string;
  readonly least = { width: 60, height: 16 };
  private readonly frames: Frames;
  private readonly begin: bigint;
  private readonly list: ListPane;
  private readonly tree = new TreePane();
  private readonly hex = new HexPane();
  private readonly report: ReportPage;
  private screen: Screen | undefined;
  private page: 'report' | 'frames' = 'report';
  private focus: Focus = 'list';
  private isAlone = false;
  private helpFrom = -1;
  private prompt: { readonly line: Prompt; readonly entered: (text: string) => string | undefined } | undefined;
  private message: { readonly text: string; readonly style: Style } | undefined;
  private following = false;
  private job: ExportJob | undefined;
  private readonly filters: string[] = [];
  /** The frame that the tree and the bytes show. */
  private shownId = -1;
  private shownInfo = '';
  private isGone = false;
  /** The number of the frame to come back to when a filter is through. */
  private wanted = 0;
  private isWorking = false;
  private drawnAt = 0;
  private places: Partial<Record<Focus, { readonly y: number; readonly height: number; readonly x: number; readonly width: number }>> = {};
  private readonly timers: NodeJS.Timeout[] = [];

  constructor(pool: Pool) {
    this.title = `framekeep: ${pool.path}`;
    this.frames = new Frames(pool);
    this.begin = nsOfIso(this.frames.report.window.oldest);
    this.list = new ListPane(this.frames, this.begin);
    this.list.list.resize(this.frames.count);
    this.report = new ReportPage(this.frames);
  }

  /** Starts to follow the pool. */
  start(screen: Screen): void {
    this.screen = screen;
    this.timers.push(setInterval(() => this.follow(), FOLLOW_MS), setInterval(() => this.look(), LOOK_MS));
  }

  stop(): void {
    for (const timer of this.timers) clearInterval(timer);
    this.job?.cancel();
    this.screen = undefined;
  }

  // ---- drawing

  draw(p: Painter): void {
    this.drawTitle(p.part(0, 0, p.width, 1));
    const body = p.part(0, 1, p.width, p.height - 2);
    if (this.page === 'report') this.report.draw(body);
    else this.drawPanes(body);
    this.drawBottom(p.part(0, p.height - 1, p.width, 1));
    if (this.helpFrom >= 0) this.helpFrom = Math.min(this.helpFrom, drawHelp(p, 'Keys', HELP, this.helpFrom));
  }

  private drawTitle(p: Painter): void {
    const { frames } = this, { filter } = frames;
    p.fill('bar');
    const live = frames.live ? ' living' : '', all = countText(frames.total);
    const gone = frames.all.dropped > 0 ? ` (${countText(frames.all.dropped)} replaced since)` : '';
    const what = filter === '' ? `${all} frame${frames.total === 1 ? '' : 's'}${gone}`
      : `${filter}: ${countText(frames.count)} of ${all}${gone}${frames.isFiltering ? '' : ` in ${frames.filterSeconds.toFixed(2)} s`}`;
    const marks = frames.marks.size > 0 ? `, ${countText(frames.marks.size)} marked` : '', right = `${what}${marks}${this.following ? ', following' : ''} `;
    const path = frames.pool.path, room = p.width - right.length - live.length - 3;
    p.text(1, 0, path.length <= room ? path : room > 8 ? `…${path.slice(path.length - room + 1)}` : '', 'bar');
    const x = Math.max(0, p.width - right.length);
    p.text(x, 0, right, 'bar');
    if (live !== '' && room > 8) p.text(1 + Math.min(path.length, room) + 1, 0, 'living', 'bar');
  }

  private drawPanes(p: Painter): void {
    this.places = {};
    this.showChosen();
    const { height, width } = p, isWide = width >= 150;
    const place = (name: Focus, part: Painter): Painter => {
      this.places[name] = { x: part.x, y: part.y, width: part.width, height: part.height };
      return part;
    };
    if (this.isAlone) {
      if (this.focus === 'list') this.list.draw(place('list', p), true);
      else this.drawPart(place(this.focus, p), this.focus);
      return;
    }
    const listHeight = Math.max(4, Math.round(height * (isWide ? 0.55 : 0.46)));
    this.list.draw(place('list', p.part(0, 0, width, listHeight)), this.focus === 'list');
    if (isWide) {
      const left = width - HEX_WIDTH - 2;
      this.drawPart(place('tree', p.part(0, listHeight, left, height - listHeight)), 'tree');
      this.drawPart(place('hex', p.part(left, listHeight, width - left, height - listHeight)), 'hex');
      return;
    }
    const treeHeight = Math.round((height - listHeight) * 0.58);
    this.drawPart(place('tree', p.part(0, listHeight, width, treeHeight)), 'tree');
    this.drawPart(place('hex', p.part(0, listHeight + treeHeight, width, height - listHeight - treeHeight)), 'hex');
  }

  private drawPart(p: Painter, name: 'tree' | 'hex'): void {
    const isFocused = this.focus === name, field = this.tree.field;
    p.fill('bar', ' ', 0, 0, p.width, 1);
    const head = name === 'tree' ? this.shownInfo : field === undefined || field.length === 0 ? 'Bytes'
      : `${field.length > 1 ? `Bytes ${field.at} to ${field.at + field.length - 1}` : `Byte ${field.at}`}: ${field.name}${field.key === '' ? '' : ` (${field.key})`}`;
    p.text(0, 0, isFocused ? '▸' : ' ', 'bar');
    p.text(1, 0, fit(head, p.width - 2), 'bar');
    const body = p.part(name === 'hex' ? 1 : 0, 1, p.width, p.height - 1);
    if (this.isGone && name === 'tree') body.text(2, 0, 'The switch has replaced this frame: it was overtaken before it could be read.', 'warn');
    else if (name === 'tree') this.tree.draw(body, isFocused);
    else this.hex.draw(body, isFocused);
  }

  private drawBottom(p: Painter): void {
    if (this.prompt !== undefined) { this.prompt.line.draw(p); return; }
    if (this.job !== undefined) { drawBar(p, 0, this.job.part, `exporting to ${this.job.file} (Escape ends it)`); return; }
    if (this.frames.isFiltering) { drawBar(p, 0, this.frames.progress,
      `filtering: ${countText(this.frames.count)} found (Escape takes the filter away)`); return; }
    if (this.message !== undefined) { p.text(1, 0, fit(this.message.text, p.width - 1), this.message.style); return; }
    const keys = this.page === 'report' ? [['Enter', 'frames'], ['R', 'look again'], ['?', 'help'], ['q', 'quit']]
      : [['?', 'help'], ['/', 'filter'], ['t', 'time'], ['F', 'follow'], ['m', 'mark'], ['e', 'export'], ['r', 'report'], ['q', 'quit'], ['Tab', 'pane']];
    let x = 1;
    for (const [key, what] of keys) {
      if (x + key.length + 1 + what.length > p.width) return;
      x = p.pieces(x, 0, [key, 'focus'], [` ${what}  `, 'dim']);
    }
  }

  /** Brings the chosen frame into tree and bytes. */
  private showChosen(): void {
    const { frames } = this, { chosen } = this.list.list;
    if (frames.count === 0) {
      if (this.shownId !== -1) { this.tree.show([]); this.hex.show(new Uint8Array(0)); }
      this.shownId = -1;
      this.shownInfo = '';
      this.isGone = false;
      return;
    }
    const row = Math.min(chosen, frames.count - 1), id = frames.id(row);
    if (id === this.shownId) return;
    const { access } = frames, number = frames.number(row);
    this.shownId = id;
    this.isGone = !frames.read(row);
    if (this.isGone) {
      this.tree.show([]);
      this.hex.show(new Uint8Array(0));
      this.shownInfo = `Frame ${countText(number)}`;
      return;
    }
    // A copy: what `access` has is the next frame's soon.
    const bytes = access.bytes.slice(access.offset, access.offset + access.captured), d = decodeFrame(bytes, 0, bytes.length, access.wire);
    this.tree.show([frameLayer(access, number, id, frames.boots.find((b) => b.id === access.boot), this.begin), ...d.layers]);
    this.hex.show(bytes);
    this.shownInfo = `Frame ${countText(number)}: ${d.protocol} ${d.info}`;
    this.markField(true);
  }

  private markField(move: boolean): void {
    const field = this.tree.field;
    // The whole frame is not marked: that would say nothing.
    if (field === undefined || field.name.startsWith('Frame ')) this.hex.mark(0, 0, false);
    else this.hex.mark(field.at, field.length, move);
  }

  // ---- keys and mouse

  key(key: string): void {
    this.message = undefined;
    if (this.prompt !== undefined) this.promptKey(key);
    else if (this.helpFrom >= 0) this.helpFrom = key === 'down' || key === 'j' ? this.helpFrom + 1 : key === 'up' || key === 'k'
      ? Math.max(0, this.helpFrom - 1) : -1;
    else if (!this.commonKey(key)) {
      if (this.page === 'report') this.reportKey(key);
      else this.paneKey(key);
    }
    this.screen?.redraw();
  }

  private promptKey(key: string): void {
    const { line, entered } = this.prompt!, result = line.key(key);
    if (result === undefined) return;
    const problem = result.kind === 'entered' ? entered(result.text) : undefined;
    if (problem === undefined) this.prompt = undefined;
    else line.problem = problem;
  }

  private commonKey(key: string): boolean {
    switch (key) {
      case '?': this.helpFrom = 0; return true;
      case 'q': this.screen?.close(); return true;
      case 'r': this.page = this.page === 'report' ? 'frames' : 'report'; return true;
      case 'R': this.frames.survey(); this.say(`looked at ${new Date().toTimeString().slice(0, 8)}`, 'good'); return true;
      case '/': this.askFilter(); return true;
      case 't': this.askTime(); return true;
      case 'F': this.page = 'frames'; this.setFollowing(!this.following); return true;
      case 'e': this.askExport(this.frames.marks.size > 0); return true;
      case 'E': this.askExport(false); return true;
      case 'escape':
        if (this.job !== undefined) this.job.cancel();
        else if (this.page === 'report') this.page = 'frames';
        else if (this.isAlone) this.isAlone = false;
        else if (this.focus !== 'list') this.focus = 'list';
        else if (this.frames.filter !== '') this.setFilter('');
        return true;
      default: return false;
    }
  }

  private reportKey(key: string): void {
    if (this.report.key(key)) return;
    if (key === 'enter' || key === 'tab') this.page = 'frames';
  }

  private paneKey(key: string): void {
    switch (key) {
      case 'tab': this.focus = PANES[(PANES.indexOf(this.focus) + 1) % 3]; return;
      case 'S-tab': this.focus = PANES[(PANES.indexOf(this.focus) + 2) % 3]; return;
      case 'z': this.isAlone = !this.isAlone; return;
      case 'm': this.toggleMark(); return;
      case 'n': this.toMark(1); return;
      case 'N': this.toMark(-1); return;
      case 'U': this.say(`${countText(this.frames.marks.size)} unmarked`, 'good'); this.frames.marks.clear(); return;
      case 'T': this.list.clock = CLOCKS[(CLOCKS.indexOf(this.list.clock) + 1) % CLOCKS.length]; return;
      case '<': this.list.shift = Math.max(0, this.list.shift - 8); return;
      case '>': this.list.shift += 8; return;
      default:
    }
    if (this.focus === 'tree') {
      if (this.tree.key(key)) this.markField(true);
    } else if (this.focus === 'hex') {
      if (this.hex.key(key) === true) { this.tree.showByte(this.hex.cursor); this.markField(false); }
    } else this.listKey(key);
  }

  private listKey(key: string): void {
    const { list } = this.list, before = list.chosen;
    if (key === 'space') this.toggleMark();
    else if (key === 'enter') this.focus = 'tree';
    else if (key === 'left' || key === 'h') this.list.shift = Math.max(0, this.list.shift - 8);
    else if (key === 'right' || key === 'l') this.list.shift += 8;
    else if (key === 'O' || key === 'C') this.tree.key(key);
    else if (list.key(key)) {
      this.wanted = 0;
      if (this.following && list.chosen < before) this.setFollowing(false);
    }
  }

  mouse(mouse: Mouse): void {
    if (this.prompt !== undefined) return;
    if (this.helpFrom >= 0) { if (mouse.action === 'down') this.helpFrom = -1; }
    else if (this.page === 'report') { if (mouse.action === 'wheelup' || mouse.action === 'wheeldown') this.report.scroll(mouse.action === 'wheelup'
      ? -3 : 3); }
    else this.paneMouse(mouse);
    this.screen?.redraw();
  }

  private paneMouse(mouse: Mouse): void {
    const hit = PANES.find((name) => {
      const r = this.places[name];
      return r !== undefined && mouse.x >= r.x && mouse.x < r.x + r.width && mouse.y >= r.y && mouse.y < r.y + r.height;
    });
    if (hit === undefined) return;
    if (mouse.action === 'down') this.focus = hit;
    if (hit === 'list') {
      if (this.list.list.mouse(mouse)) this.wanted = 0;
      if (mouse.action === 'wheelup') this.setFollowing(false);
    } else if (hit === 'tree') {
      const before = this.tree.list.chosen;
      if (!this.tree.list.mouse(mouse)) return;
      if (mouse.action === 'down' && this.tree.list.chosen === before) this.tree.toggle();
      this.markField(true);
    } else if (this.hex.mouse(mouse) === true) {
      this.tree.showByte(this.hex.cursor);
      this.markField(false);
    }
  }

  // ---- what keys do

  private say(text: string, style: Style = 'normal'): void { this.message = { text, style }; }

  private toggleMark(): void {
    const { frames } = this, { list } = this.list;
    if (frames.count === 0) return;
    const id = frames.id(list.chosen);
    if (!frames.marks.delete(id)) frames.marks.add(id);
    list.choose(list.chosen + 1);
  }

  private toMark(step: 1 | -1): void {
    const { frames } = this, { list } = this.list;
    if (frames.marks.size > 0) {
      for (let row = list.chosen + step; row >= 0 && row < frames.count; row += step) if (frames.marks.has(frames.id(row))) { list.choose(row); return; }
    }
    this.say(frames.marks.size === 0 ? 'no frame is marked: m marks' : 'no other one in that direction', 'warn');
  }

  private askFilter(): void {
    const line = new Prompt('filter:', this.frames.filter, this.filters);
    this.prompt = { line, entered: (text) => this.setFilter(text) };
  }

  /** @returns why not */
  private setFilter(text: string): string | undefined {
    const { frames } = this;
    try {
      const match = text === '' ? undefined : compileFilter(text).match;
      this.wanted = frames.count > 0 ? frames.number(Math.min(this.list.list.chosen, frames.count - 1)) : this.wanted;
      frames.setFilter(text, match);
    } catch (thrown) {
      if (!(thrown instanceof FramekeepError)) throw thrown;
      return thrown.message.split('\n')[0];
    }
    if (text !== '') this.filters.push(text);
    this.page = 'frames';
    this.focus = 'list';
    this.list.list.resize(frames.count);
    if (text === '' && this.wanted > 0) this.list.list.choose(frames.rowOf(this.wanted));
    this.work();
    return undefined;
  }

  private askTime(): void {
    const line = new Prompt('go to (12.5, -10s, 14:05:09, a date, #number):');
    this.prompt = {
      line,
      entered: (text) => {
        const { frames } = this;
        if (text === '' || frames.count === 0) return undefined;
        const target = parseTarget(text, Number(this.begin), frames.newest);
        if (typeof target === 'string') return target;
        this.setFollowing(false);
        this.page = 'frames';
        this.wanted = 0;
        this.list.list.choose('number' in target ? frames.rowOf(target.number) : frames.rowAt(target.ns));
        return undefined;
      },
    };
  }

  private setFollowing(on: boolean): void {
    this.following = on;
    this.list.list.resize(this.frames.count);
    if (on) this.list.list.choose(this.frames.count - 1);
    if (on && !this.frames.live) this.say('no switch has this pool: nothing new will come', 'warn');
  }

  private askExport(marked: boolean): void {
    const { frames } = this, count = marked ? frames.marks.size : frames.count;
    if (count === 0) { this.say('there is no frame to export', 'warn'); return; }
    if (this.job !== undefined) { this.say('an export is running', 'warn'); return; }
    const name = frames.pool.path.split('/').pop()!.replace(/\.pool$/, ''),
      line = new Prompt(`${countText(count)} ${marked ? 'marked' : 'shown'} frame${count === 1 ? '' : 's'} to:`,
      `${name}${marked ? '-marked' : ''}.pcapng`);
    this.prompt = {
      line,
      entered: (file) => {
        if (file === '') return undefined;
        try {
          // The marks as they are now; what is shown, as it is when it is written.
          this.job = ExportJob.start({ pool: frames.pool.path, file, match: marked ? undefined : frames.match, ids: marked ? new Set(frames.marks)
            : undefined, seconds: undefined }, (ended) => {
            if (ended !== undefined) {
              this.job = undefined;
              this.say(ended.text, ended.failed ? 'bad' : 'good');
              this.screen?.redraw();
            } else this.redrawSometimes();
          });
        } catch (thrown) {
          if (!(thrown instanceof FramekeepError)) throw thrown;
          return thrown.message.split('\n')[0];
        }
        return undefined;
      },
    };
  }

  // ---- what takes its time

  /** Filters on, a slice at a time; between two slices keys are heard. */
  private work(): void {
    if (this.isWorking || this.screen === undefined) return;
    this.isWorking = true;
    const slice = (): void => {
      if (this.screen === undefined) { this.isWorking = false; return; }
      const more = this.frames.work();
      // As soon as what was chosen before can be chosen again, it is; a key of the user's settles it otherwise.
      if (this.wanted > 0 && this.frames.filter !== '') this.list.list.resize(this.frames.count);
      if (more) { this.redrawSometimes(); setImmediate(slice); return; }
      this.isWorking = false;
      this.list.list.resize(this.frames.count);
      if (this.wanted > 0 && this.frames.count > 0) this.list.list.choose(this.frames.rowOf(this.wanted));
      this.wanted = 0;
      if (this.following) this.list.list.choose(this.frames.count - 1);
      this.screen.redraw();
    };
    setImmediate(slice);
  }

  private redrawSometimes(): void {
    const now = performance.now();
    if (now - this.drawnAt < PROGRESS_MS) return;
    this.drawnAt = now;
    this.screen?.redraw();
  }

  private follow(): void {
    const { list } = this.list, { dropped, changed, more } = this.frames.follow();
    if (!changed) return;
    // What is seen stays where it is while the list's beginning goes away.
    list.chosen = Math.max(0, list.chosen - dropped);
    list.top = Math.max(0, list.top - dropped);
    if (this.frames.filter !== '') this.work();
    list.resize(this.frames.count);
    if (this.following) list.choose(this.frames.count - 1);
    if (more) setImmediate(() => { if (this.screen !== undefined) this.follow(); });
    this.screen?.redraw();
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
