/** Long lists compared so that what differs can be read: an assertion on the lists themselves prints megabytes. */
import { inspect, isDeepStrictEqual } from 'node:util';

function alike(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((one, i) => alike(one, b[i]));
  return isDeepStrictEqual(a, b);
}
const short = (x: unknown): string => inspect(x, { breakLength: Infinity, maxArrayLength: 48, maxStringLength: 300, depth: 4 });

/** How many there are of how many, and the first that is another; '' where the lists are alike. Bytes are compared as bytes. */
export function difference(got: readonly unknown[], wanted: readonly unknown[]): string {
  const length = Math.max(got.length, wanted.length);
  let at = 0;
  while (at < length && at < got.length && at < wanted.length && alike(got[at], wanted[at])) at++;
  return at === length ? '' : `${got.length} of ${wanted.length}; number ${at} is ${at < got.length ? short(got[at]) : 'missing'}, not ${at < wanted.length ? short(wanted[at]) : 'there'}`;
}
