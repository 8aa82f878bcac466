/**
 * `framekeep top`: a switch on a whole screen. Once a second it looks at the counters, the pool and a sample of the kept frames, all of
 * them memory that the switch writes anyway; the switch is asked only for what it alone knows. Everything that is shown is bounded, so
 * that it can run for as long as the switch does.
 */
import { basename, resolve } from 'node:path';
import { compileFilter, type FrameMatch } from '../../logger/filter/index.js';
import { clockText, dayText, rateText, spanText } from '../amounts.js';
import { List } from '../list.js';
import type { Style } from '../look.js';
import { drawBar, drawHelp, type HelpSection } from '../overlay.js';
import { fit, type Painter } from '../painter.js';
import { Prompt } from '../prompt.js';
import type { Mouse, Program, Screen } from '../screen.js';
import { controlPath } from '../../switch/run_directory.js';
import { EventLog } from './event_log.js';
import { ExportJob } from './export_job.js';
import { FrameSample, MINUTE } from './frame_sample.js';
import { drawEvents, drawFdb, drawPool, drawRows, sampleText } from './panes.js';
import { PoolWindow } from './pool_window.js';
import { drawGraphs, drawPort, drawPorts, portsHeight } from './ports_pane.js';
import { SwitchLink } from './switch_link.js';
import { SwitchWatch } from './switch_watch.js';

export const PANES = ['ports', 'pool', 'talkers', 'protocols', 'forwarding', 'events'] as const;
export type Pane = (typeof PANES)[number];
/** What the graphs of the chosen port take below the list, with a blank line, where there is room. */
const GRAPH_LINES = 7;
/** Those that share one place on a small screen. */
const TABS: readonly Pane[] = ['talkers', 'protocols', 'forwarding', 'events'];

const HELP: readonly HelpSection[] = [
  { title: 'Moving', keys: [
    ['Tab, Shift-Tab, 1-6', 'another pane'], ['arrows, j k, g G', 'in a pane; PgUp, PgDn, Ctrl-D, Ctrl-U too'], ['Enter, z', 'on the whole screen; of a port, all there is'], ['Esc', 'back'],
  ] },
  { title: 'Doing', keys: [
    ['/', 'count only what a pcap-filter selects'], ['f', 'freeze: keep nothing new, or go on'], ['e', 'export the last minute, as filtered'], ['E', 'export all that the pool has, as filtered'],
    ['i', 'the inspector: the frames themselves'], ['q', 'end; the switch goes on'],
  ] },
  { title: 'Talkers and protocols', keys: [], text: ['are counted in a sample of the kept frames; the line', 'below them says how many were looked at.'] },
];

const EVENT_STYLES: Readonly<Record<string, Style>> = {
  overload: 'bad', 'fdb-full': 'bad', 'port-up': 'good', 'port-added': 'good', 'keeping-resumed': 'good', 'port-finished': 'normal', 'port-removed': 'normal', 'keep-changed': 'normal', 'port-gone': 'bad', 'keeping-stopped': 'bad',
};

interface Message { readonly text: string; readonly style: Style; readonly until: number }
interface Place { readonly pane: Pane; readonly x: number; readonly y: number; readonly width: number; readonly height: number }

export interface DashboardOptions {
  /** The switch's run directory. */
  readonly directory: string;
  /** Opens the inspector on a pool, on the terminal that `screen` lends, and resolves when it has ended. */
  readonly inspect: (screen: Screen, pool: string) => Promise<void>;
}

