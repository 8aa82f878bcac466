/** What the inspector asks for on its last line: a filter, a time or number to go to, a file to export to. */
import { thousands } from '../../logger/words.js';
import { FramekeepError } from '../../native/error.js';
import type { Painter } from '../painter.js';
import { Prompt } from '../prompt.js';
import { ExportJob, type ExportEnd } from '../top/export_job.js';
import { parseTarget } from './frame_words.js';
import type { Frames } from './frames.js';

interface Question {
  readonly line: Prompt;
  /** @returns why not; the line stays to be mended then */
  readonly entered: (text: string) => string | undefined;
}

/** The first line of an error for the user, as a reason to refuse what was entered; anything else is a fault and goes on. */
export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof FramekeepError)) throw thrown;
  return thrown.message.split('\n')[0];
}

export class Questions {
  private readonly frames: Frames;
  private readonly filters: string[] = [];
  private question: Question | undefined;

  constructor(frames: Frames) { this.frames = frames; }

  get isAsking(): boolean { return this.question !== undefined; }

  draw(p: Painter): void { this.question?.line.draw(p); }

  key(key: string): void {
    const { line, entered } = this.question!, result = line.key(key);
    if (result === undefined) return;
    const problem = result.kind === 'entered' ? entered(result.text) : undefined;
    if (problem === undefined) this.question = undefined;
    else line.problem = problem;
  }

  /** @param take gets the expression; empty: none. It says why not */
  askFilter(take: (text: string) => string | undefined): void {
    const line = new Prompt('filter:', this.frames.filter, this.filters);
    const entered = (text: string): string | undefined => {
      const problem = take(text);
      if (problem === undefined && text !== '') this.filters.push(text);
      return problem;
    };
    this.question = { line, entered };
  }

  /** @param begin nanoseconds that times are counted from; `go` gets the row */
  askTime(begin: bigint, go: (row: number) => void): void {
    const { frames } = this, line = new Prompt('go to (12.5, -10s, 14:05:09, a date, #number):');
    const entered = (text: string): string | undefined => {
      if (text === '' || frames.count === 0) return undefined;
      const target = parseTarget(text, Number(begin), frames.newest);
      if (typeof target === 'string') return target;
      go('number' in target ? frames.rowOf(target.number) : frames.rowAt(target.ns));
      return undefined;
    };
    this.question = { line, entered };
  }

  /**
   * @param marked those, instead of what is shown
   * @param started gets the export that then runs; `told` hears of it, with its end in the end
   */
  askExport(marked: boolean, started: (job: ExportJob) => void, told: (ended: ExportEnd | undefined) => void): void {
    const { frames } = this, count = marked ? frames.marks.size : frames.count;
    const name = frames.pool.path.split('/').pop()!.replace(/\.pool$/, '');
    const line = new Prompt(`${thousands(count)} ${marked ? 'marked' : 'shown'} frame${count === 1 ? '' : 's'} to:`, `${name}${marked ? '-marked' : ''}.pcapng`);
    const entered = (file: string): string | undefined => {
      if (file === '') return undefined;
      try {
        // The marks as they are now; what is shown, as it is when it is written.
        started(ExportJob.start({
          pool: frames.pool.path, file, match: marked ? undefined : frames.match, ids: marked ? new Set(frames.marks) : undefined, seconds: undefined,
        }, told));
      } catch (thrown) { return reasonOf(thrown); }
      return undefined;
    };
    this.question = { line, entered };
  }
}
