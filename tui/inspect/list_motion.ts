/**
 * What moves in the list by itself: a filter that goes through the pool a slice at a time, and a living pool that is followed. Whatever
 * comes and goes, the frame that was chosen stays chosen, until the user chooses another one.
 */
import type { List } from '../list.js';
import type { Frames } from './frames.js';

const PROGRESS_MS = 80;

export class ListMotion {
  /** The newest frame is chosen whenever one comes. */
  isFollowing = false;
  private readonly frames: Frames;
  private readonly list: List;
  private redraw: (() => void) | undefined;
  /** The number of the frame to come back to when a filter is through; 0: none. */
  private wanted = 0;
  private isWorking = false;
  private drawnAt = 0;

  constructor(frames: Frames, list: List) {
    this.frames = frames;
    this.list = list;
  }

  /** From now on slices are done, and told. */
  start(redraw: () => void): void { this.redraw = redraw; }

  stop(): void { this.redraw = undefined; }

  follow(on: boolean): void {
    this.isFollowing = on;
    this.list.resize(this.frames.count);
    if (on) this.list.choose(this.frames.count - 1);
  }

  /** Before a filter changes: the chosen frame is to be found again. */
  keepPlace(): void {
    const { frames } = this;
    if (frames.count > 0) this.wanted = frames.number(Math.min(this.list.chosen, frames.count - 1));
  }

  /** The user chose. */
  forgetPlace(): void { this.wanted = 0; }

  /** After `frames` were given another filter. */
  filtered(): void {
    this.list.resize(this.frames.count);
    if (this.frames.filter === '' && this.wanted > 0) this.list.choose(this.frames.rowOf(this.wanted));
    this.work();
  }

  /** Takes what has come into the pool since. */
  advance(): void {
    const { list } = this, { dropped, changed, more } = this.frames.follow();
    if (!changed) return;
    // What is seen stays where it is while the list's beginning goes away.
    list.chosen = Math.max(0, list.chosen - dropped);
    list.top = Math.max(0, list.top - dropped);
    if (this.frames.filter !== '') this.work();
    list.resize(this.frames.count);
    if (this.isFollowing) list.choose(this.frames.count - 1);
    if (more) setImmediate(() => { if (this.redraw !== undefined) this.advance(); });
    this.redraw?.();
  }

  /** For what tells its progress oftener than a screen can be read. */
  redrawSometimes(): void {
    const now = performance.now();
    if (now - this.drawnAt < PROGRESS_MS) return;
    this.drawnAt = now;
    this.redraw?.();
  }

  /** Filters on, a slice at a time; between two slices keys are heard. */
  private work(): void {
    if (this.isWorking || this.redraw === undefined) return;
    this.isWorking = true;
    const slice = (): void => {
      if (this.redraw === undefined) { this.isWorking = false; return; }
      const more = this.frames.work();
      // As soon as what was chosen before can be chosen again, it is; a key of the user's settles it otherwise.
      if (this.wanted > 0 && this.frames.filter !== '') this.list.resize(this.frames.count);
      if (more) { this.redrawSometimes(); setImmediate(slice); return; }
      this.isWorking = false;
      this.list.resize(this.frames.count);
      if (this.wanted > 0 && this.frames.count > 0) this.list.choose(this.frames.rowOf(this.wanted));
      this.wanted = 0;
      if (this.isFollowing) this.list.choose(this.frames.count - 1);
      this.redraw();
    };
    setImmediate(slice);
  }
}
