/** A line plot as SVG: no library, no script; colours that read on white and on black, labels at the lines' ends. */
import type { Plot } from './case.js';

const WIDTH = 760, HEIGHT = 400, LEFT = 64, RIGHT = 170, TOP = 44, BOTTOM = 56;
/** Middle grey for what is not data; data in hues that keep 3:1 against white and against #111, and differ in lightness too. */
const GREY = '#808080', COLOURS = ['#2f7ed8', '#d9730d', '#2e9e5b', '#b04cc4', '#8a7a1a', '#d43d5c'];

/** About `count` round numbers from 0 or below to at least `most`. */
export function ticks(most: number, count = 5): number[] {
  const raw = most / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999) ?? 10 * power;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

const short = (x: number): string => x >= 2 ** 30 && x % 2 ** 20 === 0 ? `${x / 2 ** 30}G` : x >= 2 ** 20 && x % 2 ** 20 === 0 ? `${x / 2 ** 20}M`
  : x >= 1e6 ? `${x / 1e6}M` : x >= 1e4 ? `${x / 1e3}k` : String(x);
const escape = (t: string): string => t.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const round = (x: number): string => x.toFixed(1);

export function svg(plot: Plot): string {
  const points = plot.lines.flatMap((l) => l.points), xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b);
  const out = [`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" role="img" aria-label="${escape(plot.title)}">`,
    `<text x="${LEFT}" y="22" fill="${GREY}" font-size="15">${escape(plot.title)}</text>`];
  if (xs.length === 0) return `${out.join('\n')}\n<text x="${LEFT}" y="${HEIGHT / 2}" fill="${GREY}">nothing was measured</text>\n</svg>\n`;
  const yTicks = ticks(Math.max(...points.map(([, y]) => y), 1e-9)), yMost = yTicks.at(-1)!;
  const scale = (x: number): number => plot.x.log ? Math.log(x) : x, from = scale(xs[0]), span = scale(xs.at(-1)!) - from || 1;
  const px = (x: number): number => LEFT + (scale(x) - from) / span * (WIDTH - LEFT - RIGHT), py = (y: number): number => HEIGHT - BOTTOM - y / yMost * (HEIGHT - TOP - BOTTOM);
  for (const y of yTicks) {
    out.push(`<path d="M${LEFT} ${round(py(y))}H${WIDTH - RIGHT}" stroke="${GREY}" stroke-opacity="0.3"/>`,
      `<text x="${LEFT - 8}" y="${round(py(y) + 4)}" fill="${GREY}" text-anchor="end">${short(y)}</text>`);
  }
  let last = -Infinity;
  for (const x of xs) {
    if (px(x) - last < 34) continue;   // no label over another
    last = px(x);
    out.push(`<text x="${round(px(x))}" y="${HEIGHT - BOTTOM + 18}" fill="${GREY}" text-anchor="middle">${short(x)}</text>`);
  }
  out.push(`<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 14}" fill="${GREY}" text-anchor="middle">${escape(plot.x.label)}</text>`,
    `<text transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" fill="${GREY}" text-anchor="middle">${escape(plot.y.label)}</text>`);
  // Labels stand beside the lines' ends, pushed apart where those are close.
  const ends = plot.lines.map((line, i) => ({ i, label: line.label, at: line.points.length > 0 ? py(line.points.at(-1)![1]) : NaN })).filter((e) => !Number.isNaN(e.at)).sort((a, b) => a.at - b.at);
  ends.forEach((end, i) => { if (i > 0) end.at = Math.max(end.at, ends[i - 1].at + 15); });
  plot.lines.forEach((line, i) => {
    const colour = COLOURS[i % COLOURS.length];
    if (line.points.length === 0) return;
    out.push(`<polyline fill="none" stroke="${colour}" stroke-width="2" points="${line.points.map(([x, y]) => `${round(px(x))},${round(py(y))}`).join(' ')}"/>`,
      ...line.points.map(([x, y]) => `<circle cx="${round(px(x))}" cy="${round(py(y))}" r="3" fill="${colour}"/>`));
  });
  for (const { i, label, at } of ends) out.push(`<text x="${WIDTH - RIGHT + 10}" y="${round(at + 4)}" fill="${COLOURS[i % COLOURS.length]}">${escape(label)}</text>`);
  return `${out.join('\n')}\n</svg>\n`;
}
