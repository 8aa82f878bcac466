/** One machine's life: boots on the same NVDIMMs and disks, between which its power is cut at moments that a seed decides. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compare, numberedFrames, type Comparison } from './frames.js';
import { Machine, type Hardware, type Rig } from './machine.js';
import type { Report } from './report.js';

const MiB = 2 ** 20;
/** Seconds after which a step hangs; on a machine with twenty other things to do one took 120. */
const PATIENCE = 400;

/** What the guest's `result NAME COMMAND…` brought back. */
export class Results {
  private readonly directory: string;
  constructor(directory: string) { this.directory = directory; }

  path(name: string): string { return join(this.directory, name); }
  text(name: string): string { return readFileSync(this.path(name), 'utf8'); }
  errors(name: string): string { return readFileSync(this.path(`${name}.err`), 'utf8'); }
  code(name: string): number { return existsSync(this.path(`${name}.code`)) ? Number(readFileSync(this.path(`${name}.code`), 'utf8')) : NaN; }

  /** @throws with what the command said when it printed no JSON */
  json(name: string): any {
    try {
      return JSON.parse(this.text(name));
    } catch {
      throw new Error(`${name} ended with ${this.code(name)} and said ${this.text(name).slice(0, 500)} ${this.errors(name).slice(0, 1000)}`);
    }
  }
}

export interface TrialOptions {
  readonly name: string;
  readonly rig: Rig;
  readonly report: Report;
  /** Where its files are made. */
  readonly directory: string;
  readonly seed: string;
  /** How many of each, 128 MiB each. */
  readonly nvdimms: number;
  readonly disks: number;
  readonly virtioPmem?: number;
  readonly memoryMiB: number;
}

export class Trial {
  readonly name: string;
  readonly report: Report;
  private readonly options: TrialOptions;
  private readonly hardware: Hardware;
  private readonly directory: string;
  private boots = 0;
  private machine: Machine | undefined;

  constructor(options: TrialOptions) {
    this.name = options.name;
    this.report = options.report;
    this.options = options;
    this.directory = join(options.directory, options.name);
    mkdirSync(this.directory);
    const blank = (what: string, count: number): string[] => Array.from({ length: count }, (_, i) => {
      const file = join(this.directory, `${what}${i}`), fd = openSync(file, 'wx');
      ftruncateSync(fd, 128 * MiB);
      closeSync(fd);
      return file;
    });
    this.hardware = {
      nvdimms: blank('nvdimm', options.nvdimms), disks: blank('disk', options.disks), virtioPmem: blank('pmem', options.virtioPmem ?? 0),
      memoryMiB: options.memoryMiB, persistence: 'mem-ctrl',
    };
  }

  /** @param change  against the first boot's hardware */
  boot(ports: readonly string[], script: string, change: Partial<Hardware> = {}): Machine {
    this.machine = new Machine(this.options.rig, { ...this.hardware, ...change }, join(this.directory, `boot${++this.boots}`), ['said', ...ports], script);
    return this.machine;
  }

  /** At a random moment of the next three seconds after each cable's acknowledgements came to `bytes`. */
  async cutUnderTraffic(machine: Machine, cables: readonly number[], bytes: number): Promise<void> {
    for (const n of cables) await machine.until(`${bytes} bytes acknowledged on cable ${n}`, () => machine.bytes(`acks${n}`) >= bytes, PATIENCE);
    const moment = createHash('sha256').update(`${this.options.seed}/${this.name}/${this.boots}`).digest().readUInt16BE(0) % 3000;
    await sleep(moment);
    await machine.cutPower();
    this.say(`power cut under traffic, ${moment} ms after ${bytes} bytes`);
  }

  /** As soon as it has said that. */
  async cutAfter(machine: Machine, word: string): Promise<void> {
    await machine.until(`it says ${word}`, () => machine.text('said').includes(word), PATIENCE);
    await machine.cutPower();
    this.say(`power cut after '${word}'`);
  }

  /** Waits for the guest's `send PORT`. */
  async results(machine: Machine, port: string, seconds = PATIENCE): Promise<Results> {
    await machine.until(`results on ${port}`, () => machine.text('said').includes(`sent ${port}`), seconds);
    const directory = join(machine.directory, `${port}.results`);
    mkdirSync(directory);
    const { status, stderr } = spawnSync('tar', ['-xf', machine.file(port), '-C', directory], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`the results on ${port} are no archive: ${stderr}`);
    return new Results(directory);
  }

  /** The frames that left on acks`n`, against those of an export. */
  compare(machine: Machine, n: number, exported: string, label: string): Comparison {
    const result = compare(numberedFrames(machine.file(`acks${n}`)), numberedFrames(exported), label);
    const { acknowledged, recovered, missing, oldest } = result;
    this.say(`cable ${n}, run '${label}': ${acknowledged} frames acknowledged, ${recovered} recovered; of the acknowledged, ${
      recovered === 0 ? `all ${missing} are gone` : `${oldest} were overwritten by newer ones, ${missing - oldest} are missing`}`);
    return result;
  }

  /** The switch's first message on its port: what it opened, and what it promises. */
  async started(machine: Machine, n: number): Promise<any> {
    await machine.until(`switch ${n} is open`, () => machine.text(`switch${n}`).includes('\n') || machine.bytes(`errors${n}`) > 0, PATIENCE);
    const [line] = machine.text(`switch${n}`).split('\n');
    if (line === '') throw new Error(`switch ${n} did not open: ${machine.text(`errors${n}`)}`);
    return JSON.parse(line);
  }

  check(what: string, isSo: boolean, found?: unknown): void { this.report.check(`${this.name}: ${what}`, isSo, found); }
  same(what: string, found: unknown, wanted: unknown): void { this.report.same(`${this.name}: ${what}`, found, wanted); }
  say(line: string): void { this.report.say(`${this.name}: ${line}`); }

  /** Whatever happened. */
  async end(): Promise<void> { await this.machine?.cutPower(); }
}

/**
 * The checks that hold for every run after every cut, of what `inspect`, `verify` and `export --boot` said.
 * @param prefix  of those results' names
 * @param mayLack  of the newest acknowledged frames: 0 if they were committed before they were forwarded, else a batch
 */
export function checkRecovered(trial: Trial, about: string, results: Results, prefix: string, boot: number, found: Comparison, mayLack: number): void {
  const report = results.json(`${prefix}inspect`), verified = results.json(`${prefix}verify`), [{ guaranteed, newest }] = report.lanes;
  const run = report.boots.find((b: any) => b.id === boot), given = newest + 1 - run.firstSequence[0];
  const overwritten = Math.max(0, given - guaranteed), least = Math.min(found.acknowledged - mayLack, guaranteed - 64);  // 64: ARP and the like are kept too
  trial.check(`${about}: enough frames were acknowledged to mean something`, found.acknowledged > 300, found);
  trial.check(`${about}: every acknowledged frame within the guarantee is there, byte for byte`,
    found.between === 0 && found.newest <= mayLack && found.oldest <= overwritten && found.recovered >= least, { ...found, guaranteed, given, mayLack });
  trial.check(`${about}: no recovered frame is anything but what was sent`, found.strange === 0, found);
  trial.same(`${about}: inspect finds no damage`, report.findings, []);
  trial.same(`${about}: verify says that it is sound`, [results.code(`${prefix}verify`), verified.sound, verified.frames], [0, true, report.window.frames]);
}
