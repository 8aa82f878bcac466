/** What a person may have meant by a word that is not known. */

/** Levenshtein distance with neighbouring letters swapped counted once (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}

/** The nearest of `known` if at most a third of its letters differ, or one that `word` begins or the other way round. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const plain = word.toLowerCase().replaceAll('_', '-');
  let best: string | undefined;
  let least = Infinity;
  for (const candidate of known) {
    const d = plain.length >= 3 && candidate.startsWith(plain) ? 0.5 : distance(plain, candidate);
    if (d < least && d <= Math.max(1, Math.floor(candidate.length / 3))) { best = candidate; least = d; }
  }
  return best;
}

/** ` (did you mean pool-size?)`, or nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  const found = nearest(word, known);
  return found === undefined ? '' : ` (did you mean ${found}?)`;
}
