/** `kind:name[,option[=value]…]`: how a port is named everywhere. */
import { basename } from 'node:path';
import { FramekeepError } from '../../native/error.js';

export interface PortSpec {
  readonly kind: string;
  readonly name: string;
  readonly options: Readonly<Record<string, string>>;
  /** The whole on one line. */
  readonly text: string;
}

/** What a port is called: its `as=` option, or kind and name, without the path of a file. */
export function labelOf(spec: PortSpec): string {
  return spec.options['as'] ?? `${spec.kind}:${spec.kind === 'replay' ? basename(spec.name) : spec.name}`;
}

// A comma outside quotes that `word=`, or a word up to the next comma or the end, follows. Other commas belong to what they stand in.
const OPTION_COMMA = /,(?=[a-z][a-z0-9-]*(?:[=,]|$))(?=(?:[^"]*"[^"]*")*[^"]*$)/;

/**
 * A value with commas may be quoted, as in `filter="tcp,udp"`; most need not be.
 * @throws FramekeepError E_PORT_SYNTAX
 */
export function parsePortSpec(text: string): PortSpec {
  const bad = (why: string): FramekeepError => new FramekeepError('E_PORT_SYNTAX', `"${text}" ${why}`, 'write kind:name[,option=value], as in xdp:eth1 or replay:a.pcap,speed=2');
  const [head, ...rest] = text.split(OPTION_COMMA);
  const colon = head.indexOf(':');
  if (colon <= 0) throw bad('is no port');
  const options: Record<string, string> = {};
  for (const part of rest) {
    const equals = part.indexOf('='), key = equals < 0 ? part : part.slice(0, equals);
    if (Object.hasOwn(options, key)) throw bad(`says ${key} twice`);
    options[key] = equals < 0 ? '' : part.slice(equals + 1).replace(/^"(.*)"$/s, '$1');
  }
  return { kind: head.slice(0, colon), name: head.slice(colon + 1), options, text };
}
