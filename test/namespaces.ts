/** Network namespaces for tests: made under names of this process, used by commands and Node children, deleted afterwards. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const face = new URL('../native/index.js', import.meta.url).href;
/** Not this process's number alone: one of that number may have been killed, and have left its namespaces. */
export const OURS = `fk${process.pid.toString(36)}${Math.floor(Math.random() * 46656).toString(36)}`;
let made = 0;

/** What a command may print: a line of text per frame of a whole run, and more. */
const MOST_OUTPUT = 1 << 29;

/** What a command printed on stdout. @throws when it fails, with the newest of what it printed */
function output(name: string, args: readonly string[], what: string): string {
  const { status, signal, error, stdout, stderr } = spawnSync(name, args, { encoding: 'utf8', maxBuffer: MOST_OUTPUT });
  if (status !== 0) throw new Error(`${what}: ${error?.message ?? signal ?? `exit code ${status}`}\n${stderr.slice(-4000)}${stdout.slice(-4000)}`);
  return stdout;
}

/** Runs a shell command; throws with what it printed when it fails. */
export function sh(command: string): string { return output('sh', ['-ec', command], command); }

export class Namespace {
  readonly name: string;

  /** Loopback up; IPv6 off, so that no frame is sent but those that the test sends. */
  constructor() {
    this.name = `${OURS}n${made++}`;
    sh(`ip netns add ${this.name} && ip -n ${this.name} link set lo up && ip netns exec ${this.name} sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1`);
  }

  sh(command: string): string { return output('ip', ['netns', 'exec', this.name, 'sh', '-ec', command], command); }

  /**
   * What a Node child started here makes of `code`: the native face is in scope as `fk`, and `say(value)` is the answer.
   * @param prefix  a command that starts it, as `setpriv …`
   */
  node(code: string, prefix: readonly string[] = []): any {
    return JSON.parse(output('ip', ['netns', 'exec', this.name, ...prefix, ...nodeLine(code)], 'a Node child').trim().split('\n').at(-1)!);
  }

  /** The same, still running once it has said something. */
  async start(code: string): Promise<{ child: ChildProcess; said: any; kill(): Promise<void> }> {
    const child = spawn('ip', ['netns', 'exec', this.name, ...nodeLine(code)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const line = new Promise<string>((resolve, reject) => {
      let said = '';
      const hear = (text: Buffer): void => {
        said += text;
        if (!said.includes('\n')) return;
        child.stdout!.off('data', hear);
        resolve(said.split('\n')[0]);
      };
      child.stdout!.on('data', hear);
      child.once('exit', () => reject(new Error('the child ended without a word')));
    });
    return {
      child, said: JSON.parse(await line),
      async kill() {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        child.kill('SIGKILL');  // `ip netns exec` has become node
        await gone;
      },
    };
  }

  delete(): void { spawnSync('ip', ['netns', 'del', this.name]); }
}

function nodeLine(code: string): string[] {
  const text = `import * as fk from ${JSON.stringify(face)};\nconst say = (x) => console.log(JSON.stringify(x));\n${code}`;
  return [process.execPath, '--input-type=module', '-e', text];
}
