/**
 * Says where a pcap-filter expression is wrong. libpcap 1.10's message is often no more than "syntax error"; but its scanner
 * has a message of its own for a malformed Ethernet address, which shows how far the parser read:
 *
 *     compile("tcp and port fe:fe:fe:")       bogus ethernet address fe:fe:fe:   everything before it was accepted
 *     compile("tcp and port port fe:fe:fe:")  syntax error                       the second `port` was not
 *
 * libpcap's parser is LALR(1): it never accepts a token that no valid expression has there. So the first token after which
 * the marker is not reached is the one that is wrong, and if it is always reached, the expression ends too early.
 */
import { FramekeepError } from '../../native/error.js';

/** Compiles an expression; returns libpcap's message if it is bad, undefined if it is good. */
export type Complaint = (expression: string) => string | undefined;

/** Where an expression is wrong: UTF-16 indices, `end` exclusive. `read`: only known to be somewhere up to `end`. */
interface Place { readonly start: number; readonly end: number; readonly read?: boolean }

/** The error for a bad expression: libpcap's words, the expression, and below it a mark where that is known. */
export function syntaxError(expression: string, message: string, complaint: Complaint): FramekeepError {
  const place = placeOf(expression, message, complaint);
  return new FramekeepError('E_FILTER_SYNTAX', `bad filter: ${message}\n${marked(expression, place)}`, 'its syntax: man 7 pcap-filter');
}

const MARKER = 'fe:fe:fe:';

function placeOf(expression: string, message: string, complaint: Complaint): Place | undefined {
  const nul = expression.indexOf('\0');
  if (nul >= 0) return { start: nul, end: nul + 1 };
  const tokens = tokensOf(expression);
  const named = occurrences(expression, tokens, message);
  if (named.length === 1) return named[0];
  const stop = stopOf(expression, tokens, complaint);
  if (named.length > 1) return stop === undefined ? undefined : named.findLast(({ start }) => start <= stop.start);
  if (stop === undefined) return undefined;
  return /syntax error/.test(message) ? stop : stop.start < expression.length ? { start: 0, end: stop.end, read: true } : undefined;
}

/**
 * Pieces of an expression that libpcap's scanner never joins with what follows them; some are several tokens to it
 * (`0:2`), none is a part of one.
 */
function tokensOf(expression: string): Place[] {
  return [...expression.matchAll(/\\[^ !()\n\t]+|\$?[\w.:-]+|&&|\|\||<<|>>|[<>!=]=|\S/gu)]
    .map((match) => ({ start: match.index, end: match.index + match[0].length }));
}

/** The first token that libpcap's parser did not get past; the end of the expression if it read all tokens. */
function stopOf(expression: string, tokens: readonly Place[], complaint: Complaint): Place | undefined {
  const reaches = (count: number): boolean =>
    complaint(`${count === 0 ? '' : expression.slice(0, tokens[count - 1].end)} ${MARKER}`)?.includes(MARKER) ?? false;
  if (expression.includes(MARKER) || !reaches(0)) return undefined;  // an older libpcap with other messages
  let good = 0, bad = tokens.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (reaches(middle)) good = middle; else bad = middle;
  }
  return tokens[good] ?? { start: expression.length, end: expression.length };
}

/** Where the expression has, as whole tokens, what the message quotes or numbers; empty if it names nothing. */
function occurrences(expression: string, tokens: readonly Place[], message: string): Place[] {
  const name = /'([^']+)'|"([^"]+)"|\b(?:number|tag|label|VNI|address|protocol:|host:) ([\w.:-]+)/.exec(message)?.slice(1).find((text) => text !== undefined);
  if (name === undefined) return [];
  const scanned = message.startsWith('bogus');              // then the scanner gave up inside what looks like one token
  const starts = new Set(tokens.map(({ start }) => start)), ends = new Set(tokens.map(({ end }) => end));
  const found: Place[] = [];
  for (let start = expression.indexOf(name); start >= 0; start = expression.indexOf(name, start + 1)) {
    if (starts.has(start) && (scanned || ends.has(start + name.length))) found.push({ start, end: start + name.length });
  }
  return found;
}

/** How much of a long expression is shown on either side of the place. */
const CONTEXT = 60;

/** The expression on one indented line, with a mark below the place; the far ends of a long one left out. */
function marked(expression: string, place: Place | undefined): string {
  const line = expression.replace(/[\s\0-\x1f\x7f]/gu, ' ');
  const from = place === undefined ? 0 : Math.max(0, (place.read === true ? place.end : place.start) - CONTEXT);
  const to = Math.min(line.length, (place?.end ?? CONTEXT) + CONTEXT);
  const shown = `  ${from > 0 ? '…' : ' '}${line.slice(from, to)}${to < line.length ? '…' : ''}`;
  if (place === undefined) return shown;
  const width = (start: number, end: number): number => [...line.slice(start, end)].length;
  return place.read === true
    ? `${shown}\n   ${'~'.repeat(Math.max(0, width(from, place.end) - 1))}^ libpcap read to here`
    : `${shown}\n   ${' '.repeat(width(from, place.start))}^${'~'.repeat(Math.max(0, width(place.start, place.end) - 1))}`;
}
