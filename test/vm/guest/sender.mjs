// Numbered datagrams of changing lengths to each named cable in turn: number (u64, big endian), label, then one byte again and again.
//   sender.mjs LABEL CABLE…
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';

const [label, ...cables] = process.argv.slice(2);
const socket = createSocket('udp4');
for (let n = 0; ; n++) {
  const datagram = Buffer.alloc(24 + (n * 37) % 1400, n & 255);
  datagram.writeBigUInt64BE(BigInt(n));
  datagram.write(label.slice(0, 16).padEnd(16), 8, 'latin1');
  await Promise.all(cables.map((cable) => new Promise((resolve) => { socket.send(datagram, 9999, `10.${cable}.0.2`, resolve); })));
  if (n % 8 === 0) await sleep(1);
}
