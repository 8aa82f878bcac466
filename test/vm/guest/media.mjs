// Media, asked through framekeep's own native layer.
//   media.mjs umem INTERFACE PATH…   can it be mapped with MAP_SYNC, be msynced, be a UMEM of AF_XDP: JSON
//   media.mjs store PATH sync|plain  4 MiB of new, unwritten blocks; stores into each page, flushes, fences, and says so
//   media.mjs scribble PATH          something that is no pool, at the beginning of a device
//   media.mjs look PATH…             how many of those pages are as they were stored: JSON
import { closeSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { bestFlush, detectMedium, doorFence, doorFlush, doorStore, interfaceInfo, mapFile, reserve, unmap, xdpClose, xdpSocket } from '/framekeep/dist/native/index.js';

const BYTES = 4 << 20, PAGE = 4096;
const pattern = (page) => Buffer.from(`page ${page} is durable `.padEnd(256, String(page % 10)));
const [command, ...args] = process.argv.slice(2);
const errno = (error) => /\b(E[A-Z]{3,})\b(?!_)(?=\)|$)/.exec(error.message)?.[1] ?? error.message;
const tried = (what) => { try { what(); return 'yes'; } catch (error) { return errno(error); } };

function open(path) {
  const isDevice = path.startsWith('/dev/dax'), fd = openSync(path, isDevice ? 'r+' : 'w+');
  if (!isDevice && reserve(fd, BYTES) < 0) throw new Error(`${path}: no space`);
  return fd;
}

function umem(name, path) {
  const fd = open(path), { kind, zeroCopy } = detectMedium(fd, path);
  const sync = tried(() => unmap(mapFile(fd, BYTES, { writable: true, sync: true })));
  const mapping = mapFile(fd, BYTES, { writable: true });
  const msync = tried(() => doorFlush(mapping, 0, PAGE, 'msync'));
  const taken = tried(() => xdpClose(xdpSocket({
    ifindex: interfaceInfo(name).index, name, queue: 0, mode: 'copy', rings: { rx: 64, tx: 64, fill: 64, completion: 64 }, umem: { mappingId: mapping.id, offset: 0, bytes: BYTES, chunkSize: 2048 },
  }).fd));
  return { path, kind, zeroCopy, umem: taken, sync, msync };
}

if (command === 'umem') {
  const [name, ...paths] = args;
  console.log(JSON.stringify(paths.map((path) => umem(name, path))));
} else if (command === 'store') {
  const [path, how] = args, fd = open(path);
  fsyncSync(fd);  // the file and its size are durable; its blocks are reserved, and not written
  const mapping = mapFile(fd, BYTES, { writable: true, sync: how === 'sync' });
  for (let page = 0; page < BYTES / PAGE; page++) {
    doorStore(mapping, page * PAGE, pattern(page));
    doorFlush(mapping, page * PAGE, 256, bestFlush());
  }
  doorFence();
  console.log(`${path}: all pages flushed and fenced`);
} else if (command === 'scribble') {
  doorStore(mapFile(open(args[0]), BYTES, { writable: true }), 0, Buffer.from('somebody\'s data'));
} else if (command === 'look') {
  console.log(JSON.stringify(args.map((path) => {
    const bytes = readFileSync(path);
    let pages = 0;
    for (let page = 0; page < BYTES / PAGE; page++) if (bytes.subarray(page * PAGE, page * PAGE + 256).equals(pattern(page))) pages++;
    return { path, bytes: bytes.length, pages };
  })));
}
