/** The layers of one frame as a tree whose branches open and close; what was opened stays open from frame to frame. */
import type { Field } from '../decode/index.js';
import { List } from '../list.js';
import type { Painter } from '../painter.js';

interface Row { readonly field: Field; readonly depth: number; readonly path: string; readonly parent: number }

export class TreePane {
  readonly list = new List();
  private rows: Row[] = [];
  private layers: readonly Field[] = [];
  private readonly open = new Set<string>();

  /** The chosen field; undefined where there is no frame. */
  get field(): Field | undefined { return this.rows[this.list.chosen]?.field; }

  /** Shows another frame; the field of the same name stays chosen, if it has one. */
  show(layers: readonly Field[]): void {
    const path = this.rows[this.list.chosen]?.path;
    this.layers = layers;
    this.lay();
    const same = this.rows.findIndex((r) => r.path === path);
    this.list.choose(same < 0 ? 0 : same);
  }

  /** Chooses the smallest field that has the byte, opening what it is in. */
  showByte(at: number): void {
    const way: string[] = [];
    const seek = (fields: readonly Field[], path: string): string | undefined => {
      let best: Field | undefined;
      for (const f of fields) if (at >= f.at && at < f.at + f.length && (best === undefined || f.length <= best.length)) best = f;
      if (best === undefined) return undefined;
      const here = `${path}/${best.name}`, deeper = seek(best.children, here);
      if (deeper !== undefined) way.push(here);
      return deeper ?? here;
    };
    // The first layer is the frame as a whole.
    const found = seek(this.layers.slice(1), '');
    if (found === undefined) return;
    for (const path of way) this.open.add(path);
    this.lay();
    this.list.choose(this.rows.findIndex((r) => r.path === found));
  }

  key(key: string): boolean {
    const row = this.rows[this.list.chosen];
    if (this.list.key(key)) return true;
    switch (key) {
      case 'enter': case 'space': case 'o': this.toggle(); return true;
      case 'right': case 'l': case '+':
        if (row !== undefined && row.field.children.length > 0 && !this.open.has(row.path)) this.toggle();
        else if (row !== undefined && row.field.children.length > 0) this.list.choose(this.list.chosen + 1);
        return true;
      case 'left': case 'h': case '-':
        if (row !== undefined && this.open.has(row.path) && row.field.children.length > 0) this.toggle();
        else if (row !== undefined && row.parent >= 0) this.list.choose(row.parent);
        return true;
      case 'O': this.all(this.layers, '', true); this.lay(); return true;
      case 'C': this.open.clear(); this.lay(); return true;
      default: return false;
    }
  }

  toggle(): void {
    const row = this.rows[this.list.chosen];
    if (row === undefined || row.field.children.length === 0) return;
    if (!this.open.delete(row.path)) this.open.add(row.path);
    this.lay();
  }

  draw(p: Painter, focused: boolean): void {
    this.list.draw(p, focused, (row, index, isChosen) => {
      const { field, depth, path } = this.rows[index], mark = field.children.length === 0 ? ' ' : this.open.has(path) ? '▾' : '▸';
      const bad = field.name.startsWith('[Malformed') || / incorrect$/.test(field.text);
      const x = row.text(depth * 2, 0, `${mark} `, 'accent');
      const next = row.text(x, 0, field.name, bad ? 'bad' : depth === 0 ? 'bold' : 'normal');
      if (field.text !== '') row.text(next, 0, `${depth === 0 ? ', ' : ': '}${field.text}`, bad ? 'bad' : 'normal');
      // Without the focus it is still to be seen what the marked bytes are.
      if (isChosen && !focused) row.restyle(0, 'bold');
    });
  }

  private all(fields: readonly Field[], path: string, into: boolean): void {
    for (const f of fields) {
      const here = `${path}/${f.name}`;
      if (f.children.length > 0) this.open.add(here);
      if (into) this.all(f.children, here, into);
    }
  }

  private lay(): void {
    const rows: Row[] = [];
    const add = (fields: readonly Field[], depth: number, path: string, parent: number): void => {
      for (const field of fields) {
        // Layers of the same name (IP in IP) and options of one kind open together.
        const here = `${path}/${depth === 0 ? field.name.replace(/^Frame \d+$/, 'Frame') : field.name}`, index = rows.length;
        rows.push({ field, depth, path: here, parent });
        if (this.open.has(here)) add(field.children, depth + 1, here, index);
      }
    };
    add(this.layers, 0, '', -1);
    this.rows = rows;
    this.list.resize(rows.length);
  }
}
