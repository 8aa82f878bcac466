/** Keeps what repeats from filling a log: of each key so many lines a window, then one line that says how many more there were. */
export class Limiter {
  private readonly most: number;
  private readonly seconds: number;
  private readonly windows = new Map<string, { until: number; said: number; kept: number }>();

  /** @param most  lines of one key in `seconds` */
  constructor(most: number, seconds: number) {
    this.most = most;
    this.seconds = seconds;
  }

  /** @param now seconds. @returns whether this one is to be said */
  allows(key: string, now: number): boolean {
    let window = this.windows.get(key);
    if (window === undefined || now >= window.until && window.kept === 0) this.windows.set(key, window = { until: now + this.seconds, said: 0, kept: 0 });
    if (window.said < this.most) { window.said++; return true; }
    window.kept++;
    return false;
  }

  /** The keys whose window has ended, with how many were not said; each once. `Infinity` ends all. */
  ended(now: number): [key: string, kept: number][] {
    const over: [string, number][] = [];
    for (const [key, { until, kept }] of this.windows) {
      if (now < until) continue;
      this.windows.delete(key);
      if (kept > 0) over.push([key, kept]);
    }
    return over;
  }
}
