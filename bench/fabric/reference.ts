/** The C++ loop (reference/fabric.cc), compiled when it changed, run behind the same source with the same traffic. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Contestant, Settings } from '../case.js';
import { compileReference, compilerLacks } from '../reference.js';
import { optionsFor, untilNear } from './measure.js';
import { NEAR_NS, PATIENCE, SLICE_SECONDS, type FabricOptions } from './options.js';
import { mixedTemplates, plainTemplates, traffic } from './traffic.js';

export function reference(name: string, settings: Settings, wanted: Partial<FabricOptions>): Contestant {
  const o = optionsFor(settings, wanted), missing = compilerLacks();
  return {
    name,
    ...(missing !== undefined && { missing }),
    async measure() {
      const program = await compileReference('fabric'), directory = mkdtempSync('/dev/shm/framekeep-bench-');
      try {
        const ports = traffic(o), { templates, lengths } = o.size === 'mixed' ? mixedTemplates() : plainTemplates([o.size]);
        const counts = Uint32Array.from(ports.flatMap((p) => [p.teach, p.heads.length / 16]));
        // One file: u32 ports, u32 templates, teach and heads a port, lengths, heads, templates.
        const file = join(directory, 'traffic');
        writeFileSync(file, Buffer.concat([Uint32Array.of(ports.length, lengths.length), counts, lengths].map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength)).concat(ports.map((p) => Buffer.from(p.heads)), Buffer.from(templates))));
        return await untilNear(settings, [program, file, join(directory, 'pool'), ...[o.poolBytes, o.ringSize, o.macs, ['each', 'first', 'stream'].indexOf(o.writes), o.keep === '' ? 1 : 0, o.flush ? 1 : 0,
          o.warmSeconds, o.seconds, o.cpu, o.sourceCpu, o.most, NEAR_NS, SLICE_SECONDS, PATIENCE].map(String)], o.seconds);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
}
