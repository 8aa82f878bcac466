/** What is printed while the rig runs, and the verdict. */
export class Report {
  private readonly began = Date.now();
  passed = 0;
  failed = 0;
  /** Figures for docs/promises.md, printed at the end. */
  private readonly figures: string[] = [];

  say(line: string): void {
    console.log(`${((Date.now() - this.began) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  }

  /** One thing that must be so. @param found  what was seen, printed when it is not */
  check(what: string, isSo: boolean, found: unknown = ''): void {
    if (isSo) this.passed++; else this.failed++;
    this.say(isSo ? `  yes  ${what}` : `  NO   ${what}\n${' '.repeat(17)}${typeof found === 'string' ? found : JSON.stringify(found)}`);
  }

  /** A comparison by value. */
  same(what: string, found: unknown, wanted: unknown): void {
    this.check(what, JSON.stringify(found) === JSON.stringify(wanted), `found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
  }

  figure(line: string): void { this.figures.push(line); }

  /** @returns the exit code */
  close(): number {
    for (const line of this.figures) console.log(line);
    console.log(`${((Date.now() - this.began) / 1000).toFixed(0)} s`);
    console.log(`${this.passed} passed, ${this.failed} failed`);
    return this.failed > 0 || this.passed === 0 ? 1 : 0;
  }
}
