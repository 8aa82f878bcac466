// Taps (Documentation/networking/tuntap.rst, linux/if_tun.h) behind the same four rings as every port: a burst is one call here,
// and in it one read(2) or write(2) a frame, for /dev/net/tun has no other way.
//
// Measured (Linux 6.18, EPYC at 2.6 GHz): read 550 ns a frame of 64 B, 585 of 1514 B; write 860 and 900, the receiving stack
// included. TCP from tap to tap through a loop of these, two cores for all of it: 2.1 Gbit/s without a virtio header
// (IFF_VNET_HDR) and with TUNSETOFFLOAD(0), where the kernel finishes checksums and cuts segments before we read; 1.7 with
// the header and the checksum done here; 1.6 with IFF_NAPI. So by default: no header, no offloads. With the header and
// segmentation, a frame may have 64 KiB (vnet_header.h; docs/decisions/2026-11-21-super-frames.md).
//
// read(2) cuts a frame that is longer than its buffer, and does not say so. A second, one-byte vector (readv) would catch the
// excess, for 100 ns a frame. Instead a frame that fills the buffer to the last byte is taken for cut: the longest that gets
// through is chunk - headroom - 1.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <memory>
#include "addon.h"
#include "checksum.h"
#include "soft_rings.h"
#include "vnet_header.h"

