// A tap device (Documentation/networking/tuntap.rst): one read(2) or write(2) a frame, a burst of them in one native call, between the
// descriptor and a soft ring set. Without IFF_VNET_HDR and with TUNSETOFFLOAD 0 the kernel completes checksums and segments
// itself before a frame is read, so that every frame read is as it would be on a wire.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include "addon.h"
#include "soft_rings.h"

namespace framekeep {
namespace {

enum Counter { kOversize, kRefused, kDown, kCounters };

struct Tap {
  SoftRings rings; uint8_t* umem; size_t umem_bytes; uint32_t chunk_shift, headroom; int fd;
  double counters[kCounters] = {0, 0, 0};
};

// tapOpen(name) → {fd, name} or negative errno. A name with %d is numbered by the kernel.
napi_value TapOpen(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  auto name = a.text(0);
  if (name.size() > IFNAMSIZ) return Int(env, -ENAMETOOLONG);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return Int(env, -errno);
  ifreq request = {};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  memcpy(request.ifr_name, name.data(), name.size());
  // A persistent tap may have been left with offloads by whoever had it before.
  if (ioctl(fd, TUNSETIFF, &request) || ioctl(fd, TUNSETOFFLOAD, 0)) { int e = errno; close(fd); return Int(env, -e); }
  a.state->fds.insert(fd);
  napi_value o = Obj(env);
  Set(env, o, "fd", Int(env, fd));
  Set(env, o, "name", Str(env, request.ifr_name));
  return o;
}

// tapAttach(fd, rings mapping, ring size, umem mapping, chunkShift, headroom) → {handle, counters} or negative errno
napi_value TapAttach(napi_env env, napi_callback_info info) {
  Args<6> a(env, info);
  Mapping *rings = a.mapping(1), *umem = a.mapping(3);
  if (!rings || !umem || rings->bytes < SoftRings::Bytes(a.u32(2))) return Int(env, -EINVAL);
  auto* t = new Tap{SoftRings(rings->base, a.u32(2)), umem->base, umem->bytes, a.u32(4), a.u32(5), a.i32(0)};
  a.state->owned.push_back({t, [](void* x) { delete static_cast<Tap*>(x); }});
  napi_value o = Obj(env), handle;
  napi_create_external(env, t, nullptr, nullptr, &handle);
  Set(env, o, "handle", handle);
  Set(env, o, "counters", View(env, t->counters, sizeof t->counters));
  return o;
}

Tap* Of(napi_env env, napi_value v) { void* p = nullptr; napi_get_value_external(env, v, &p); return static_cast<Tap*>(p); }

// tapReceive(handle, most) → frames, or a negative errno when there were none (-77 EBADFD, -5 EIO: the device is gone).
// Hot: one call a turn. A frame that no buffer takes is counted, and its buffer used for the next one.
napi_value TapReceive(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  Tap& t = *Of(env, a.v[0]);
  SoftRings& r = t.rings;
  uint32_t most = a.u32(1), fill = *r.fill.consumer, free = r.fill.load(r.fill.producer) - fill, rx = *r.rx.producer;
  uint32_t room = r.rx.size - (rx - r.rx.load(r.rx.consumer)), n = 0;
  const size_t space = (size_t(1) << t.chunk_shift) - t.headroom;
  static thread_local uint8_t spill[65536];
  int error = 0;
  while (free && room && n < most) {
    uint64_t at = (r.fill.addr(fill) >> t.chunk_shift << t.chunk_shift) + t.headroom;
    if (at + space > t.umem_bytes) { error = EFAULT; break; }
    iovec parts[2] = {{t.umem + at, space}, {spill, sizeof spill}};
    ssize_t len = readv(t.fd, parts, 2);
    if (len < 0) { error = errno; break; }
    if (size_t(len) > space) { t.counters[kOversize]++; continue; }
    r.rx.desc(rx++) = {at, uint32_t(len), 0};
    fill++; free--; room--; n++;
  }
  r.fill.publish(r.fill.consumer, fill);
  r.rx.publish(r.rx.producer, rx);
  return Int(env, n || error == EAGAIN || error == EINTR ? int64_t(n) : -int64_t(error));
}

// tapTransmit(handle) → frames taken off the tx ring. A frame that the kernel refuses is counted, and completed all the same.
napi_value TapTransmit(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  Tap& t = *Of(env, a.v[0]);
  SoftRings& r = t.rings;
  uint32_t tx = *r.tx.consumer, ready = r.tx.load(r.tx.producer) - tx, done = *r.completion.producer, n = 0;
  for (; ready; ready--, n++) {
    const Descriptor d = r.tx.desc(tx);
    if (d.addr + d.len > t.umem_bytes) t.counters[kRefused]++;
    else if (write(t.fd, t.umem + d.addr, d.len) < 0) {
      if (errno == EAGAIN || errno == EINTR) break;
      t.counters[errno == EIO || errno == ENETDOWN ? kDown : kRefused]++;
    }
    tx++;
    r.completion.addr(done++) = d.addr;
  }
  r.tx.publish(r.tx.consumer, tx);
  r.completion.publish(r.completion.producer, done);
  return Int(env, n);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "tapOpen", TapOpen, state);
  Method(env, exports, "tapAttach", TapAttach, state);
  Method(env, exports, "tapReceive", TapReceive, state);
  Method(env, exports, "tapTransmit", TapTransmit, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
