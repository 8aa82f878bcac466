/**
 * A machine that can lose its power: QEMU without hardware virtualisation, with NVDIMMs and disks that are files of the host. What
 * the guest has written to those files is there after a SIGKILL, what it had in its memory is gone.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpio } from './archive.js';
import { programPath, type Kernel } from './packages.js';

/** What every boot has in common. */
export interface Rig {
  readonly kernel: Kernel;
  /** Without a script. */
  readonly initramfs: Buffer;
  /** Read-only: Node and programs; framekeep. */
  readonly disks: readonly [base: string, project: string];
}

export interface Hardware {
  /** Files, sizes as the guest shall see them. */
  readonly nvdimms: readonly string[];
  /** How far the platform takes what is in its caches when the power goes; undefined: it does not say (ACPI NFIT, platform capabilities). */
  readonly persistence: 'mem-ctrl' | 'cpu' | undefined;
  /** Persistent memory as a virtio device. */
  readonly virtioPmem: readonly string[];
  /** More disks, from /dev/vdc on. */
  readonly disks: readonly string[];
  readonly memoryMiB: number;
}

export class Machine {
  readonly directory: string;
  private readonly child: ChildProcess;
  private stderr = '';

  /**
   * @param directory  a new one, for this boot: its ports' files and the kernel's console
   * @param ports  names of serial ports; what the guest writes to /run/port/NAME is in the file `NAME` at once
   */
  constructor(rig: Rig, hardware: Hardware, directory: string, ports: readonly string[], script: string) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
    const initrd = join(directory, 'initramfs');
    writeFileSync(initrd, Buffer.concat([rig.initramfs, cpio([{ path: 'script.sh', content: Buffer.from(script) }])]));
    // unsafe: the host's cache outlives QEMU anyway, so what the guest wrote to a disk is what the disk keeps. A disk that forgets is not emulated.
    const drive = (file: string, id: string, readOnly: boolean): string[] =>
      ['-drive', `file=${file},format=raw,if=none,id=${id}${readOnly ? ',readonly=on' : ',cache=unsafe'}`, '-device', `virtio-blk-pci,drive=${id}`];
    const args = [
      '-accel', 'tcg,thread=multi', '-machine', `pc,nvdimm=on${hardware.persistence === undefined ? '' : `,nvdimm-persistence=${hardware.persistence}`}`, '-cpu', 'max', '-smp', '2',
      '-m', `${hardware.memoryMiB}M,slots=4,maxmem=8G`, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
      '-serial', `file:${join(directory, 'console')}`, '-kernel', rig.kernel.image, '-initrd', initrd, '-append', 'console=ttyS0 quiet panic=-1 mitigations=off no_timer_check',
      ...rig.disks.flatMap((file, i) => drive(file, `root${i}`, true)),
      ...hardware.disks.flatMap((file, i) => drive(file, `disk${i}`, false)),
      ...hardware.nvdimms.flatMap((file, i) => [
        '-object', `memory-backend-file,id=memory${i},share=on,mem-path=${file},size=${statSync(file).size}`, '-device', `nvdimm,id=nvdimm${i},memdev=memory${i}`]),
      ...hardware.virtioPmem.flatMap((file, i) => [
        '-object', `memory-backend-file,id=pmem${i},share=on,mem-path=${file},size=${statSync(file).size}`, '-device', `virtio-pmem-pci,memdev=pmem${i}`]),
      '-device', 'virtio-serial-pci,max_ports=31',
      ...ports.flatMap((name, i) => ['-chardev', `file,id=port${i},path=${join(directory, name)}`, '-device', `virtserialport,chardev=port${i},name=${name}`]),
    ];
    this.child = spawn(programPath('qemu-system-x86_64')!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const withUs = (): void => { this.child.kill('SIGKILL'); };
    process.once('exit', withUs);
    this.child.once('exit', () => { process.off('exit', withUs); });
    this.child.stderr!.on('data', (text) => { this.stderr += text; });
  }

  get running(): boolean { return this.child.exitCode === null && this.child.signalCode === null; }

  /** Until `what` is so. @throws when the machine ends before, or after `seconds` */
  async until(what: string, isSo: () => boolean, seconds: number): Promise<void> {
    const end = Date.now() + seconds * 1000;
    while (!isSo()) {
      if (!this.running) throw new Error(`the machine ended before ${what}; ${this.words()}`);
      if (Date.now() > end) { await this.cutPower(); throw new Error(`not in ${seconds} s: ${what}; ${this.words()}`); }
      await sleep(20);
    }
  }

  /** Until it powers itself off. */
  async finished(seconds: number): Promise<void> {
    const end = Date.now() + seconds * 1000;
    while (this.running) {
      if (Date.now() > end) { await this.cutPower(); throw new Error(`not switched off in ${seconds} s; ${this.words()}`); }
      await sleep(20);
    }
    if (this.child.exitCode !== 0) throw new Error(`QEMU ended with ${this.child.exitCode}; ${this.words()}`);
  }

  /** SIGKILL: no cache of the guest's is written back. */
  async cutPower(): Promise<void> {
    if (!this.running) return;
    const exit = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exit;
  }

  file(port: string): string { return join(this.directory, port); }

  /** What came out of a port so far. */
  text(port: string): string { return existsSync(this.file(port)) ? readFileSync(this.file(port), 'utf8') : ''; }

  bytes(port: string): number { return statSync(this.file(port), { throwIfNoEntry: false })?.size ?? 0; }

  /** The machine's last words, for a message. */
  private words(): string {
    return `it said ${JSON.stringify(this.text('said').split('\n').slice(-6).join('; '))}, its console ${JSON.stringify(this.text('console').slice(-1500))} ${this.stderr}`;
  }
}