export class Dashboard implements Program {
  readonly title: string;
  readonly least = { width: 80, height: 24 };
  private readonly watch: SwitchWatch;
  private readonly link: SwitchLink;
  private readonly log = new EventLog();
  private readonly sample = new FrameSample();
  private readonly lists: Readonly<Record<Pane, List>>;
  private readonly options: DashboardOptions;
  private screen!: Screen;
  private timer: NodeJS.Timeout | undefined;
  private window: PoolWindow | undefined;
  private windowProblem = '';
  private focus: Pane = 'ports';
  private tab: Pane = 'talkers';
  private zoomed: Pane | undefined;
  private places: Place[] = [];
  private help = false;
  private helpFrom = 0;
  private prompt: { readonly line: Prompt; readonly entered: (text: string) => boolean } | undefined;
  private filter = '';
  private match: FrameMatch | undefined;
  private readonly filters: string[] = [];
  private message: Message | undefined;
  private job: ExportJob | undefined;

  /** @throws FramekeepError E_COUNTERS, E_PERMISSION */
  constructor(options: DashboardOptions) {
    this.options = options;
    this.watch = new SwitchWatch(options.directory);
    this.title = `framekeep top ${this.watch.snapshot.name}`;
    this.link = new SwitchLink(controlPath(options.directory), (event) => {
      if (event.kind === 'stopped') return;  // the counters say so too
      const text = 'spec' in event ? `${event.spec}: ${event.text}` : event.text;
      // Their texts have counts in them: the same again is the same.
      const key = event.kind === 'overload' ? `overload${event.port}` : ['moves', 'floods', 'fdb-full'].includes(event.kind) ? event.kind : text;
      this.log.add(text, EVENT_STYLES[event.kind] ?? 'warn', key, event.time);
    });
    this.lists = Object.fromEntries(PANES.map((pane) => [pane, new List()])) as Record<Pane, List>;
  }

  /** Begins to look, once the screen is there. */
  begin(screen: Screen): void {
    this.screen = screen;
    this.openPool();
    this.look();
    this.timer = setInterval(() => this.look(), 1000);
  }

  end(): void {
    clearInterval(this.timer);
    this.job?.cancel();
    this.link.close();
    this.window?.close();
    this.watch.close();
  }

  draw(p: Painter): void {
    this.places = [];
    this.header(p.part(0, 0, p.width, 1));
    const body = p.part(0, 1, p.width, p.height - 2);
    if (this.zoomed !== undefined) this.pane(this.zoomed, body, 0, 0, body.width, body.height);
    else if (p.width >= 120 && p.height >= 36) this.wide(body);
    else this.small(body);
    this.footer(p.part(0, p.height - 1, p.width, 1));
    if (this.help) this.helpFrom = Math.min(this.helpFrom, drawHelp(p.part(0, 1, p.width, p.height - 2), 'framekeep top', HELP, this.helpFrom));
  }

  key(key: string): void {
    if (this.prompt !== undefined) this.keyInPrompt(key);
    else if (this.help) {
      if (key === 'down' || key === 'j') this.helpFrom++;
      else if (key === 'up' || key === 'k') this.helpFrom = Math.max(0, this.helpFrom - 1);
      else this.help = false;
    } else this.command(key);
    this.screen.redraw();
  }

  mouse(mouse: Mouse): void {
    const at = this.places.find((p) => mouse.x >= p.x && mouse.x < p.x + p.width && mouse.y >= p.y && mouse.y < p.y + p.height);
    if (this.help) this.help = mouse.action !== 'down';
    else if (at !== undefined && this.prompt === undefined) {
      if (mouse.action === 'down') {
        const row = this.tabAt(at, mouse);
        this.focusOn(row ?? at.pane);
      }
      this.lists[at.pane].mouse(mouse);
    }
    this.screen.redraw();
  }

