/**
 * The configuration file read again, and what of it can change without a restart: ports, what is kept, ageing, the log's level. The
 * rest is named and left as it is. An error in the file, or a new port that cannot be had, changes nothing.
 */
import { compileFilter } from '../../logger/filter/index.js';
import { FramekeepError } from '../../native/index.js';
import type { KeepChange, Switch, SwitchPort } from '../../switch/index.js';
import { asFramekeepError, whatFailed } from '../exit.js';
import type { PortSpec, UpOptions } from '../options.js';
import { COMMANDS, keyOf } from '../table.js';

export interface Reloaded {
  /** Long options that were changed, and ports that were opened and closed. */
  readonly changed: readonly string[];
  readonly opened: readonly SwitchPort[];
  readonly closed: readonly string[];
  /** Long options whose new value waits for a restart. */
  readonly waiting: readonly string[];
  /** What did not work and was no reason to stop: a port of before that is gone and does not come back. */
  readonly failed: readonly string[];
}

const LIVE: ReadonlySet<string> = new Set(['keep', 'sample', 'snap', 'keepPorts', 'ageing', 'logLevel', 'ports']);
/** Only for a pool that is to be made. */
const AT_CREATION: ReadonlySet<string> = new Set(['poolSize', 'chunk']);
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export class Reloader {
  private readonly sw: Switch;
  private readonly again: () => UpOptions;
  private readonly setLogLevel: (level: UpOptions['logLevel']) => void;
  private options: UpOptions;
  /** What the file's ports became, by their text. */
  private readonly ports = new Map<string, { spec: PortSpec; port: SwitchPort }>();

  /**
   * @param options  what the switch runs with
   * @param ports    what became of `options.ports`, in that order
   * @param again    the same options as the file says them now
   */
  constructor(sw: Switch, options: UpOptions, ports: readonly SwitchPort[], again: () => UpOptions, setLogLevel: (level: UpOptions['logLevel']) => void) {
    this.sw = sw;
    this.options = options;
    this.again = again;
    this.setLogLevel = setLogLevel;
    ports.forEach((port, i) => this.ports.set(textOf(options.ports, i), { spec: options.ports[i], port }));
  }

  /** @throws FramekeepError why nothing was changed */
  async reload(): Promise<Reloaded> {
    const next = this.again(), before = this.options;
    if (next.keep !== null && next.keep !== '') compileFilter(next.keep);
    const { opened, closed, failed } = await this.changePorts(next);
    const changed: string[] = [], waiting: string[] = [];
    for (const option of COMMANDS.find((c) => c.name === 'up')!.options) {
      const key = keyOf(option) as keyof UpOptions;
      if (key === 'ports' || AT_CREATION.has(key) || same(before[key], next[key])) continue;
      const list = LIVE.has(key) ? changed : waiting;
      if (!list.includes(option.long)) list.push(option.long);
    }
    const keep: KeepChange = {
      ...(before.keep !== next.keep && { expression: next.keep }), ...(before.sample !== next.sample && { sample: next.sample }),
      ...(before.snap !== next.snap && { snap: next.snap }), ...(!same(before.keepPorts, next.keepPorts) && { ports: next.keepPorts }),
    };
    if (Object.keys(keep).length > 0) await this.sw.changeKeep(keep);
    if (before.ageing !== next.ageing) await this.sw.setAgeing(next.ageing);
    if (before.logLevel !== next.logLevel) this.setLogLevel(next.logLevel);
    this.options = { ...before, ...Object.fromEntries([...LIVE].map((key) => [key, next[key as keyof UpOptions]])) };
    return { changed, opened, closed, waiting, failed };
  }

  private async changePorts(next: UpOptions): Promise<{ opened: SwitchPort[]; closed: string[]; failed: string[] }> {
    const wanted = new Map(next.ports.map((spec, i) => [textOf(next.ports, i), spec]));
    const added: string[] = [], replaced: { text: string; spec: PortSpec }[] = [], failed: string[] = [], opened: SwitchPort[] = [], closed: string[] = [];
    try {
      for (const [text, spec] of wanted) {
        if (this.ports.has(text)) continue;
        // The same interface with other options: it can be had only when its port is gone.
        const old = [...this.ports].find(([t, o]) => !wanted.has(t) && o.spec.kind === spec.kind && o.spec.name === spec.name);
        if (old !== undefined) {
          await this.close(old[0]);
          replaced.push({ text: old[0], spec: old[1].spec });
          closed.push(old[1].port.spec);
        }
        opened.push(await this.open(text, spec));
        added.push(text);
      }
    } catch (error) {
      for (const text of added) await this.close(text);
      let also = '';
      for (const { text, spec } of replaced) await this.open(text, spec).catch((e: unknown) => { also += `; and ${text} did not come back: ${whatFailed(asFramekeepError(e))}`; });
      if (also === '') throw error;
      const { code, remedy } = asFramekeepError(error);
      throw new FramekeepError(code, whatFailed(asFramekeepError(error)) + also, remedy, { cause: error });
    }
    for (const [text, { port }] of [...this.ports]) {
      if (wanted.has(text)) continue;
      await this.close(text);
      closed.push(port.spec);
    }
    // Of the ports that stay in the file, those that have gone meanwhile: their interface may be back.
    for (const [text, { spec, port }] of [...this.ports]) {
      if (this.lives(port)) continue;
      try {
        opened.push(await this.open(text, spec));
      } catch (error) { failed.push(whatFailed(asFramekeepError(error))); }
    }
    return { opened, closed, failed };
  }

  private async open(text: string, spec: PortSpec): Promise<SwitchPort> {
    const port = await this.sw.addPort(spec);
    this.ports.set(text, { spec, port });
    return port;
  }

  private async close(text: string): Promise<void> {
    const { port } = this.ports.get(text)!;
    this.ports.delete(text);
    if (this.lives(port)) await this.sw.removePort(port.id);
  }

  private lives(port: SwitchPort): boolean {
    return this.sw.stats().ports.some((p) => p.id === port.id && p.spec === port.spec && (p.state === 'up' || p.state === 'down'));
  }
}

/** Two ports may have one text, as two `gen:` do: the second is `…#2`. */
function textOf(ports: readonly PortSpec[], i: number): string {
  const { text } = ports[i], earlier = ports.slice(0, i).filter((p) => p.text === text).length;
  return earlier === 0 ? text : `${text}#${earlier + 1}`;
}