namespace framekeep {
namespace {

// Mirrored by TAP in native/tap.ts.
enum Counter { kOversize, kStarved, kShort, kDown, kInvalid, kRefused, kLastErrno, kCounters };

struct Tap {
  int fd; uint32_t rings_id, umem_id, size;
  uint64_t mask; uint32_t headroom, capacity;
  uint32_t header;                // bytes before a frame that the kernel writes and reads: 0 or kVnetHeader
  bool offers;                    // segmentation and checksums are left to the receiver: every header in a buffer is its frame's
  uint32_t stale;                 // so many of the next tx entries are of the time before `offers` last changed
  double counters[kCounters];
};
void Destroy(void* tap) { delete static_cast<Tap*>(tap); }

// A handle is an index into the thread's `owned`; the destructor tells what is one of ours.
Tap* Find(EnvState* state, uint32_t handle) {
  if (handle >= state->owned.size() || state->owned[handle].second != Destroy) return nullptr;
  return static_cast<Tap*>(state->owned[handle].first);
}
Mapping* Live(EnvState* state, uint32_t id) {
  return id < state->mappings.size() && state->mappings[id].base ? &state->mappings[id] : nullptr;
}

int SetInterface(int fd, const char* name, int flags, char* actual) {
  ifreq r = {};
  snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
  r.ifr_flags = short(IFF_TAP | IFF_NO_PI | flags);
  if (ioctl(fd, TUNSETIFF, &r)) return -errno;
  snprintf(actual, IFNAMSIZ, "%s", r.ifr_name);
  return 0;
}

// Segmentation and checksums that are left to the receiver (TUN_F_*, linux/if_tun.h): TCP over IPv4 and IPv6, also with ECN;
// UDP since Linux 6.2, which is not in older headers.
constexpr unsigned kOffers = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, kOffersUdp = 0x20 | 0x40;

int Offer(int fd, bool on) {
  if (!on) return ioctl(fd, TUNSETOFFLOAD, 0) ? -errno : 0;
  return ioctl(fd, TUNSETOFFLOAD, kOffers | kOffersUdp) && ioctl(fd, TUNSETOFFLOAD, kOffers) ? -errno : 0;
}

// tapOpen(name, header) → {fd, name}, or {errno, step}. header 1: with a VnetHeader before each frame.
napi_value TapOpen(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  const int wanted = a.u32(1) ? IFF_VNET_HDR : 0;
  auto failed = [&](int e, const char* step) { napi_value o = Obj(env); Set(env, o, "errno", Int(env, e)); Set(env, o, "step", Str(env, step)); return o; };
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return failed(-errno, "open");
  char actual[IFNAMSIZ] = "";
  int r = SetInterface(fd, a.text(0).data(), wanted, actual);
  // Somebody made it for several queues, and then wants to hear of it; one queue of it serves.
  if (r == -EINVAL) r = SetInterface(fd, a.text(0).data(), wanted | IFF_MULTI_QUEUE, actual);
  const char* step = "attach";
  if (!r && (r = Offer(fd, false))) step = "offload";                        // an earlier user's may still be on
  int size = kVnetHeader;
  if (!r && wanted && ioctl(fd, TUNSETVNETHDRSZ, &size)) { r = -errno; step = "header"; }
  if (r) { close(fd); return failed(r, step); }
  a.state->fds.insert(fd);
  napi_value o = Obj(env);
  Set(env, o, "fd", Int(env, fd));
  Set(env, o, "name", Str(env, actual));
  return o;
}

// tapAttach(fd, rings mapping, ring size, umem mapping, chunk shift, headroom, header) → {handle, counters} or negative errno
napi_value TapAttach(napi_env env, napi_callback_info info) {
  Args<7> a(env, info);
  Mapping *rings = a.mapping(1), *umem = a.mapping(3);
  const uint32_t size = a.u32(2), shift = a.u32(4), headroom = a.u32(5), header = a.u32(6) ? kVnetHeader : 0;
  if (!rings || !umem || !size || (size & (size - 1)) || SoftRings::Bytes(size) > rings->bytes) return Int(env, -EINVAL);
  if (shift < 6 || shift > 20 || headroom + 64 > 1u << shift || headroom < header) return Int(env, -EINVAL);
  auto* tap = new Tap{a.i32(0), a.u32(1), a.u32(3), size, (uint64_t(1) << shift) - 1, headroom, (1u << shift) - headroom, header, false, 0, {}};
  napi_value o = Obj(env);
  Set(env, o, "handle", Num(env, double(a.state->owned.size())));
  Set(env, o, "counters", View(env, tap->counters, sizeof tap->counters));
  a.state->owned.push_back({tap, Destroy});
  return o;
}

// tapOffer(handle, on): whether the sending stack may leave segmentation and checksums to the receiver. Frames that wait on the
// tx ring are given back unsent: their headers say what was so before. → 0 or negative errno
napi_value TapOffer(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  Tap* tap = Find(a.state, a.u32(0));
  Mapping* rings = tap ? Live(a.state, tap->rings_id) : nullptr;
  if (!rings || !tap->header) return Int(env, -EINVAL);
  if (int r = Offer(tap->fd, a.u32(1) != 0)) return Int(env, r);
  SoftRings r(rings->base, tap->size);
  tap->offers = a.u32(1) != 0;
  tap->stale = r.tx.load(r.tx.producer) - *r.tx.consumer;
  return Int(env, 0);
}

// What the header of a received frame asks for. False: a segment that nobody may be given, left from when they were offered.
bool Prepare(const Tap& tap, uint8_t* frame, uint32_t length) {
  VnetHeader& h = *HeaderOf(frame);
  if (!tap.offers && h.gso_type) return false;
  if (!(h.flags & kNeedsChecksum)) return true;
  const uint32_t at = FieldAt(h);
  if (at + 2 > length) return false;
  memcpy(&h.field, frame + at, 2);
  if (tap.offers) return true;
  uint16_t sum = InternetChecksum(frame + h.checksum_start, length - h.checksum_start);
  if (!sum) sum = 0xFFFF;                                // RFC 768; for TCP the two are one number
  memcpy(frame + at, &sum, 2);
  return true;
}

ssize_t Write(const Tap& tap, uint8_t* frame, uint32_t length) {
  if (!tap.header) return write(tap.fd, frame, length);
  if (!tap.offers) {                                     // what is before the frame is whatever its port left there
    static VnetHeader none;
    const iovec parts[] = {{&none, kVnetHeader}, {frame, length}};
    return writev(tap.fd, parts, 2);
  }
  VnetHeader& h = *HeaderOf(frame);
  const uint32_t at = FieldAt(h);
  if (!(h.flags & kNeedsChecksum) || at + 2 > length) return write(tap.fd, &h, kVnetHeader + length);
  const iovec parts[] = {{&h, kVnetHeader + at}, {&h.field, 2}, {frame + at + 2, length - at - 2}};
  return writev(tap.fd, parts, 3);
}

// tapReceive(handle, most) → frames put into the rx ring, or negative errno (-EBADFD: the interface is gone). Hot.
napi_value TapReceive(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  Tap* tap = Find(a.state, a.u32(0));
  Mapping *rings = tap ? Live(a.state, tap->rings_id) : nullptr, *umem = tap ? Live(a.state, tap->umem_id) : nullptr;
  if (!rings || !umem) return Int(env, -EINVAL);
  SoftRings r(rings->base, tap->size);
  uint32_t fill = *r.fill.consumer, rx = *r.rx.producer;
  const uint32_t fill_end = r.fill.load(r.fill.producer), rx_end = r.rx.load(r.rx.consumer) + tap->size;
  const uint32_t start = rx;
  uint32_t most = a.u32(1);
  int failure = 0;
  while (most) {
    if (fill == fill_end || rx == rx_end) { tap->counters[kStarved]++; break; }
    const uint64_t chunk = r.fill.addr(fill) & ~tap->mask;
    if (chunk >= umem->bytes || umem->bytes - chunk <= tap->mask) { tap->counters[kInvalid]++; fill++; continue; }
    const uint64_t at = chunk + tap->headroom;
    ssize_t n = read(tap->fd, umem->base + at - tap->header, tap->header + tap->capacity);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) failure = -errno;
      break;
    }
    most--;
    n -= tap->header;
    if (n < 0) { tap->counters[kInvalid]++; continue; }
    if (size_t(n) >= tap->capacity || (tap->header && !Prepare(*tap, umem->base + at, uint32_t(n)))) {
      tap->counters[kOversize]++;                        // the chunk serves the next frame
      continue;
    }
    r.rx.desc(rx++) = {at, uint32_t(n), 0};
    fill++;
  }
  r.fill.publish(r.fill.consumer, fill);
  r.rx.publish(r.rx.producer, rx);
  return Int(env, rx == start && failure ? failure : int32_t(rx - start));
}

