/**
 * The page of frames: list, layers and bytes, who of them has the focus, where they are on the screen, and what each of their keys does.
 * All three show one frame, the list's chosen one.
 */
import { thousands } from '../../logger/words.js';
import { decodeFrame } from '../decode/index.js';
import type { Style } from '../look.js';
import { fit, type Painter } from '../painter.js';
import type { Mouse } from '../screen.js';
import { CLOCKS, frameLayer } from './frame_words.js';
import type { Frames } from './frames.js';
import { HexPane, HEX_WIDTH } from './hex_pane.js';
import { ListPane } from './list_pane.js';
import { TreePane } from './tree_pane.js';

export type Focus = 'list' | 'tree' | 'hex';
const PANES: readonly Focus[] = ['list', 'tree', 'hex'];
/** From this width on layers and bytes are side by side. */
const WIDE = 150;

/** Whom the panes tell what the user did. */
export interface PanesOwner {
  say(text: string, style: Style): void;
  /** The user has chosen a frame. */
  chose(): void;
  /** The user went towards older frames. */
  wentBack(): void;
}

interface Place { readonly x: number; readonly y: number; readonly width: number; readonly height: number }

export class FramePanes {
  readonly list: ListPane;
  focus: Focus = 'list';
  /** The pane with the focus has the whole page. */
  isAlone = false;
  private readonly frames: Frames;
  private readonly begin: bigint;
  private readonly owner: PanesOwner;
  private readonly tree = new TreePane();
  private readonly hex = new HexPane();
  /** The frame that the tree and the bytes show. */
  private shownId = -1;
  private shownInfo = '';
  private isGone = false;
  private places: Partial<Record<Focus, Place>> = {};

  /** @param begin nanoseconds of the pool's oldest frame, which times are counted from */
  constructor(frames: Frames, begin: bigint, owner: PanesOwner) {
    this.frames = frames;
    this.begin = begin;
    this.owner = owner;
    this.list = new ListPane(frames, begin);
    this.list.list.resize(frames.count);
  }

  // ---- drawing

  draw(p: Painter): void {
    this.places = {};
    this.showChosen();
    const { height, width } = p, isWide = width >= WIDE;
    if (this.isAlone) {
      this.drawPane(p, this.focus);
      return;
    }
    const listHeight = Math.max(4, Math.round(height * (isWide ? 0.55 : 0.46)));
    this.drawPane(p.part(0, 0, width, listHeight), 'list');
    if (isWide) {
      const left = width - HEX_WIDTH - 2;
      this.drawPane(p.part(0, listHeight, left, height - listHeight), 'tree');
      this.drawPane(p.part(left, listHeight, width - left, height - listHeight), 'hex');
      return;
    }
    const treeHeight = Math.round((height - listHeight) * 0.58);
    this.drawPane(p.part(0, listHeight, width, treeHeight), 'tree');
    this.drawPane(p.part(0, listHeight + treeHeight, width, height - listHeight - treeHeight), 'hex');
  }

  private drawPane(p: Painter, name: Focus): void {
    const isFocused = this.focus === name;
    this.places[name] = { x: p.x, y: p.y, width: p.width, height: p.height };
    if (name === 'list') { this.list.draw(p, isFocused); return; }
    p.fill('bar', ' ', 0, 0, p.width, 1);
    p.text(0, 0, isFocused ? '▸' : ' ', 'bar');
    p.text(1, 0, fit(name === 'tree' ? this.shownInfo : this.bytesHead(), p.width - 2), 'bar');
    const body = p.part(name === 'hex' ? 1 : 0, 1, p.width, p.height - 1);
    if (this.isGone && name === 'tree') body.text(2, 0, 'The switch has replaced this frame: it was overtaken before it could be read.', 'warn');
    else if (name === 'tree') this.tree.draw(body, isFocused);
    else this.hex.draw(body, isFocused);
  }

  private bytesHead(): string {
    const { field } = this.tree;
    if (field === undefined || field.length === 0) return 'Bytes';
    const where = field.length > 1 ? `Bytes ${field.at} to ${field.at + field.length - 1}` : `Byte ${field.at}`;
    return `${where}: ${field.name}${field.key === '' ? '' : ` (${field.key})`}`;
  }

