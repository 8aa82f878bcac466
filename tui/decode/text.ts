/** How addresses, names and numbers of a frame are written. What comes off the wire is shown as printable ASCII only: nothing in a frame can steer a terminal. */
export const hex = (x: number, digits: number): string => `0x${x.toString(16).padStart(digits, '0')}`;
export const hex2 = (x: number): string => hex(x, 2), hex4 = (x: number): string => hex(x, 4), hex8 = (x: number): string => hex(x, 8);

const PAIR = Array.from({ length: 256 }, (_, b) => b.toString(16).padStart(2, '0'));
export const pair = (byte: number): string => PAIR[byte];

/** `02:00:00:00:00:01`, for any number of bytes. */
export function macText(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += i === 0 ? PAIR[bytes[i]] : `:${PAIR[bytes[i]]}`;
  return text;
}
export const ipv4Text = (b: Uint8Array): string => `${b[0]}.${b[1]}.${b[2]}.${b[3]}`;

/** RFC 5952: the longest run of zero groups becomes `::`. */
export function ipv6Text(b: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => b[2 * i] << 8 | b[2 * i + 1]);
  if (groups.slice(0, 5).every((g) => g === 0) && groups[5] === 0xffff) return `::ffff:${ipv4Text(b.subarray(12))}`;
  let from = -1, length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) { from = i; length = run; }
  }
  const some = (list: readonly number[]): string => list.map((g) => g.toString(16)).join(':');
  return from < 0 ? some(groups) : `${some(groups.slice(0, from))}::${some(groups.slice(from + length))}`;
}

/** Printable ASCII as it is, everything else as `\xNN`; a backslash as two, so that the text is unambiguous. */
export function printable(bytes: Uint8Array, most = 512): string {
  let text = '';
  for (let i = 0; i < bytes.length && text.length < most; i++) {
    const b = bytes[i];
    text += b === 0x5c ? '\\\\' : b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : `\\x${PAIR[b]}`;
  }
  return text.length >= most ? `${text.slice(0, most)}...` : text;
}
/** Up to the first zero byte. */
export function zeroEnded(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return printable(end < 0 ? bytes : bytes.subarray(0, end));
}
export const hexText = (bytes: Uint8Array, most = 64): string => {
  let text = '';
  for (let i = 0; i < bytes.length && i < most; i++) text += PAIR[bytes[i]];
  return bytes.length > most ? `${text}...` : text;
};
/** `Echo request (8)`. */
export const named = (names: Readonly<Record<number, string>>, other = 'unknown') => (x: number): string => `${names[x] ?? other} (${x})`;
