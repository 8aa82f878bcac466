/** A frame's bytes, in words: a tree of fields, and the columns of a list. Never throws, whatever the bytes are. */
import { CUT, Dissection, MALFORMED, type Field } from './dissection.js';
import { ethernet } from './ethernet.js';

export type { Field } from './dissection.js';

/** All texts are printable ASCII. */
export interface Decoded {
  readonly layers: readonly Field[];
  /** Addresses of the innermost layer that has some. */
  readonly source: string;
  readonly destination: string;
  /** The innermost protocol that is known. */
  readonly protocol: string;
  readonly info: string;
  /** 'cut': ended where the snap length cut the frame; 'malformed': a length in it is more than there is. */
  readonly stopped: '' | 'cut' | 'malformed';
}

/**
 * @param bytes     memory that has the frame, from the destination address on, without FCS
 * @param offset    where it begins there
 * @param captured  how many bytes of it are there
 * @param wire      how long it was
 */
export function decodeFrame(bytes: Uint8Array, offset: number, captured: number, wire: number): Decoded {
  const d = new Dissection(bytes.subarray(offset, offset + captured), wire);
  let stopped: Decoded['stopped'] = '';
  try {
    ethernet(d, 0);
  } catch (stop) {
    if (stop !== CUT && stop !== MALFORMED) throw stop;
    stopped = stop === CUT ? 'cut' : 'malformed';
    // The end of what the layer in hand had: decoding stopped before all of it was understood.
    const last = d.layers.at(-1), name = stop === CUT ? '[Cut]' : '[Malformed]';
    const text = stop === CUT ? `the frame goes on: ${captured} of its ${wire} bytes were kept`
      : `${last?.name ?? 'Ethernet'}: a length says more than there is`;
    d.layers.push({ key: stop === CUT ? '_ws.short' : '_ws.malformed', name, text, at: last?.at ?? 0, length: last?.length ?? 0, value: undefined,
      children: [] });
    if (d.protocol === '') d.protocol = 'Ethernet';
    d.info += `${d.info === '' ? '' : ' '}${stop === CUT ? '[Cut]' : `[Malformed: ${last?.name ?? 'Ethernet'}]`}`;
  }
  return { layers: d.layers, source: d.source, destination: d.destination, protocol: d.protocol, info: d.info, stopped };
}
