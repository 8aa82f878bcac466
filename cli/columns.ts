/** A table as text: two spaces before and between the columns, each as wide as its widest cell, numbers to the right. */
export function columns(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const numeric = head.map((_, i) => rows.length > 0 && rows.every((row) => /^[\d.,]*$/.test(row[i]!)));
  return [head, ...rows].map((row) => row.map((cell, i) => '  ' + (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('').trimEnd());
}
