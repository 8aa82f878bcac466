/**
 * The recording build's log of what went to the medium, and its faults (native/src/record.h). Only the tests use it, and only with
 * FRAMEKEEP_ADDON naming build/framekeep-record.node: other builds have none of these functions.
 */
import { addon } from './addon.js';

/** Faults that can be switched on, numbered as in native/src/record.h. */
export const FAULTS = [
  'no frame flush', 'no first fence', 'no record flush', 'no second fence', 'early release', 'checksum unchecked', 'sequence first', 'lap not counted',
  'zero is valid', 'twins together', 'no table flush', 'no table fence', 'releases its own', 'recovery clears', 'recovery gives up', 'reads to first hole',
] as const;
export type Fault = (typeof FAULTS)[number];

export type DoorEvent =
  /** Offsets in the watched file. `stream`: past the cache, durable with the next fence. */
  | { readonly kind: 'store'; readonly offset: number; readonly bytes: Uint8Array; readonly stream: boolean }
  | { readonly kind: 'flush' | 'sync'; readonly offset: number; readonly length: number }
  | { readonly kind: 'fence' }
  | { readonly kind: 'mark'; readonly mark: number };

/** From now on, what goes to that file is logged, and what was logged before is forgotten. -1: any mapped file. */
export function doorRecord(fd: number): void {
  if (addon['doorRecord'](fd) < 0) throw new RangeError(`descriptor ${fd} cannot be watched`);
}

/** Notes a number between two events. */
export const doorMark: (mark: number) => void = addon['doorMark'] as any;

/** Switches exactly these faults on. */
export function doorPlant(faults: readonly Fault[]): void {
  addon['doorPlant'](faults.reduce((bits, fault) => bits | 1 << FAULTS.indexOf(fault), 0));
}

/** Ends the recording. @returns its events in order, and how many stores went to other mapped files */
export function doorRecording(): { events: DoorEvent[]; elsewhere: number } {
  const { events, elsewhere }: { events: ArrayBuffer; elsewhere: number } = addon['doorRecording']();
  const view = new DataView(events), all: DoorEvent[] = [];
  for (let at = 0; at < events.byteLength;) {
    const kind = view.getUint32(at, true), length = view.getUint32(at + 4, true), offset = Number(view.getBigUint64(at + 8, true));
    at += 16;
    switch (kind) {
      case 1: case 2:
        all.push({ kind: 'store', offset, bytes: new Uint8Array(events, at, length), stream: kind === 2 });
        at += Math.ceil(length / 8) * 8;
        break;
      case 3: case 5: all.push({ kind: kind === 3 ? 'flush' : 'sync', offset, length }); break;
      case 4: all.push({ kind: 'fence' }); break;
      case 6: all.push({ kind: 'mark', mark: offset }); break;
      default: throw new RangeError(`event ${kind} at byte ${at}`);
    }
  }
  return { events: all, elsewhere };
}