  private command(key: string): void {
    const at = PANES.indexOf(this.focus), list = this.lists[this.focus];
    switch (key) {
      case 'q': this.screen.close(); return;
      case '?': case 'f1': this.help = true; this.helpFrom = 0; return;
      case 'tab': case 'right': case 'l': this.focusOn(PANES[(at + 1) % PANES.length]); return;
      case 'S-tab': case 'left': case 'h': this.focusOn(PANES[(at + PANES.length - 1) % PANES.length]); return;
      case 'enter': case 'z': this.zoomed = this.zoomed === undefined ? this.focus : undefined; return;
      case 'escape':
        if (this.zoomed !== undefined) this.zoomed = undefined;
        else if (this.job !== undefined) this.job.cancel();
        return;
      case '/': this.askFilter(); return;
      case 'f': void this.freeze(); return;
      case 'e': this.askExport(MINUTE); return;
      case 'E': this.askExport(undefined); return;
      case 'i': void this.inspect(); return;
      default:
        if (/^[1-6]$/.test(key)) this.focusOn(PANES[Number(key) - 1]);
        else list.key(key);
    }
  }

  private focusOn(pane: Pane): void {
    this.focus = pane;
    if (TABS.includes(pane)) this.tab = pane;
    if (this.zoomed !== undefined) this.zoomed = pane;
  }

  // What is known.

  private look(): void {
    if (this.watch.look()) this.openPool();
    const { watch, window } = this;
    if (window === undefined && watch.isAlive) this.openPool();
    this.window?.look(watch.nextOfLanes);
    this.sample.look(watch.isAlive ? Date.now() / 1000 : this.window?.newest ?? 0);
    this.log.compare(watch, this.link.isConnected);
    const sees = this.places.some((place) => place.pane === 'forwarding');
    void this.link.look(watch.isAlive, sees, watch.snapshot.global.fdbEntries).then(() => this.screen.redraw());
    this.screen.redraw();
  }

  private openPool(): void {
    this.window?.close();
    this.window = undefined;
    try {
      this.window = new PoolWindow(this.watch.snapshot.pool);
      this.windowProblem = '';
      this.window.look(this.watch.nextOfLanes);
    } catch (error) {
      this.windowProblem = (error as Error).message.split('\n')[0];
    }
    this.sample.reset(this.window, this.match);
  }

  // What is done.

  private say(text: string, style: Style = 'normal', seconds = 8): void {
    this.message = { text, style, until: performance.now() + seconds * 1000 };
    this.screen.redraw();
  }

  private askFilter(): void {
    this.prompt = {
      line: new Prompt('filter:', this.filter, this.filters),
      entered: (text) => {
        try {
          this.match = text === '' ? undefined : compileFilter(text).match;
        } catch (error) {
          this.prompt!.line.problem = (error as Error).message.split('\n')[0];
          return false;
        }
        this.filter = text;
        if (text !== '' && this.filters.at(-1) !== text) this.filters.push(text);
        if (this.filters.length > 50) this.filters.shift();
        this.sample.reset(this.window, this.match);
        this.sample.look(this.watch.isAlive ? Date.now() / 1000 : this.window?.newest ?? 0);
        return true;
      },
    };
  }

  private askExport(seconds: number | undefined): void {
    if (this.job !== undefined) { this.say('an export is running; Esc ends it', 'warn'); return; }
    if (this.window === undefined) { this.say(this.windowProblem, 'bad'); return; }
    const { name } = this.watch.snapshot, stamp = dayText(Date.now() / 1000).replace(/[-:]/g, '').replace(' ', '-');
    this.prompt = {
      line: new Prompt(`export ${seconds === undefined ? 'all' : 'the last minute'} to:`, `${name}-${stamp}.pcapng`),
      entered: (text) => {
        if (text === '') return true;
        try {
          this.job = ExportJob.start({ pool: this.watch.snapshot.pool, file: resolve(text), match: this.match, seconds }, (ended) => {
            if (ended !== undefined) {
              this.job = undefined;
              this.say(ended.failed ? ended.text : `exported ${ended.text}`, ended.failed ? 'bad' : 'good', 20);
            }
            this.screen.redraw();
          });
          return true;
        } catch (error) {
          this.prompt!.line.problem = (error as Error).message.split('\n')[0];
          return false;
        }
      },
    };
  }

  private keyInPrompt(key: string): void {
    const { line, entered } = this.prompt!, result = line.key(key);
    if (result === undefined) return;
    if (result.kind === 'cancelled' || entered(result.text)) this.prompt = undefined;
  }