  /** Brings the chosen frame into tree and bytes. */
  private showChosen(): void {
    const { frames } = this, { chosen } = this.list.list;
    if (frames.count === 0) {
      if (this.shownId !== -1) { this.tree.show([]); this.hex.show(new Uint8Array(0)); }
      this.shownId = -1;
      this.shownInfo = '';
      this.isGone = false;
      return;
    }
    const row = Math.min(chosen, frames.count - 1), id = frames.id(row);
    if (id === this.shownId) return;
    const { access } = frames, number = frames.number(row);
    this.shownId = id;
    this.isGone = !frames.read(row);
    if (this.isGone) {
      this.tree.show([]);
      this.hex.show(new Uint8Array(0));
      this.shownInfo = `Frame ${thousands(number)}`;
      return;
    }
    // A copy: what `access` has is the next frame's soon.
    const bytes = access.bytes.slice(access.offset, access.offset + access.captured), d = decodeFrame(bytes, 0, bytes.length, access.wire);
    this.tree.show([frameLayer(access, number, id, frames.boots.find((b) => b.id === access.boot), this.begin), ...d.layers]);
    this.hex.show(bytes);
    this.shownInfo = `Frame ${thousands(number)}: ${d.protocol} ${d.info}`;
    this.markField(true);
  }

  private markField(move: boolean): void {
    const field = this.tree.field;
    // The whole frame is not marked: that would say nothing.
    if (field === undefined || field.name.startsWith('Frame ')) this.hex.mark(0, 0, false);
    else this.hex.mark(field.at, field.length, move);
  }

  // ---- keys and mouse

  key(key: string): void {
    switch (key) {
      case 'tab': this.focus = PANES[(PANES.indexOf(this.focus) + 1) % 3]; return;
      case 'S-tab': this.focus = PANES[(PANES.indexOf(this.focus) + 2) % 3]; return;
      case 'z': this.isAlone = !this.isAlone; return;
      case 'm': this.toggleMark(); return;
      case 'n': this.toMark(1); return;
      case 'N': this.toMark(-1); return;
      case 'U': this.owner.say(`${thousands(this.frames.marks.size)} unmarked`, 'good'); this.frames.marks.clear(); return;
      case 'T': this.list.clock = CLOCKS[(CLOCKS.indexOf(this.list.clock) + 1) % CLOCKS.length]; return;
      case '<': this.list.shift = Math.max(0, this.list.shift - 8); return;
      case '>': this.list.shift += 8; return;
      default:
    }
    if (this.focus === 'tree') {
      if (this.tree.key(key)) this.markField(true);
    } else if (this.focus === 'hex') {
      if (this.hex.key(key) === true) this.showByte();
    } else this.listKey(key);
  }

  private listKey(key: string): void {
    const { list } = this.list, before = list.chosen;
    if (key === 'space') this.toggleMark();
    else if (key === 'enter') this.focus = 'tree';
    else if (key === 'left' || key === 'h') this.list.shift = Math.max(0, this.list.shift - 8);
    else if (key === 'right' || key === 'l') this.list.shift += 8;
    else if (key === 'O' || key === 'C') this.tree.key(key);
    else if (list.key(key)) {
      this.owner.chose();
      if (list.chosen < before) this.owner.wentBack();
    }
  }

  mouse(mouse: Mouse): void {
    const hit = PANES.find((name) => {
      const r = this.places[name];
      return r !== undefined && mouse.x >= r.x && mouse.x < r.x + r.width && mouse.y >= r.y && mouse.y < r.y + r.height;
    });
    if (hit === undefined) return;
    if (mouse.action === 'down') this.focus = hit;
    if (hit === 'list') {
      if (this.list.list.mouse(mouse)) this.owner.chose();
      if (mouse.action === 'wheelup') this.owner.wentBack();
    } else if (hit === 'tree') {
      const before = this.tree.list.chosen;
      if (!this.tree.list.mouse(mouse)) return;
      if (mouse.action === 'down' && this.tree.list.chosen === before) this.tree.toggle();
      this.markField(true);
    } else if (this.hex.mouse(mouse) === true) this.showByte();
  }

  private showByte(): void {
    this.tree.showByte(this.hex.cursor);
    this.markField(false);
  }

  // ---- marks

  private toggleMark(): void {
    const { frames } = this, { list } = this.list;
    if (frames.count === 0) return;
    const id = frames.id(list.chosen);
    if (!frames.marks.delete(id)) frames.marks.add(id);
    list.choose(list.chosen + 1);
  }

  private toMark(step: 1 | -1): void {
    const { frames } = this, { list } = this.list;
    if (frames.marks.size > 0) {
      for (let row = list.chosen + step; row >= 0 && row < frames.count; row += step) {
        if (frames.marks.has(frames.id(row))) { list.choose(row); return; }
      }
    }
    this.owner.say(frames.marks.size === 0 ? 'no frame is marked: m marks' : 'no other one in that direction', 'warn');
  }
}
