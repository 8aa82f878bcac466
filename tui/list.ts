/**
 * A list of any length in a rectangle: it knows how many rows there are and which one is chosen, and asks for those that are to be
 * seen. Rows may come and go while it is shown.
 */
import type { Painter } from './painter.js';
import type { Mouse } from './screen.js';

export class List {
  /** The chosen row; 0 in an empty list. */
  chosen = 0;
  /** The row at the top. */
  top = 0;
  count = 0;
  /** Rows that were drawn last. */
  private height = 1;
  private at = { x: 0, y: 0, width: 0 };

  /** Says how many rows there are now; what was chosen stays chosen, as far as it is there. */
  resize(count: number): void {
    this.count = count;
    this.choose(this.chosen);
  }

  /** Chooses a row, the nearest there is. */
  choose(row: number): void {
    this.chosen = Math.max(0, Math.min(row, this.count - 1));
    this.show();
  }

  /** Draws the rows that fit; the bar at the right says where in the list they are. */
  draw(p: Painter, focused: boolean, row: (p: Painter, index: number, isChosen: boolean) => void): void {
    this.height = Math.max(1, p.height);
    this.at = { x: p.x, y: p.y, width: p.width };
    this.show();
    const long = this.count > p.height, width = long ? p.width - 1 : p.width;
    for (let y = 0; y < p.height && this.top + y < this.count; y++) {
      const index = this.top + y, isChosen = index === this.chosen;
      row(p.part(0, y, width, 1), index, isChosen);
      if (isChosen && focused) p.restyle(y, 'selected', 0, width);
    }
    if (!long || p.height < 1) return;
    const size = Math.max(1, Math.round(p.height * p.height / this.count)), room = p.height - size;
    const from = this.count === p.height ? 0 : Math.round(this.top / (this.count - p.height) * room);
    for (let y = 0; y < p.height; y++) p.text(p.width - 1, y, y >= from && y < from + size ? '█' : '│', 'dim');
  }

  /** Arrows, vi keys, pages, ends. @returns whether the key was one of those */
  key(key: string): boolean {
    const page = Math.max(1, this.height - 1);
    switch (key) {
      case 'up': case 'k': this.choose(this.chosen - 1); return true;
      case 'down': case 'j': this.choose(this.chosen + 1); return true;
      case 'pageup': case 'C-b': this.choose(this.chosen - page); return true;
      case 'pagedown': case 'C-f': this.choose(this.chosen + page); return true;
      case 'C-u': this.choose(this.chosen - (page >> 1)); return true;
      case 'C-d': this.choose(this.chosen + (page >> 1)); return true;
      case 'home': case 'g': this.choose(0); return true;
      case 'end': case 'G': this.choose(this.count - 1); return true;
      default: return false;
    }
  }

  /** The wheel, a click. @returns whether it was on the list */
  mouse({ action, x, y }: Mouse): boolean {
    const row = y - this.at.y;
    if (x < this.at.x || x >= this.at.x + this.at.width || row < 0 || row >= this.height) return false;
    if (action === 'wheelup') this.choose(this.chosen - 3);
    else if (action === 'wheeldown') this.choose(this.chosen + 3);
    else if (action === 'down' && this.top + row < this.count) this.choose(this.top + row);
    return true;
  }

  private show(): void {
    const last = Math.max(0, this.count - this.height);
    if (this.chosen < this.top) this.top = this.chosen;
    else if (this.chosen >= this.top + this.height) this.top = this.chosen - this.height + 1;
    this.top = Math.max(0, Math.min(this.top, last));
  }
}