  private async freeze(): Promise<void> {
    const frozen = this.watch.snapshot.global.frozen === 0;
    try {
      await this.link.freeze(frozen);
      this.say(frozen ? 'frozen: the pool stays as it is; f again goes on keeping' : 'frames are kept again', frozen ? 'warn' : 'good');
    } catch (error) {
      this.say(`cannot ${frozen ? 'freeze' : 'go on'}: ${(error as Error).message.split('\n')[0]}`, 'bad');
    }
  }

  private async inspect(): Promise<void> {
    try {
      await this.options.inspect(this.screen, this.watch.snapshot.pool);
    } catch (error) {
      this.say((error as Error).message.split('\n')[0], 'bad');
    }
  }

  // What is shown.

  private header(p: Painter): void {
    const { snapshot: s, state } = this.watch, now = Date.now() / 1000;
    p.fill('bar');
    const words: Readonly<Record<typeof state, readonly [string, Style]>> = {
      running: ['running', 'bar'], stuck: ['NOT MOVING', 'marked'], stopped: ['stopped', 'marked'], died: ['DIED', 'marked'],
    };
    const since = this.watch.isAlive ? `for ${spanText(now - s.startSeconds)}` : `at ${dayText(this.watch.lastSeconds)}; this is how it was`;
    let x = p.text(0, 0, ` ${s.name} `, 'bar');
    x = p.text(x, 0, ` ${words[state][0]} `, words[state][1]);
    x = p.text(x, 0, ` ${since}`, 'bar');
    const sum = (key: 'inFrames' | 'inBits'): number => this.watch.ports.reduce((total, port) => total + this.watch.rates(port)[key].ago(0), 0);
    const right = this.watch.isAlive ? `${rateText(sum('inFrames'))} f/s  ${rateText(sum('inBits'))} b/s  pid ${s.pid}  ${clockText(now)} ` : `pid ${s.pid} `;
    if (x + right.length + 1 < p.width) p.text(p.width - right.length, 0, right, 'bar');
  }

  private footer(p: Painter): void {
    if (this.prompt !== undefined) { this.prompt.line.draw(p); return; }
    if (this.job !== undefined) {
      const { job } = this;
      drawBar(p, 0, job.part, `exporting to ${basename(job.file)}, ${(job.bytes / 1e6).toFixed(1)} MB; Esc ends it`);
      return;
    }
    if (this.message !== undefined && performance.now() < this.message.until) {
      p.text(0, 0, fit(this.message.text, p.width), this.message.style);
      return;
    }
    let x = this.filter === '' ? 0 : p.text(0, 0, fit(`filter: ${this.filter}`, Math.min(this.filter.length + 8, p.width >> 1)), 'mark') + 2;
    for (const [key, what] of [['?', 'help'], ['Tab', 'pane'], ['Enter', 'zoom'], ['/', 'filter'], ['f', this.watch.snapshot.global.frozen > 0 ? 'go on' : 'freeze'], ['e', 'export'], ['i', 'inspect'], ['q', 'quit']]) {
      x = p.pieces(x, 0, [key, 'accent'], [` ${what}  `, 'dim']);
    }
  }

  /** Everything at once. */
  private wide(p: Painter): void {
    const list = portsHeight(Math.max(this.watch.ports.length, 2)) + 2, ports = Math.min(list + (p.height >= 40 ? GRAPH_LINES : 0), Math.floor(p.height * 0.45)), pool = 7, events = Math.max(6, Math.floor(p.height * 0.16));
    this.pane('ports', p, 0, 0, p.width, ports);
    this.pane('pool', p, 0, ports, p.width, pool);
    const y = ports + pool, height = p.height - y - events, third = Math.floor(p.width / 3);
    this.pane('talkers', p, 0, y, third, height);
    this.pane('protocols', p, third, y, third, height);
    this.pane('forwarding', p, 2 * third, y, p.width - 2 * third, height);
    this.pane('events', p, 0, y + height, p.width, events);
  }

