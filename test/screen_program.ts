/** A program on tui/'s screen with one of everything: what 80-screen.test.ts drives. `node dist/test/screen_program.js` */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { List } from '../tui/list.js';
import { drawBar, drawHelp } from '../tui/overlay.js';
import { Prompt } from '../tui/prompt.js';
import { fit, type Painter } from '../tui/painter.js';
import { Screen, type Mouse } from '../tui/screen.js';

const list = new List(), said: string[] = [];
list.resize(1_000_000);
let prompt: Prompt | undefined, isHelp = false, filter = '';

function draw(p: Painter): void {
  p.pieces(0, 0, ['normal '], ['dim ', 'dim'], ['good ', 'good'], ['bad ', 'bad'], [`keys: ${said.slice(-6).join(' ')}`]);
  const inside = p.part(0, 1, p.width, p.height - 3).frame('list', true, `${list.chosen}`);
  list.draw(inside, true, (row, index, isChosen) => { row.text(0, 0, `${isChosen ? '▶' : ' '} row ${index}`); });
  drawBar(p, p.height - 2, list.chosen / list.count, 'of the way');
  if (prompt !== undefined) prompt.draw(p.part(0, p.height - 1, p.width, 1));
  else p.text(0, p.height - 1, fit(`filter: ${filter} \u{1f600}\x1b[31m\x07 漢⣿é`, p.width));
  if (isHelp) drawHelp(p, 'help', [{ title: 'moving', keys: [['j, k', 'down, up'], ['q', 'ends']] }]);
}

function key(name: string): void {
  said.push(name);
  if (prompt !== undefined) {
    const result = prompt.key(name);
    if (result?.kind === 'entered') filter = result.text;
    if (result !== undefined) prompt = undefined;
  } else if (name === '?') isHelp = !isHelp;
  else if (name === '/') prompt = new Prompt('filter:', filter);
  else if (name === 'q') screen.close();
  else if (name === 'x') throw new Error('thrown in the middle');
  else if (name === 'a') process.abort();
  else if (name === 's') {
    void screen.lend(async () => { await once(spawn('sh', ['-c', 'echo borrowed; read -r line; echo "read $line"; read -r line'], { stdio: 'inherit' }), 'close'); });
  } else list.key(name);
  screen.redraw();
}

const screen = new Screen({
  title: 'a test', least: { width: 40, height: 10 }, draw, key,
  mouse: (m: Mouse) => { list.mouse(m); screen.redraw(); },
}, 'there is nothing else');
try {
  console.log(`closed: ${await screen.closed}`);
} catch (error) {
  console.log(`failed: ${(error as Error).message}`);
  process.exitCode = 1;
}
