/**
 * What a case is: contestants that are measured in turn, round after round (A B A B …), so that what else the machine does meets
 * all of them alike; and what their medians say about the case's targets.
 */

/** One measurement: figures by name. */
export type Figures = Readonly<Record<string, number>>;

export interface Contestant {
  readonly name: string;
  /** Why it cannot be measured here: a program that is not installed, a missing privilege. It is then named, and left out. */
  readonly missing?: string;
  measure(): Figures | Promise<Figures>;
}

/** What is asked of the medians. Undefined where a contestant is missing. */
export type Median = (contestant: string, figure: string) => number | undefined;

/** A line of the summary. */
export interface Row {
  readonly what: string;
  /** The figure that is compared with the target: mostly a ratio; undefined (in JSON null) where it could not be had. */
  readonly ratio?: number | undefined | null;
  /** Otherwise the absolute figure is. */
  readonly value?: number;
  readonly unit?: string;
  /** Of `ratio` if there is one, of `value` otherwise. */
  readonly target?: { readonly atLeast?: number; readonly atMost?: number };
  readonly note?: string;
}

export interface Case {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  /** Where it runs: none needs nothing; the others are refused by name where it is missing. */
  readonly needs: readonly string[];
  /** Rounds by default, instead of 3. */
  readonly rounds?: number;
  /** What it takes in a whole run, about; and by itself, where that is something else. */
  readonly minutes: number;
  readonly minutesAlone?: number;
  contestants(settings: Settings): Contestant[] | Promise<Contestant[]>;
  rows(median: Median): Row[];
  /** Plots from the medians, for docs/performance.md. */
  plots?(median: Median): Plot[];
  /** After the last round, also when it was interrupted. */
  end?(): void | Promise<void>;
}

/** A line plot: figures against one parameter. */
export interface Plot {
  /** Name of the file, without .svg. */
  readonly name: string;
  readonly title: string;
  readonly x: { readonly label: string; readonly log?: boolean };
  readonly y: { readonly label: string };
  readonly lines: readonly { readonly label: string; readonly points: readonly (readonly [x: number, y: number])[] }[];
}

/** How the whole run was asked for. */
export interface Settings {
  /** Short and small: to see that it works. The figures say little. */
  readonly quick: boolean;
  /** Every case is measured, none was named. */
  readonly whole: boolean;
  /** What a case takes of its own: `--set soak=3600`. */
  set(name: string, otherwise: number): number;
  /** Says something while a measurement takes long. */
  progress(text: string): void;
}

/** Which rows met their targets: undefined where there is no target, or no figure. */
export function isMet(row: Row): boolean | undefined {
  const figure = 'ratio' in row ? row.ratio : row.value;
  if (row.target === undefined || typeof figure !== 'number' || Number.isNaN(figure)) return undefined;
  return figure >= (row.target.atLeast ?? -Infinity) && figure <= (row.target.atMost ?? Infinity);
}

/** a / b, where there are both, and b is not 0. */
export const over = (a: number | undefined, b: number | undefined): number | undefined => a === undefined || b === undefined || b === 0 ? undefined : a / b;

/** Of what was measured; of an even number the mean of the middle two. */
export function medianOf(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
