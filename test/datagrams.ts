/** The receiving end of a Unix datagram socket, as a service manager or a journal has it; Python's, since Node has none. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from './patience.js';

const PROGRAM = `
import socket, sys, base64
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
a = sys.argv[1]
s.bind('\\0' + a[1:] if a[0] == '@' else a)
print('', flush=True)
while True: print(base64.b64encode(s.recv(65536)).decode(), flush=True)`;

export class Datagrams {
  readonly heard: Buffer[] = [];
  private readonly child: ChildProcess;

  /** @param address a path, or `@name` in the abstract namespace */
  static async at(t: { teardown(then: () => void): void }, address: string): Promise<Datagrams> {
    const child = spawn('python3', ['-c', PROGRAM, address], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => { child.kill('SIGKILL'); });
    const datagrams = new Datagrams(child);
    await once(child.stdout!, 'data');
    return datagrams;
  }

  private constructor(child: ChildProcess) {
    this.child = child;
    let rest = '';
    this.child.stdout!.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) if (line !== '') this.heard.push(Buffer.from(line, 'base64'));
    });
  }

  texts(): string[] { return this.heard.map(String); }

  /** The first, from now or before, that has this text. */
  with(text: string, from = 0): Promise<string> {
    return eventually(() => `a datagram with ${text}; there were ${JSON.stringify(this.texts())}`, () => this.texts().slice(from).find((d) => d.includes(text)));
  }
}
