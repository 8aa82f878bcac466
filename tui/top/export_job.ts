/** An export that runs while the dashboard goes on: how far it is, how it ended, a way to end it. */
import { closeSync, openSync, unlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { count } from '../../logger/words.js';
import { FramekeepError } from '../../native/error.js';
import { ByteSink, sinkBytes } from '../../logger/capture/index.js';
import { exportPool } from '../../logger/export.js';
import type { FrameMatch } from '../../logger/filter/index.js';
import { Pool } from '../../logger/pool.js';

export interface ExportWish {
  readonly pool: string;
  readonly file: string;
  readonly match: FrameMatch | undefined;
  /** Only frames of these numbers (logger/frame_access.ts); undefined: any. */
  readonly ids?: { has(id: number): boolean } | undefined;
  /** Only frames of that many seconds before the newest; undefined: all. */
  readonly seconds: number | undefined;
}

/** How it ended, in a sentence. */
export interface ExportEnd { readonly text: string; readonly failed: boolean }

export class ExportJob {
  readonly file: string;
  done = 0;
  total = 0;
  bytes = 0;
  private readonly stop = new AbortController();

  private constructor(file: string) { this.file = file; }

  /**
   * @param told  when something changed, and with a sentence at the end
   * @throws FramekeepError E_OUTPUT where a file of that name is there already, or it cannot be made
   */
  static start(wish: ExportWish, told: (ended?: ExportEnd) => void): ExportJob {
    const fd = make(wish.file), job = new ExportJob(wish.file);
    const run = async (): Promise<string> => {
      const pool = Pool.open(wish.pool);
      try {
        const result = await exportPool(pool, (beside) => new ByteSink(fd, wish.file, sinkBytes(fd), beside), {
          match: wish.match, ids: wish.ids, from: wish.seconds === undefined ? undefined : { relative: true, ns: -BigInt(Math.round(wish.seconds * 1e9)) },
          format: /\.pcap$/i.test(wish.file) ? 'pcap' : 'pcapng', signal: job.stop.signal,
          progress: (done, total, bytes) => {
            Object.assign(job, { done, total, bytes });
            told();
          },
        });
        // The file's name last: where the line is too long, that is what is cut.
        return `${count(result.frames, 'frame')}${result.aborted ? ', as far as it came,' : ''} in ${wish.file}`;
      } finally {
        pool.close();
        closeSync(fd);
      }
    };
    run().then((text) => told({ text, failed: false }), (error: Error) => {
      try { unlinkSync(wish.file); } catch { /* somebody else was faster */ }
      told({ text: error.message.split('\n')[0], failed: true });
    });
    return job;
  }

  get part(): number { return this.total > 0 ? this.done / this.total : 0; }

  cancel(): void { this.stop.abort(); }
}

function make(file: string): number {
  try {
    return openSync(file, 'wx', 0o666);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new FramekeepError('E_OUTPUT', code === 'EEXIST' ? `${basename(file)} is there already` : `${basename(file)} cannot be made: ${code}`, 'say another name', { cause });
  }
}
