/** `sink:NAME`: swallows every frame it is sent. For measuring, and as the far end of a tour without NICs. */
import type { PortContext } from './driver.js';
import type { PortOptions } from './options.js';
import { SoftPort } from './soft.js';

export class SinkPort extends SoftPort {
  readonly note = 'sink';
  constructor(context: PortContext, options: PortOptions) {
    super(context);
    options.done();
  }
  receive(): void { /* it never has a frame to give */ }
}
