/** The program's pipes driven as Wireshark drives them: the Freeze button, a switch that ends, a reader that goes away. */
import { once } from 'node:events';
import { setTimeout as after } from 'node:timers/promises';
import test from 'ava';
import { message } from '../cli/extcap/toolbar.js';
import { has } from './needs.js';
import { User, ended, Wireshark } from './wireshark_user.js';
import { eventually } from './patience.js';

const FREEZE = 0, LOG = 1, SET = 1, ADD = 2, ENABLE = 4, DISABLE = 5, STATUS = 6;

if (has('the toolbar as an ordinary user', 'tshark', 'setpriv', 'mkfifo')) {
  test.serial('the Freeze button freezes the switch, and resumes it; what others do shows on it too', async (t) => {
    const user = new User(t);
    await user.up(t, 'lab');
    const shark = new Wireshark(t, user, 'framekeep-lab'), kept = (): { frozen: boolean } => JSON.parse(user.framekeep('keep', 'show', '--json').stdout) as { frozen: boolean };
    await shark.hears((m) => m.control === FREEZE && m.command === ENABLE);
    await shark.hears((m) => m.control === FREEZE && m.command === SET && m.text === 'Freeze');
    await shark.hears((m) => m.control === LOG && m.command === ADD && m.text.includes('following'));
    shark.press(255, 0);  // Wireshark says that it is ready
    shark.press(FREEZE);
    await shark.hears((m) => m.command === STATUS && m.text.includes('frozen'));
    t.true(kept().frozen);
    await shark.hears((m) => m.control === FREEZE && m.command === SET && m.text === 'Resume');
    const counted = (): number => (JSON.parse(user.framekeep('stats', '--json').stdout) as { global: { nextSequence: number } }).global.nextSequence, before = counted();
    await after(300);
    t.is(counted(), before, 'nothing new is kept');
    shark.heard.length = 0;
    // In two pieces, as a pipe may give them.
    const click = message(FREEZE, SET);
    shark.write(click.subarray(0, 3));
    await after(60);
    shark.write(click.subarray(3));
    await shark.hears((m) => m.command === STATUS && m.text.includes('keeping again'));
    t.false(kept().frozen);
    shark.heard.length = 0;
    user.framekeep('keep', 'freeze');
    await shark.hears((m) => m.control === FREEZE && m.command === SET && m.text === 'Resume');
    user.framekeep('keep', 'resume');
    await after(500);
    const bytes = shark.bytes;
    await eventually('frames again', () => shark.bytes > bytes);
    t.is(await ended(shark.child, 'SIGTERM'), 0);
    t.is(shark.stderr, '');
  });

  test.serial('the switch ends: the button goes grey, and the capture goes on with the next run', async (t) => {
    const user = new User(t);
    const first = await user.up(t, 'lab'), shark = new Wireshark(t, user, 'framekeep-lab', '--last', 'all', '--follow');
    await shark.hears((m) => m.control === LOG && m.text.includes('following'));
    shark.heard.length = 0;
    await ended(first, 'SIGKILL');
    await shark.hears((m) => m.control === FREEZE && m.command === DISABLE);
    shark.press(FREEZE);
    await shark.hears((m) => m.command === 8 && m.text.includes("no switch named 'lab' is running") || m.text.includes('nothing to freeze'));
    shark.heard.length = 0;
    await user.up(t, 'lab');
    await shark.hears((m) => m.command === STATUS && m.text.includes('started again'));
    await shark.hears((m) => m.control === FREEZE && m.command === ENABLE);
    shark.press(FREEZE);
    await shark.hears((m) => m.command === STATUS && m.text.includes('frozen'));
    t.is(await ended(shark.child, 'SIGTERM'), 0);
    t.is(shark.stderr, '');
  });

  test.serial('the reader goes away, or stops reading: the program ends, quietly; also with nonsense on its control pipe', async (t) => {
    const user = new User(t);
    await user.up(t, 'lab');
    const gone = new Wireshark(t, user, 'framekeep-lab');
    await gone.hears((m) => m.text.includes('following'));
    gone.stopReading();
    t.deepEqual(await once(gone.child, 'close'), [0, null]);
    t.is(gone.stderr, '');
    const idle = new Wireshark(t, user, 'framekeep-lab', '--extcap-capture-filter', 'ip6 proto 254');  // nothing to write: the pipe itself tells
    await idle.hears((m) => m.text.includes('following'));
    idle.write(Buffer.from('no message at all, and then some more'));
    idle.press(FREEZE);
    await after(300);
    t.is(idle.child.exitCode, null);
    t.false((JSON.parse(user.framekeep('keep', 'show', '--json').stdout) as { frozen: boolean }).frozen, 'after nonsense nothing is obeyed');
    idle.stopReading();
    t.deepEqual(await once(idle.child, 'close'), [0, null]);
    t.is(idle.stderr, '');
  });
}
