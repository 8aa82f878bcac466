/**
 * What a terminal shows as a small SVG: `svgOf(lines, title)` takes the lines of `tmux capture-pane -e`. Text stays text; frames and
 * blocks become shapes, since fonts disagree on how high and wide they are.
 */
const CELL = 8.43, LINE = 17, SIZE = 14, PAD = 10, BAR = 26;
const BACK = '#16181d', FRONT = '#c9ccd3';
// xterm's first 16, in shades that are read well on a dark ground.
const BASIC = ['#2b2e36', '#e06c75', '#98c379', '#e5c07b', '#61afef', '#c678dd', '#56b6c2', '#abb2bf', '#7f848e', '#f0868e', '#b5e08f', '#f0d399', '#82c4ff', '#dd9bee', '#7fd6e0', '#ffffff'];

function colourOf(n) {
  if (n < 16) return BASIC[n];
  if (n >= 232) return `#${(8 + (n - 232) * 10).toString(16).padStart(2, '0').repeat(3)}`;
  const part = (i) => i === 0 ? 0 : 55 + 40 * i;  // the 6×6×6 cube
  return `#${[Math.floor((n - 16) / 36), Math.floor((n - 16) / 6) % 6, (n - 16) % 6].map((i) => part(i).toString(16).padStart(2, '0')).join('')}`;
}

/** A line's characters, each with its colours. */
function cellsOf(line, state) {
  const cells = [];
  for (let i = 0; i < line.length;) {
    const sgr = /^\x1b\[([0-9;:]*)m/.exec(line.slice(i));
    if (sgr !== null) {
      apply(sgr[1].split(/[;:]/).map(Number), state);
      i += sgr[0].length;
      continue;
    }
    const other = /^\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|.)|^[\x0e\x0f]/.exec(line.slice(i));
    if (other !== null) { i += other[0].length; continue; }
    const ch = String.fromCodePoint(line.codePointAt(i));
    const [front, back] = state.inverse ? [state.back ?? BACK, state.front ?? FRONT] : [state.front ?? FRONT, state.back];
    cells.push({ ch, front, back, bold: state.bold, underline: state.underline });
    i += ch.length;
  }
  return cells;
}

function apply(codes, state) {
  for (let i = 0; i < codes.length; i++) {
    const c = codes[i];
    if (c === 0) Object.assign(state, { front: undefined, back: undefined, bold: false, underline: false, inverse: false });
    else if (c === 1) state.bold = true;
    else if (c === 4) state.underline = true;
    else if (c === 7) state.inverse = true;
    else if (c === 22) state.bold = false;
    else if (c === 24) state.underline = false;
    else if (c === 27) state.inverse = false;
    else if (c >= 30 && c < 38) state.front = BASIC[c - 30];
    else if (c >= 90 && c < 98) state.front = BASIC[c - 82];
    else if (c >= 40 && c < 48) state.back = BASIC[c - 40];
    else if (c >= 100 && c < 108) state.back = BASIC[c - 92];
    else if (c === 39) state.front = undefined;
    else if (c === 49) state.back = undefined;
    else if ((c === 38 || c === 48) && codes[i + 1] === 5) { state[c === 38 ? 'front' : 'back'] = colourOf(codes[i + 2]); i += 2; }
    else if ((c === 38 || c === 48) && codes[i + 1] === 2) { state[c === 38 ? 'front' : 'back'] = `rgb(${codes.slice(i + 2, i + 5)})`; i += 4; }
  }
}

// From the middle of a cell: up, right, down, left.
const LINES = { '─': 'rl', '│': 'ud', '┌': 'rd', '┐': 'ld', '└': 'ur', '┘': 'ul', '├': 'urd', '┤': 'uld', '┬': 'rdl', '┴': 'url', '┼': 'urdl' };
const BLOCKS = { '█': 1, '▓': 0.75, '▒': 0.5, '░': 0.22 };
// Braille: dot n is bit n - 1; by column of dots, from the top.
const DOTS = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
const isBraille = (ch) => ch >= '\u2800' && ch < '\u2900';
const n = (x) => String(Math.round(x * 10) / 10);
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

