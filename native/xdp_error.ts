/** What an AF_XDP step failed with, in a user's words: native/src/xdp.cc gives the step and the errno. */
import { addon } from './addon.js';
import { FramekeepError, errnoName } from './error.js';

/** Whom to name in a message. */
export interface XdpWhere { name?: string; mode?: string; queue?: number; umem?: { bytes: number; chunkSize: number } }

const EPERM = -1, ENXIO = -6, ENOMEM = -12, EACCES = -13, EFAULT = -14, EBUSY = -16, EEXIST = -17, ENODEV = -19, EINVAL = -22, ENOSPC = -28,
  ERANGE = -34, ENOSYS = -38, EOPNOTSUPP = -95, EAFNOSUPPORT = -97, ENOBUFS = -105, ENOTCONN = -107;

export function xdpFailure(failure: { errno: number; step: string; log?: string }, where: XdpWhere): FramekeepError {
  const { errno, step } = failure;
  const name = where.name ?? 'the interface', dev = where.name ?? '…';
  const error = (code: string, what: string, remedy: string) => new FramekeepError(code, `${what} (${step}: ${errnoName(errno)})`, remedy);
  if (step === 'umem' || step === 'umem range') return umemFailure(failure, where);
  if (errno === EPERM || errno === EACCES) {
    return error('E_XDP_PERMISSION', `AF_XDP on ${name} is not permitted: it needs CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF`,
      'run as root, or grant them: sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep "$(readlink -f "$(command -v node)")"');
  }
  if (errno === ENODEV || errno === ENXIO || errno === ENOTCONN) {
    return error('E_XDP_INTERFACE', `${name} has disappeared, or its other end has`, 'list interfaces with: ip link');
  }
  if (errno === ENOSYS || errno === EAFNOSUPPORT || step === 'ring offsets') {
    return error('E_XDP_MISSING', 'this kernel has no AF_XDP as framekeep needs it', 'use Linux 5.9 or newer with CONFIG_XDP_SOCKETS and CONFIG_BPF_SYSCALL');
  }
  if (step === 'map' || step === 'program') {
    const log = failure.log ? `\n${failure.log.trimEnd()}` : '';
    return error('E_XDP_PROGRAM', `the kernel does not take the XDP program${log}`, 'report this with the verifier\'s words above and `uname -r`');
  }
  if (step === 'link') {
    if (errno === EBUSY || errno === EEXIST) {
      return error('E_XDP_BUSY', `${name} already has an XDP program`,
        `see whose: bpftool net; remove one attached by netlink: ip link set dev ${dev} xdp off; xdpgeneric off; one held by a link ends with its process, or: bpftool link detach id …`);
    }
    if (errno === ERANGE) {
      return error('E_XDP_MTU', `the other end of ${name} has too large an MTU for native XDP`,
        'lower it at both ends, 3506 is the most on veth with 4 KiB pages: ip link set dev … mtu 3506');
    }
    if (errno === ENOSPC) {
      return error('E_XDP_QUEUE', `${name} has fewer receive queues than its other end has transmit queues`,
        `give it as many: ethtool -L ${dev} rx …, or fewer there: ethtool -L … tx …`);
    }
    return error('E_XDP_MODE', `${name} does not take an XDP program in ${where.mode ?? 'this'} mode`,
      errno === EOPNOTSUPP ? 'its driver has none: use generic mode' : 'some drivers refuse while the MTU is above a page, LRO is on, or queues are too many: ethtool -K … lro off, ethtool -L …');
  }
  if (step === 'bind') {
    if (errno === EBUSY) {
      return error('E_XDP_BUSY', `queue ${where.queue} of ${name} already has an AF_XDP socket`, 'find its process: ss --xdp -p, or: bpftool net');
    }
    if (errno === EOPNOTSUPP) {
      return error('E_XDP_MODE', `the driver of ${name} does not do ${where.mode ?? 'this mode'}`, 'use copy mode');
    }
    if (errno === EINVAL) {
      return error('E_XDP_QUEUE', `queue ${where.queue} of ${name} does not exist, or does not do ${where.mode ?? 'this mode'}`, `list queues with: ethtool -l ${dev}`);
    }
  }
  if (errno === EINVAL) return error('E_XDP_RINGS', 'the kernel does not take these ring sizes', 'use powers of two');
  if (errno === ENOMEM || errno === ENOBUFS) return error('E_XDP_RINGS', 'no memory for the rings', 'use smaller rings, or free memory');
  return error('E_XDP', `AF_XDP on ${name} failed`, 'see Documentation/networking/af_xdp.rst');
}

/** XDP_UMEM_REG (net/xdp/xdp_umem.c). */
function umemFailure({ errno, step }: { errno: number; step: string }, { umem }: XdpWhere): FramekeepError {
  const bytes = umem?.bytes ?? 0;
  const error = (code: string, what: string, remedy: string) => new FramekeepError(code, `${what} (${step}: ${errnoName(errno)})`, remedy);
  if (errno === ENOBUFS || errno === EPERM) {
    return error('E_UMEM_MEMLOCK', `${bytes} bytes of frame buffers are more than may be locked in memory (limit ${addon['memlockLimit']()})`,
      'raise it: ulimit -l unlimited, or LimitMEMLOCK=infinity in the systemd unit; or grant CAP_IPC_LOCK, which lifts it');
  }
  if (errno === EFAULT || errno === EOPNOTSUPP) {
    return error('E_UMEM_MEMORY', 'the kernel does not let a NIC receive into this memory: a file in the page cache or on fsdax cannot be locked for DMA',
      'put the pool on tmpfs, hugetlbfs or devdax, or use the one-copy mode');
  }
  if (errno === ENOMEM) return error('E_UMEM_MEMORY', `${bytes} bytes of frame buffers cannot be locked: memory is short`, 'make the pool smaller, or free memory');
  return error('E_UMEM_GEOMETRY', `${bytes} bytes in chunks of ${umem?.chunkSize} are not a UMEM`,
    'chunks are 2048 or 4096 bytes, headroom smaller than a chunk less 256, the whole page-aligned, a multiple of the chunk, and inside its mapping');
}
