/** Reading a port's `option=value` list: every kind names what it knows, and the rest is an error. */
import { FramekeepError } from '../../native/index.js';

export class PortOptions {
  private readonly spec: string;
  private readonly values: Readonly<Record<string, string>>;
  private readonly known: string[] = [];

  constructor(spec: string, values: Readonly<Record<string, string>>) {
    this.spec = spec;
    this.values = values;
  }

  text(name: string, otherwise: string): string {
    this.known.push(name);
    return this.values[name] ?? otherwise;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[], otherwise: T): T {
    const value = this.text(name, otherwise);
    if (!(allowed as readonly string[]).includes(value)) throw this.bad(name, value, `one of ${allowed.join(', ')}`);
    return value as T;
  }

  /** A number within bounds, ends included. */
  number(name: string, otherwise: number, least = 0, most = Infinity): number {
    const text = this.text(name, String(otherwise));
    if (text === String(otherwise)) return otherwise;
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < least || value > most) throw this.bad(name, text, `a number from ${least} to ${most === Infinity ? 'any size' : most}`);
    return value;
  }

  /** A flag: `loop` or `loop=yes`. */
  flag(name: string): boolean {
    const value = this.text(name, 'no');
    if (value === '' || value === 'yes' || value === 'true' || value === '1') return true;
    if (value === 'no' || value === 'false' || value === '0') return false;
    throw this.bad(name, value, 'yes or no');
  }

  /** @throws FramekeepError E_PORT_OPTION when something was given that no call asked for */
  done(): void {
    const extra = Object.keys(this.values).find((name) => !this.known.includes(name));
    if (extra === undefined) return;
    throw new FramekeepError('E_PORT_OPTION', `${this.spec}: there is no option '${extra}'`, this.known.length > 0 ? `this kind of port knows: ${this.known.join(', ')}` : 'this kind of port has no options');
  }

  private bad(name: string, value: string, wanted: string): FramekeepError {
    return new FramekeepError('E_PORT_OPTION', `${this.spec}: ${name}=${value} is not possible`, `give ${wanted}`);
  }
}

/** `02:00:00:00:00:01` → six bytes. @throws FramekeepError E_PORT_OPTION */
export function parseMac(text: string, spec: string): Uint8Array {
  const parts = text.split(/[:-]/);
  if (parts.length !== 6 || !parts.every((p) => /^[0-9a-fA-F]{2}$/.test(p))) {
    throw new FramekeepError('E_PORT_OPTION', `${spec}: '${text}' is not a MAC address`, 'write it as 02:00:00:00:00:01');
  }
  return Uint8Array.from(parts, (p) => parseInt(p, 16));
}

/** The same of what the kernel says; six zeros for an interface that has none, or one of another length. */
export function macBytes(text: string): Uint8Array {
  const parts = text.split(':');
  return parts.length === 6 ? Uint8Array.from(parts, (p) => parseInt(p, 16)) : new Uint8Array(6);
}
