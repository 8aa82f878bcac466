// AF_XDP by kernel UAPI alone (linux/if_xdp.h, linux/bpf.h): program, maps, link, sockets, rings, and the calls that
// drive them. Policy (which mode to try first, what a failure means to a user) is in native/xdp.ts.
//
// An interface that goes away under a live socket (Linux 6.18, veth; test/10-xdp.test.ts):
//
//                                poll            sendto, recvfrom   SO_ERROR
//   up                           POLLOUT …       0                  0
//   down                         no events       ENETDOWN           0           comes back by itself when it is up again
//   deleted, moved to a netns    no events       ENXIO              ENETDOWN    once; the socket is good for closing only
//   up, its other end down       POLLOUT …       0                  0           frames sent are completed and lost
//
//   poll never says POLLERR and a sleeping poll is not woken: who only polls must kick, ask SO_ERROR or listen to rtnetlink.
//
// What sending costs in copy mode, xdpDrain of 60-byte frames into veth, the receiving stack's softirq included, which runs
// frame by frame within the call (2 cores, Linux 6.18, medians of 6 rounds of 2,500 to 10,000 bursts, ± 2 %):
//
//   burst   XDP_MAX_TX_SKB_BUDGET   calls   µs a burst   ns a frame
//     32    32 (default)                1       24.0         749
//     32    2048                        1       24.0         751
//    256    32                          8      188.9         738
//    256    2048                        1      184.4         720
//    256    32, one kick instead        1       25           (32 of the 256 frames leave)
//
// So the call itself is about 0.6 µs and the budget saves 2–3 %; what matters is to drain and not to kick once.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include "addon.h"
#include "kernel_btf.h"
#include "populate.h"
#include "xdp_program.h"

// UAPI newer than the headers this may be compiled with.
#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9        // linux/if_xdp.h, Linux 6.17: u32 in [32, TX ring size], else EACCES
#endif
#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1U << 5)  // linux/bpf.h, Linux 5.18
#endif
#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1U << 6)  // linux/bpf.h, Linux 6.3
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69         // asm-generic/socket.h, Linux 5.11
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70         // asm-generic/socket.h, Linux 5.11
#endif

namespace framekeep {
namespace {

struct XdpRing {
  uint8_t* base = nullptr; size_t bytes = 0;
  xdp_ring_offset at = {};
  uint32_t size = 0, entry = 0;
  napi_ref view = nullptr;                            // to detach the ArrayBuffer before the pages go
  uint32_t* producer() const { return reinterpret_cast<uint32_t*>(base + at.producer); }
  uint32_t* consumer() const { return reinterpret_cast<uint32_t*>(base + at.consumer); }
};

struct XdpSocket {
  int fd = -1;
  bool zeroCopy = false;
  XdpRing rx, tx, fill, completion;
  ~XdpSocket() {
    if (fd >= 0) close(fd);                           // the queue goes back to the kernel first
    for (XdpRing* r : {&rx, &tx, &fill, &completion}) if (r->base) munmap(r->base, r->bytes);
  }
};

// The sockets of one thread. It hangs in EnvState::owned, so that they close when the thread ends, however it ends.
struct XdpSockets {
  std::vector<std::unique_ptr<XdpSocket>> all;
  static void Destroy(void* p) { delete static_cast<XdpSockets*>(p); }
  static XdpSockets& Of(EnvState* state) {
    for (auto& [what, destroy] : state->owned) if (destroy == Destroy) return *static_cast<XdpSockets*>(what);
    auto* fresh = new XdpSockets;
    state->owned.emplace_back(fresh, Destroy);
    return *fresh;
  }
  XdpSocket* find(int fd) { for (auto& s : all) if (s->fd == fd) return s.get(); return nullptr; }
};

int Bpf(int command, bpf_attr* attr) { return int(syscall(SYS_bpf, command, attr, sizeof *attr)); }

// Locked memory: UMEM pages count (and maps before Linux 5.11). Raise what may be raised; what is then refused is
// reported where it is refused.
void RaiseMemlock() {
  rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0 || getrlimit(RLIMIT_MEMLOCK, &limit)) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_MEMLOCK, &limit);
}