  /** Ports, pool, and one of the others at a time. */
  private small(p: Painter): void {
    const room = p.height - 5 - 7, ports = Math.max(5, Math.min(portsHeight(Math.max(this.watch.ports.length, 1)) + 2, room));
    this.pane('ports', p, 0, 0, p.width, ports);
    this.pane('pool', p, 0, ports, p.width, 5);
    this.pane(this.tab, p, 0, ports + 5, p.width, p.height - ports - 5, true);
  }

  private pane(pane: Pane, p: Painter, x: number, y: number, width: number, height: number, tabbed = false): void {
    const box = p.part(x, y, width, height), focused = this.focus === pane, list = this.lists[pane];
    this.places.push({ pane, x: box.x, y: box.y, width: box.width, height: box.height });
    const inside = box.frame(tabbed ? '' : this.titleOf(pane), focused);
    if (tabbed) this.tabs(box, focused);
    const { watch, sample } = this, note = sampleText(sample, watch.isAlive, this.filter, inside.width);
    if (pane === 'pool') drawPool(inside, watch, this.window, this.windowProblem);
    else if (pane === 'talkers') drawRows(inside, list, sample.talkers, 'talker', focused, note);
    else if (pane === 'protocols') drawRows(inside, list, sample.protocols, 'protocol', focused, note);
    else if (pane === 'forwarding') drawFdb(inside, list, this.link.fdb, focused, (id) => watch.snapshot.ports.find((port) => port.id === id)?.spec ?? `port ${id}`);
    else if (pane === 'events') drawEvents(inside, list, this.log, focused);
    else {
      const chosen = watch.ports[list.chosen];
      if (this.zoomed === 'ports' && chosen !== undefined && inside.height >= 16) {
        const rows = Math.min(watch.ports.length + 1, 8, inside.height - 14);
        drawPorts(inside.part(0, 0, inside.width, rows), list, watch, focused);
        drawPort(inside.part(0, rows + 1, inside.width, inside.height - rows - 1), watch, chosen);
      } else if (this.zoomed === undefined && chosen !== undefined && inside.height >= 4 + GRAPH_LINES && p.height >= 40) {
        drawPorts(inside.part(0, 0, inside.width, inside.height - GRAPH_LINES), list, watch, focused);
        drawGraphs(inside.part(0, inside.height - GRAPH_LINES + 1, inside.width, GRAPH_LINES - 1), watch, chosen, GRAPH_LINES - 2);
      } else drawPorts(inside, list, watch, focused);
    }
  }

  private titleOf(pane: Pane): string {
    const number = PANES.indexOf(pane) + 1, { snapshot } = this.watch;
    if (pane === 'ports') return `${number} ports`;
    if (pane === 'pool') return `${number} pool`;
    if (pane === 'forwarding') return `${number} forwarding table, ${snapshot.global.fdbEntries}`;
    return pane === 'events' ? `${number} events` : `${number} ${pane}, ${this.watch.isAlive ? 'the' : 'its'} last minute`;
  }

  private tabs(p: Painter, focused: boolean): void {
    let x = 2;
    for (const pane of TABS) x = p.text(x, 0, ` ${PANES.indexOf(pane) + 1} ${pane} `, pane === this.tab ? focused ? 'focus' : 'title' : 'dim') + 1;
  }

  /** The tab that was clicked. */
  private tabAt(place: Place, mouse: Mouse): Pane | undefined {
    if (mouse.y !== place.y || !TABS.includes(place.pane) || this.zoomed !== undefined || this.places.length > 3) return undefined;
    let x = place.x + 2;
    for (const pane of TABS) {
      const width = pane.length + 4;
      if (mouse.x >= x && mouse.x < x + width) return pane;
      x += width + 1;
    }
    return undefined;
  }
}
