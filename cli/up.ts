/** `framekeep up`: a switch in the foreground. */
import { FramekeepError } from '../native/error.js';
import { Switch, type SwitchPort } from '../switch/index.js';
import type { Io } from './io.js';
import type { UpOptions } from './options.js';
import { announce, program, runUntilDone, serveControl } from './running.js';
import { Service } from './service/service.js';

export async function run(options: UpOptions, io: Io, again: () => unknown): Promise<number> {
  if (options.ports.length === 0) {
    throw new FramekeepError('E_USAGE', 'a switch needs ports', 'name some: framekeep up xdp:eth1 tap:vm1; framekeep doctor shows what this machine has');
  }
  if (options.sealed && options.keepPrivileges) throw new FramekeepError('E_USAGE', '--sealed and --keep-privileges exclude each other', 'say one of them');
  void io.interrupted;  // from here on a signal is a request to stop in order
  const service = await Service.open(options, io);
  try {
    const { sw, ports, privileges } = await start(options);
    const running = { ...options, quiet: options.quiet || service.narrates, silent: service.narrates };
    announce(sw, ports, running, io, privileges);
    service.begin(sw, ports, again as () => UpOptions);
    const code = await runUntilDone(sw, running, io);
    if (!options.json && !running.quiet) io.note(`stopped; see what was kept: ${program()} inspect ${options.pool}`);
    return code;
  } catch (error) {
    service.failed(error);
    throw error;
  } finally {
    service.end();
  }
}

/** All ports are there before the first frame is taken. */
async function start(options: UpOptions): Promise<{ sw: Switch; ports: readonly SwitchPort[]; privileges: readonly string[] | undefined }> {
  const sw = await Switch.start({
    name: options.name, pool: options.pool, held: true, create: { bytes: options.poolSize, chunk: options.chunk },
    ...(options.durability !== undefined && { durability: options.durability }),
    keep: options.keep, sample: options.sample, snap: options.snap, keepPorts: options.keepPorts, commitBeforeForward: options.commitBeforeForward,
    logic: options.logic, fdbSize: options.fdbSize, ageing: options.ageing, vlanAware: options.vlanAware, forwardReserved: options.forwardReserved,
    minFrame: options.minFrame, maxFrame: options.maxFrame, workers: options.workers, force: options.force, ports: options.ports,
  });
  let privileges: readonly string[] | undefined;
  try {
    if (!options.keepPrivileges) privileges = sw.dropPrivileges(options.sealed);  // before the first frame of somebody else's
    await sw.begin();
    await serveControl(sw);
  } catch (error) {
    await sw.stop();
    throw error;
  }
  return { sw, ports: sw.opened, privileges };
}