napi_value Failed(napi_env env, const char* step, int error, const char* log = nullptr) {
  napi_value result = Obj(env);
  Set(env, result, "errno", Int(env, -error));
  Set(env, result, "step", Str(env, step));
  if (log) Set(env, result, "log", Str(env, log));
  return result;
}

int MakeMap(uint32_t type, uint32_t valueBytes, uint32_t entries, const char* name) {
  bpf_attr a; memset(&a, 0, sizeof a);
  a.map_type = type; a.key_size = 4; a.value_size = valueBytes; a.max_entries = entries;
  strncpy(a.map_name, name, sizeof a.map_name - 1);
  return Bpf(BPF_MAP_CREATE, &a);
}

// boundTo: the one interface that it may be attached to, which lets it call that driver's metadata functions; 0: any
int LoadProgram(const XdpProgram& program, bool frags, uint32_t boundTo, char* log, size_t logBytes) {
  bpf_attr a; memset(&a, 0, sizeof a);
  a.prog_type = BPF_PROG_TYPE_XDP; a.expected_attach_type = BPF_XDP;
  a.insns = uintptr_t(program.code); a.insn_cnt = program.count;
  a.license = uintptr_t("Dual BSD/GPL");
  a.prog_flags = (frags ? BPF_F_XDP_HAS_FRAGS : 0) | (boundTo ? BPF_F_XDP_DEV_BOUND_ONLY : 0);
  a.prog_ifindex = boundTo;
  a.log_buf = uintptr_t(log); a.log_size = uint32_t(logBytes); a.log_level = log ? 1 : 0;
  strcpy(a.prog_name, "framekeep_xdp");
  // The verifier gives up with EAGAIN when a signal comes (kernel/bpf/verifier.c, do_check): V8's own timers send some.
  int fd = -1;
  for (int tries = 0; tries < 10; tries++) {
    fd = Bpf(BPF_PROG_LOAD, &a);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return fd;
}

int Link(int program, uint32_t ifindex, bool generic) {
  bpf_attr link; memset(&link, 0, sizeof link);
  link.link_create.prog_fd = uint32_t(program);
  link.link_create.target_ifindex = ifindex;
  link.link_create.attach_type = BPF_XDP;
  link.link_create.flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  return Bpf(BPF_LINK_CREATE, &link);
}

// The program that puts VLAN tags back into frames, loaded and attached: fds[2] and fds[3]. false: not with this driver or
// kernel, for whatever reason; the other program goes anywhere.
bool AttachWithTags(int* fds, uint32_t ifindex, uint32_t queues, bool frags) {
  uint64_t metadata;
  if (!NetdevFeatures(ifindex, kXdpMetadata, &metadata) || !(metadata & kXdpMetadataVlanTag)) return false;
  static const uint32_t function = KernelFunction("bpf_xdp_metadata_rx_vlan_tag");  // 5 MB to read: once a process
  if (function == 0) return false;
  int program = LoadProgram(MakeXdpProgram(fds[0], fds[1], queues, function), frags, ifindex, nullptr, 0);
  if (program < 0) return false;
  int link = Link(program, ifindex, false);
  if (link < 0) { close(program); return false; }
  fds[2] = program; fds[3] = link;
  return true;
}

// xdpAttach(ifindex, generic, queues, frags) → {linkFd, progFd, mapFd, statsMapFd, keepsVlanTags} or {errno, step, log?}
//
// By BPF link, never by netlink: a link is a descriptor, so that the kernel detaches the program when the process is
// gone, SIGKILL included. That is all there is to cleaning up after a crashed predecessor of ours: it left nothing.
napi_value Attach(napi_env env, napi_callback_info info) {
  Args<4> a(env, info);
  const uint32_t ifindex = a.u32(0), queues = a.u32(2);
  const bool generic = a.flag(1), frags = a.flag(3);
  RaiseMemlock();
  int fds[4] = {-1, -1, -1, -1};
  auto fail = [&](const char* step, int error, const char* log = nullptr) {
    for (int fd : fds) if (fd >= 0) close(fd);
    return Failed(env, step, error, log);
  };
  if ((fds[0] = MakeMap(BPF_MAP_TYPE_XSKMAP, 4, queues, "framekeep_xsk")) < 0) return fail("map", errno);
  if ((fds[1] = MakeMap(BPF_MAP_TYPE_ARRAY, 8, queues + 1, "framekeep_pass")) < 0) return fail("map", errno);
  const bool tags = !generic && AttachWithTags(fds, ifindex, queues, frags);  // the kernel binds no generic program to a device
  if (!tags) {
    XdpProgram program = MakeXdpProgram(fds[0], fds[1], queues);
    if ((fds[2] = LoadProgram(program, frags, 0, nullptr, 0)) < 0) {
      int error = errno;
      std::vector<char> log(1 << 16);                 // load again for the verifier's words
      int again = LoadProgram(program, frags, 0, log.data(), log.size());
      if (again >= 0) close(again);
      return fail("program", error, log.data());
    }
    if ((fds[3] = Link(fds[2], ifindex, generic)) < 0) {
      char name[IF_NAMESIZE];
      int error = errno;                              // EINVAL is also what the kernel says of no such interface
      return fail("link", error == EINVAL && !if_indextoname(ifindex, name) ? ENODEV : error);
    }
  }
  for (int fd : fds) a.state->fds.insert(fd);
  napi_value result = Obj(env), keeps;
  napi_get_boolean(env, tags, &keeps);
  Set(env, result, "mapFd", Int(env, fds[0]));
  Set(env, result, "statsMapFd", Int(env, fds[1]));
  Set(env, result, "progFd", Int(env, fds[2]));
  Set(env, result, "linkFd", Int(env, fds[3]));
  Set(env, result, "keepsVlanTags", keeps);
  return result;
}

// xdpUnlink(linkFd) → 0 or negative errno (EINVAL before Linux 5.9): the program goes from its interface, now; the descriptor stays.
napi_value Unlink(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  bpf_attr link; memset(&link, 0, sizeof link);
  link.link_detach.link_fd = a.u32(0);
  return Int(env, Bpf(BPF_LINK_DETACH, &link) ? -errno : 0);
}

// xdpZeroCopy(ifindex) → 1: the driver does it, 0: it does not, -1: the kernel does not tell
napi_value ZeroCopy(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  uint64_t features;
  return Int(env, !NetdevFeatures(a.u32(0), kXdpFeatures, &features) ? -1 : features & kXdpZeroCopy ? 1 : 0);
}

// btfFunction(bytes, name) → type id of a function in BTF, 0: not there
napi_value BtfLookUp(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  size_t bytes; const uint8_t* btf = a.bytes(0, &bytes);
  return Int(env, btf ? BtfFunction(btf, bytes, a.text(1).data()) : 0);
}

// xdpDeliver(mapFd, queue, fd) → 0 or negative errno: this queue's frames go to that socket from now on.
// Closing the socket takes it out again by itself.
napi_value Deliver(napi_env env, napi_callback_info info) {
  Args<3> a(env, info);
  uint32_t queue = a.u32(1); int fd = a.i32(2);
  bpf_attr m; memset(&m, 0, sizeof m);
  m.map_fd = a.u32(0); m.key = uintptr_t(&queue); m.value = uintptr_t(&fd);
  return Int(env, Bpf(BPF_MAP_UPDATE_ELEM, &m) ? -errno : 0);
}

// xdpPassed(statsMapFd, Float64Array) → 0 or negative errno; counts[q] = frames of queue q that went to the kernel
napi_value Passed(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  size_t bytes; auto* counts = reinterpret_cast<double*>(a.bytes(1, &bytes));
  for (uint32_t q = 0; q < bytes / sizeof(double); q++) {
    uint64_t n = 0;
    bpf_attr m; memset(&m, 0, sizeof m);
    m.map_fd = a.u32(0); m.key = uintptr_t(&q); m.value = uintptr_t(&n);
    if (Bpf(BPF_MAP_LOOKUP_ELEM, &m)) return Int(env, -errno);
    counts[q] = double(n);
  }
  return Int(env, 0);
}

int MapRing(XdpRing& ring, int fd, const xdp_ring_offset& at, uint32_t size, uint32_t entry, uint64_t page) {
  if (size == 0) return 0;
  ring.at = at; ring.size = size; ring.entry = entry;
  ring.bytes = at.desc + size_t(size) * entry;
  void* base = mmap(nullptr, ring.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, off_t(page));
  if (base == MAP_FAILED) return errno;
  ring.base = static_cast<uint8_t*>(base);
  return 0;
}

napi_value DescribeRing(napi_env env, XdpRing& ring) {
  napi_value o = Obj(env), buffer = View(env, ring.base, ring.bytes);
  napi_create_reference(env, buffer, 1, &ring.view);
  Set(env, o, "buffer", buffer);
  Set(env, o, "producer", Num(env, double(ring.at.producer)));
  Set(env, o, "consumer", Num(env, double(ring.at.consumer)));
  Set(env, o, "flags", Num(env, double(ring.at.flags)));
  Set(env, o, "entries", Num(env, double(ring.at.desc)));
  Set(env, o, "size", Num(env, ring.size));
  Set(env, o, "entryBytes", Num(env, ring.entry));
  return o;
}

// The kernel lets a closed socket's queue go only after an RCU grace period and in a work queue (net/xdp/xsk_buff_pool.c,
// xp_put_pool): a bind right after a close, or after a predecessor was killed, meets EBUSY for a while (measured 17–30 ms
// on an idle machine). So EBUSY counts only when it lasts.
int Bind(int fd, const sockaddr_xdp& to) {
  for (int tries = 0;; tries++) {
    if (bind(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return 0;
    if (errno != EBUSY || tries == 500) return errno;
    usleep(2000);
  }
}

// netdevice(7); 0 for unknown. Not asked through the AF_XDP socket, which refuses all ioctls (EOPNOTSUPP).
int Mtu(uint32_t ifindex) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq link; memset(&link, 0, sizeof link); link.ifr_ifindex = int(ifindex);
  int mtu = fd < 0 || ioctl(fd, SIOCGIFNAME, &link) || ioctl(fd, SIOCGIFMTU, &link) ? 0 : link.ifr_mtu;
  if (fd >= 0) close(fd);
  return mtu;
}

// xdpSocket(ifindex, queue, bindFlags, sharedFd, Uint32Array [rx, tx, fill, completion sizes],
//           mapping, offset, bytes, chunk, headroom) → {fd, zeroCopy, mtu, rings} or {errno, step}
// sharedFd >= 0: the UMEM of that bound socket, and the last five are not looked at.
napi_value Socket(napi_env env, napi_callback_info info) {
  Args<10> a(env, info);
  RaiseMemlock();
  size_t room; auto* size = reinterpret_cast<uint32_t*>(a.bytes(4, &room));
  if (room < 16) return Failed(env, "arguments", EINVAL);
  auto s = std::make_unique<XdpSocket>();
  if ((s->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)) < 0) return Failed(env, "socket", errno);
  int sharedFd = a.i32(3);
  if (sharedFd < 0) {
    Mapping* m = a.mapping(5);
    uint64_t offset = a.u64(6), bytes = a.u64(7);
    if (!m || offset > m->bytes || bytes > m->bytes - offset) return Failed(env, "umem range", EINVAL);
    xdp_umem_reg umem; memset(&umem, 0, sizeof umem);
    umem.addr = uintptr_t(m->base + offset); umem.len = bytes; umem.chunk_size = a.u32(8); umem.headroom = a.u32(9);
    MappingFromTheEnd helper(m->base + offset, bytes);
    if (setsockopt(s->fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem)) return Failed(env, "umem", errno);
  }
  const int option[4] = {XDP_RX_RING, XDP_TX_RING, XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING};
  for (int i = 0; i < 4; i++)
    if (size[i] && setsockopt(s->fd, SOL_XDP, option[i], &size[i], 4)) return Failed(env, "ring size", errno);
  xdp_mmap_offsets at; socklen_t length = sizeof at;
  if (getsockopt(s->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length)) return Failed(env, "ring offsets", errno);
  if (length != sizeof at) return Failed(env, "ring offsets", EPROTONOSUPPORT);  // before Linux 5.4: no flags words
  int e = MapRing(s->rx, s->fd, at.rx, size[0], sizeof(xdp_desc), XDP_PGOFF_RX_RING);
  if (!e) e = MapRing(s->tx, s->fd, at.tx, size[1], sizeof(xdp_desc), XDP_PGOFF_TX_RING);
  if (!e) e = MapRing(s->fill, s->fd, at.fr, size[2], sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
  if (!e) e = MapRing(s->completion, s->fd, at.cr, size[3], sizeof(uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING);
  if (e) return Failed(env, "ring mapping", e);
  sockaddr_xdp to; memset(&to, 0, sizeof to);
  to.sxdp_family = AF_XDP; to.sxdp_ifindex = a.u32(0); to.sxdp_queue_id = a.u32(1);
  to.sxdp_flags = uint16_t(sharedFd >= 0 ? XDP_SHARED_UMEM : a.u32(2));
  to.sxdp_shared_umem_fd = sharedFd >= 0 ? uint32_t(sharedFd) : 0;
  if (int error = Bind(s->fd, to)) return Failed(env, "bind", error);
  xdp_options options = {}; length = sizeof options;
  getsockopt(s->fd, SOL_XDP, XDP_OPTIONS, &options, &length);
  s->zeroCopy = options.flags & XDP_OPTIONS_ZEROCOPY;
  napi_value result = Obj(env), rings = Obj(env);
  Set(env, result, "fd", Int(env, s->fd));
  Set(env, result, "mtu", Int(env, Mtu(a.u32(0))));
  napi_value zeroCopy; napi_get_boolean(env, s->zeroCopy, &zeroCopy);
  Set(env, result, "zeroCopy", zeroCopy);
  if (s->rx.base) Set(env, rings, "rx", DescribeRing(env, s->rx));
  if (s->tx.base) Set(env, rings, "tx", DescribeRing(env, s->tx));
  if (s->fill.base) Set(env, rings, "fill", DescribeRing(env, s->fill));
  if (s->completion.base) Set(env, rings, "completion", DescribeRing(env, s->completion));
  Set(env, result, "rings", rings);
  XdpSockets::Of(a.state).all.push_back(std::move(s));
  return result;
}

// xdpClose(fd) → 0, -EBADF for no such socket. The rings' ArrayBuffers are detached (length 0) before the pages go.
napi_value Close(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  auto& all = XdpSockets::Of(a.state).all;
  for (auto it = all.begin(); it != all.end(); ++it) {
    if ((*it)->fd != a.i32(0)) continue;
    XdpSocket& s = **it;
    for (XdpRing* r : {&s.rx, &s.tx, &s.fill, &s.completion}) {
      if (!r->view) continue;
      napi_value view;
      if (napi_get_reference_value(env, r->view, &view) == napi_ok && view) Detach(env, view);
      napi_delete_reference(env, r->view);
    }
    all.erase(it);
    return Int(env, 0);
  }
  return Int(env, -EBADF);
}

int Send(int fd) { return sendto(fd, nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 ? errno : 0; }

// xdpKick(fd) → 0 or negative errno: one sendto
napi_value Kick(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  return Int(env, -Send(a.i32(0)));
}

// xdpDrain(fd, most calls) → calls made, or negative errno when nothing moved at all
//
// Copy mode (net/xdp/xsk.c, __xsk_generic_xmit): 0: the ring is empty. EAGAIN: the budget is used up (progress), or no
// completion slot or send buffer is free (none). EBUSY: the device refused a frame, which counts as sent: go on. ENOBUFS: no
// memory for a frame. Zero-copy: one call starts the driver, which takes descriptors when it likes.
napi_value Drain(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  XdpSocket* s = XdpSockets::Of(a.state).find(a.i32(0));
  if (!s || !s->tx.base) return Int(env, -EBADF);
  if (s->zeroCopy) { int e = Send(s->fd); return Int(env, e ? -e : 1); }
  int most = a.i32(1), calls = 0, e = 0;
  uint32_t first = __atomic_load_n(s->tx.consumer(), __ATOMIC_ACQUIRE), before = first;
  while (calls < most) {
    e = Send(s->fd);
    calls++;
    if (e == EBUSY) continue;
    if (e != EAGAIN) break;
    uint32_t now = __atomic_load_n(s->tx.consumer(), __ATOMIC_ACQUIRE);
    if (now == before) break;                         // no room for completions, or the receiver is behind
    before = now;
  }
  bool moved = __atomic_load_n(s->tx.consumer(), __ATOMIC_ACQUIRE) != first;
  return Int(env, e && e != EBUSY && !(moved && (e == EAGAIN || e == ENOBUFS)) ? -e : calls);
}

// xdpWakeRx(fd) → 0 or negative errno: one recvfrom, which makes a driver look at the fill ring again
napi_value WakeRx(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  return Int(env, recvfrom(a.i32(0), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr) < 0 ? -errno : 0);
}

// xdpStatistics(fd, Float64Array(6)) → 0 or negative errno; struct xdp_statistics in its order
napi_value Statistics(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  size_t bytes; auto* out = reinterpret_cast<double*>(a.bytes(1, &bytes));
  if (bytes < 6 * sizeof(double)) return Int(env, -EINVAL);
  xdp_statistics s = {}; socklen_t length = sizeof s;
  if (getsockopt(a.i32(0), SOL_XDP, XDP_STATISTICS, &s, &length)) return Int(env, -errno);
  out[0] = double(s.rx_dropped); out[1] = double(s.rx_invalid_descs); out[2] = double(s.tx_invalid_descs);
  out[3] = double(s.rx_ring_full); out[4] = double(s.rx_fill_ring_empty_descs); out[5] = double(s.tx_ring_empty_descs);
  return Int(env, 0);
}

// xdpError(fd) → the socket's pending error as a negative errno (and clears it), 0 for none
napi_value PendingError(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  int error = 0; socklen_t length = sizeof error;
  if (getsockopt(a.i32(0), SOL_SOCKET, SO_ERROR, &error, &length)) return Int(env, -errno);
  return Int(env, -error);
}

int SetInt(int fd, int level, int option, int value) { return setsockopt(fd, level, option, &value, sizeof value) ? -errno : 0; }

// xdpTxBudget(fd, frames) → 0 or negative errno (ENOPROTOOPT before Linux 6.17)
napi_value TxBudget(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  return Int(env, SetInt(a.i32(0), SOL_XDP, XDP_MAX_TX_SKB_BUDGET, a.i32(1)));
}

// xdpSendBuffer(fd, bytes) → 0 or negative errno; beyond net.core.wmem_max with CAP_NET_ADMIN
napi_value SendBuffer(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  int e = SetInt(a.i32(0), SOL_SOCKET, SO_SNDBUFFORCE, a.i32(1));
  return Int(env, e == -EPERM ? SetInt(a.i32(0), SOL_SOCKET, SO_SNDBUF, a.i32(1)) : e);
}

// xdpBusyPoll(fd, microseconds, frames) → 0 or negative errno. socket(7), Documentation/networking/napi.rst
napi_value BusyPoll(napi_env env, napi_callback_info info) {
  Args<3> a(env, info);
  int fd = a.i32(0), e = SetInt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, a.i32(1) > 0);
  if (!e) e = SetInt(fd, SOL_SOCKET, SO_BUSY_POLL, a.i32(1));
  if (!e && a.i32(2) > 0) e = SetInt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, a.i32(2));
  return Int(env, e);
}

// memlockLimit() → RLIMIT_MEMLOCK in bytes, Infinity for none
napi_value MemlockLimit(napi_env env, napi_callback_info) {
  rlimit limit = {};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return Num(env, limit.rlim_cur == RLIM_INFINITY ? __builtin_inf() : double(limit.rlim_cur));
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "xdpAttach", Attach, state);
  Method(env, exports, "xdpUnlink", Unlink, state);
  Method(env, exports, "xdpZeroCopy", ZeroCopy, state);
  Method(env, exports, "btfFunction", BtfLookUp, state);
  Method(env, exports, "xdpDeliver", Deliver, state);
  Method(env, exports, "xdpPassed", Passed, state);
  Method(env, exports, "xdpSocket", Socket, state);
  Method(env, exports, "xdpClose", Close, state);
  Method(env, exports, "xdpKick", Kick, state);
  Method(env, exports, "xdpDrain", Drain, state);
  Method(env, exports, "xdpWakeRx", WakeRx, state);
  Method(env, exports, "xdpStatistics", Statistics, state);
  Method(env, exports, "xdpError", PendingError, state);
  Method(env, exports, "xdpTxBudget", TxBudget, state);
  Method(env, exports, "xdpSendBuffer", SendBuffer, state);
  Method(env, exports, "xdpBusyPoll", BusyPoll, state);
  Method(env, exports, "memlockLimit", MemlockLimit, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