export function svgOf(lines, title) {
  const state = { front: undefined, back: undefined, bold: false, underline: false, inverse: false };
  const rows = lines.map((line) => cellsOf(line, state)), columns = Math.max(...rows.map((r) => r.length));
  const width = columns * CELL + 2 * PAD, height = rows.length * LINE + 2 * PAD + BAR;
  const x = (column) => PAD + column * CELL, y = (row) => BAR + PAD + row * LINE;
  const grounds = [], blocks = [], texts = [], strokes = new Map(), dots = new Map();
  const stroke = (colour, path) => strokes.set(colour, (strokes.get(colour) ?? '') + path);
  /** Runs of cells that are alike. */
  const runs = (row, same, use) => {
    for (let from = 0, to; from < row.length; from = to) {
      for (to = from + 1; to < row.length && same(row[from], row[to]); to++);
      use(from, to, row[from]);
    }
  };
  rows.forEach((row, r) => {
    runs(row, (a, b) => a.back === b.back, (from, to, { back }) => {
      if (back !== undefined) grounds.push(`<path fill="${back}" d="M${n(x(from))} ${n(y(r))}h${n((to - from) * CELL)}v${LINE}h-${n((to - from) * CELL)}z"/>`);
    });
    runs(row, (a, b) => a.ch === b.ch && a.front === b.front, (from, to, { ch, front }) => {
      if (BLOCKS[ch] !== undefined) blocks.push(`<path fill="${front}" opacity="${BLOCKS[ch]}" d="M${n(x(from))} ${n(y(r) + 2)}h${n((to - from) * CELL)}v${LINE - 4}h-${n((to - from) * CELL)}z"/>`);
      else if (isBraille(ch)) {
        const bits = ch.codePointAt(0) - 0x2800;
        for (let c = from; c < to; c++) {
          DOTS.forEach((column, i) => column.forEach((bit, j) => {
            if ((bits & bit) === 0) return;
            const key = `${front} ${c * 2 + i}`;
            dots.set(key, [...dots.get(key) ?? [], r * 4 + j]);
          }));
        }
      } else if (ch === '─') stroke(front, `M${n(x(from))} ${n(y(r) + LINE / 2)}h${n((to - from) * CELL)}`);
      else if (LINES[ch] !== undefined) {
        for (let c = from; c < to; c++) {
          const [cx, cy] = [x(c) + CELL / 2, y(r) + LINE / 2];
          for (const way of LINES[ch]) stroke(front, `M${n(cx)} ${n(cy)}${way === 'u' ? `v-${LINE / 2}` : way === 'd' ? `v${LINE / 2}` : `h${way === 'l' ? '-' : ''}${n(CELL / 2)}`}`);
        }
      }
    });
    const isText = (cell) => cell.ch !== ' ' && !isBraille(cell.ch) && LINES[cell.ch] === undefined && BLOCKS[cell.ch] === undefined;
    // Blanks between words of one style stay in their run, so that a line is few elements.
    for (let from = 0; from < row.length;) {
      if (!isText(row[from])) { from++; continue; }
      const first = row[from];
      let to = from + 1, last = from;
      for (; to < row.length && to - last < 4; to++) {
        const cell = row[to];
        if (!isText(cell)) { if (cell.ch !== ' ') break; continue; }
        if (cell.front !== first.front || cell.bold !== first.bold || cell.underline !== first.underline) break;
        last = to;
      }
      const text = row.slice(from, last + 1).map((c) => c.ch).join('');
      const attributes = `${first.front === FRONT ? '' : ` fill="${first.front}"`}${first.bold ? ' font-weight="bold"' : ''}${first.underline ? ' text-decoration="underline"' : ''}`;
      texts.push(`<text x="${n(x(from))}" y="${n(y(r) + 13)}" textLength="${n(text.length * CELL)}"${attributes}>${escape(text)}</text>`);
      from = last + 1;
    }
  });
  // A column of dots is a dashed line, downwards from its first dot.
  const dashed = new Map(), pitch = LINE / 4;
  for (const [key, rowsOfDots] of dots) {
    const [colour, column] = key.split(' ');
    let path = dashed.get(colour) ?? '';
    for (let i = 0, j; i < rowsOfDots.length; i = j) {
      for (j = i + 1; rowsOfDots[j] === rowsOfDots[j - 1] + 1; j++);
      path += `M${n(x(column / 2) + CELL / 4)} ${n(y(0) + rowsOfDots[i] * pitch + 1)}v${n((j - i) * pitch - 1)}`;
    }
    dashed.set(colour, path);
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n(width)} ${n(height)}" width="${n(width)}" height="${n(height)}" role="img">
<title>${escape(title)}</title>
<rect width="100%" height="100%" rx="7" fill="${BACK}"/><path fill="#23262d" d="M0 ${BAR}V7a7 7 0 0 1 7-7H${n(width - 7)}a7 7 0 0 1 7 7V${BAR}z"/>
<g font-family="'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace" font-size="${SIZE}" fill="${FRONT}" xml:space="preserve" style="white-space:pre">
<text x="${n(width / 2)}" y="18" text-anchor="middle" font-size="12" fill="#8b909a">${escape(title)}</text>
${grounds.join('\n')}
${blocks.join('\n')}
${[...strokes].map(([colour, path]) => `<path fill="none" stroke="${colour}" d="${path}"/>`).join('\n')}
${[...dashed].map(([colour, path]) => `<path fill="none" stroke="${colour}" stroke-width="2.4" stroke-dasharray="2.25 2" d="${path}"/>`).join('\n')}
${texts.join('\n')}
</g></svg>
`.replace(/\n+/g, '\n');
}