// tapTransmit(handle) → frames taken off the tx ring and completed, or negative errno (-EBADFD: the interface is gone; what is
// on the ring stays there). Hot.
napi_value TapTransmit(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  Tap* tap = Find(a.state, a.u32(0));
  Mapping *rings = tap ? Live(a.state, tap->rings_id) : nullptr, *umem = tap ? Live(a.state, tap->umem_id) : nullptr;
  if (!rings || !umem) return Int(env, -EINVAL);
  SoftRings r(rings->base, tap->size);
  uint32_t tx = *r.tx.consumer, done = *r.completion.producer;
  const uint32_t tx_end = r.tx.load(r.tx.producer), done_end = r.completion.load(r.completion.consumer) + tap->size;
  const uint32_t start = tx;
  int failure = 0;
  while (tx != tx_end && done != done_end) {
    const Descriptor d = r.tx.desc(tx);
    if (d.addr > umem->bytes || d.len > umem->bytes - d.addr || d.addr < tap->header) {
      tap->counters[kInvalid]++;
    } else if (tap->stale > 0) {
      tap->stale--;
      tap->counters[kRefused]++;
    } else if (Write(*tap, umem->base + d.addr, d.len) < 0) {
      const int e = errno;
      if (e == EINTR) continue;
      if (e == EAGAIN) break;
      if (e == EBADFD || e == EBADF) { failure = -e; break; }
      tap->counters[e == EIO ? kDown : e == EINVAL && d.len < 14 ? kShort : kRefused]++;
      tap->counters[kLastErrno] = e;
    }
    r.completion.addr(done++) = d.addr;                  // sent or refused, the buffer comes back
    tx++;
  }
  r.tx.publish(r.tx.consumer, tx);
  r.completion.publish(r.completion.producer, done);
  return Int(env, tx == start && failure ? failure : int32_t(tx - start));
}

// tapDetach(handle, counters): frees what tapAttach made. The descriptor stays open.
napi_value TapDetach(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  const uint32_t handle = a.u32(0);
  Tap* tap = Find(a.state, handle);
  if (!tap) return Int(env, -EINVAL);
  Detach(env, a.v[1]);
  a.state->owned[handle] = {nullptr, [](void*) {}};      // handles are not given out again
  delete tap;
  return Int(env, 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "tapOpen", TapOpen, state);
  Method(env, exports, "tapAttach", TapAttach, state);
  Method(env, exports, "tapOffer", TapOffer, state);
  Method(env, exports, "tapReceive", TapReceive, state);
  Method(env, exports, "tapTransmit", TapTransmit, state);
  Method(env, exports, "tapDetach", TapDetach, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
