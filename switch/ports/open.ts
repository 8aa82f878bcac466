/** Opens a port in the data-plane thread, by kind. */
import { FramekeepError } from '../../native/index.js';
import type { PortContext, PortDriver } from './driver.js';
import { GenPort } from './gen.js';
import { PortOptions } from './options.js';
import { PipePort } from './pipe.js';
import { ReplayPort } from './replay.js';
import type { PortRequest } from './request.js';
import { SinkPort } from './sink.js';
import { TapPort } from './tap.js';
import { XdpDriver } from './xdp.js';

export const PORT_KINDS = ['xdp', 'tap', 'cap', 'pipe', 'replay', 'gen', 'sink'] as const;

/** @throws FramekeepError E_PORT_KIND, E_PORT_OPTION, and what the kind of port throws */
export function openPort(context: PortContext, request: PortRequest): PortDriver {
  const options = new PortOptions(request.spec, request.options);
  switch (request.kind) {
    case 'xdp': return new XdpDriver(context, request.xdp!);
    case 'tap': return new TapPort(context, options, request.name);
    case 'replay': return new ReplayPort(context, options, request.name, request.filter);
    case 'gen': return new GenPort(context, options, request.spec);
    case 'sink': return new SinkPort(context, options);
    case 'pipe': case 'cap': return new PipePort(context, options, request.pipe!.path, request.kind);
    default: throw new FramekeepError('E_PORT_KIND', `there is no kind of port '${request.kind}'`, `kinds are ${PORT_KINDS.join(', ')}`);
  }
}
