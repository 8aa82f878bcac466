// A wire between two processes: two rings of frames in one shared file, and a FIFO each way as a doorbell. Frames are copied
// in and out, so that neither process can touch the other's buffers, or its evidence.
//
//   file:  0      u32 magic, u32 version, u32 slots, u32 slot bytes
//          4096   ring A→B: +0 producer u32, +64 consumer u32; its slots from +4096: u32 length, u32 zero, frame
//          …      ring B→A: the same
//
// Everything read from the file is the other process's word, and checked: lengths against the slot, indices against the ring.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include "addon.h"
#include "door.h"
#include "soft_rings.h"

namespace framekeep {
namespace {

constexpr uint32_t kMagic = 0x50504b46, kVersion = 1, kSlots = 512, kSlotBytes = 4096;  // "FKPP"
constexpr size_t kRingBytes = 4096 + size_t(kSlots) * kSlotBytes, kFileBytes = 4096 + 2 * kRingBytes;
constexpr uint32_t kLongest = kSlotBytes - 8;

struct Direction {
  uint32_t *producer, *consumer; uint8_t* slots;
  explicit Direction(uint8_t* ring) : producer(reinterpret_cast<uint32_t*>(ring)), consumer(reinterpret_cast<uint32_t*>(ring + 64)), slots(ring + 4096) {}
  uint8_t* slot(uint32_t i) const { return slots + size_t(i & (kSlots - 1)) * kSlotBytes; }
};

struct Pipe {
  SoftRings rings; uint8_t* umem; size_t umem_bytes; uint32_t chunk_shift, headroom;
  Direction out, in; int doorbell;
  uint32_t produced, consumed;
  double* counters;             // frames too long for the other side, frames malformed by the other side
  double storage[2] = {0, 0};
};

// pipeBytes() → the size of the file
napi_value PipeBytes(napi_env env, napi_callback_info) { return Num(env, double(kFileBytes)); }

// makeFifo(path) → 0 or negative errno
napi_value MakeFifo(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  return Int(env, mkfifo(a.text(0).data(), 0600) && errno != EEXIST ? -errno : 0);
}

// pipeAttach(file mapping, side 0|1, rings mapping, ring size, umem mapping, chunkShift, headroom, doorbell fd of the other side)
//   → {handle, counters} or negative errno (-EPROTO: not a pipe of this version)
napi_value PipeAttach(napi_env env, napi_callback_info info) {
  Args<8> a(env, info);
  Mapping *file = a.mapping(0), *rings = a.mapping(2), *umem = a.mapping(4);
  uint32_t side = a.u32(1);
  if (!file || !rings || !umem || file->bytes < kFileBytes || side > 1) return Int(env, -EINVAL);
  auto* head = reinterpret_cast<uint32_t*>(file->base);
  if (head[0] == 0) { head[1] = kVersion; head[2] = kSlots; head[3] = kSlotBytes; __atomic_store_n(&head[0], kMagic, __ATOMIC_RELEASE); }
  if (head[0] != kMagic || head[1] != kVersion || head[2] != kSlots || head[3] != kSlotBytes) return Int(env, -EPROTO);
  uint8_t* a_to_b = file->base + 4096;
  uint8_t* b_to_a = a_to_b + kRingBytes;
  auto* p = new Pipe{SoftRings(rings->base, a.u32(3)), umem->base, umem->bytes, a.u32(5), a.u32(6),
                     Direction(side == 0 ? a_to_b : b_to_a), Direction(side == 0 ? b_to_a : a_to_b), a.i32(7), 0, 0, nullptr};
  p->counters = p->storage;
  // What an earlier process of this side left unread is not ours, and what it left half-written was never published.
  p->produced = __atomic_load_n(p->out.producer, __ATOMIC_ACQUIRE);
  p->consumed = __atomic_load_n(p->in.producer, __ATOMIC_ACQUIRE);
  __atomic_store_n(p->in.consumer, p->consumed, __ATOMIC_RELEASE);
  a.state->owned.push_back({p, [](void* x) { delete static_cast<Pipe*>(x); }});
  napi_value o = Obj(env), handle;
  napi_create_external(env, p, nullptr, nullptr, &handle);
  Set(env, o, "handle", handle);
  Set(env, o, "counters", View(env, p->storage, sizeof p->storage));
  return o;
}

Pipe* Of(napi_env env, napi_value v) { void* p = nullptr; napi_get_value_external(env, v, &p); return static_cast<Pipe*>(p); }

// pipeReceive(handle, most) → frames brought in. Hot: one call a turn.
napi_value PipeReceive(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  Pipe& p = *Of(env, a.v[0]);
  SoftRings& r = p.rings;
  uint32_t most = a.u32(1), ready = __atomic_load_n(p.in.producer, __ATOMIC_ACQUIRE) - p.consumed;
  if (ready == 0) return Int(env, 0);
  if (ready > kSlots) { p.consumed += ready - kSlots; p.counters[1]++; ready = kSlots; }
  uint32_t fill = *r.fill.consumer, free = r.fill.load(r.fill.producer) - fill, rx = *r.rx.producer;
  uint32_t room = r.rx.size - (rx - r.rx.load(r.rx.consumer)), n = 0;
  for (; ready && free && room && n < most; ready--, p.consumed++) {
    const uint8_t* slot = p.in.slot(p.consumed);
    // Read once: the other process may change it between a look at it and its use.
    const uint32_t len = __atomic_load_n(reinterpret_cast<const uint32_t*>(slot), __ATOMIC_RELAXED);
    uint64_t base = r.fill.addr(fill) >> p.chunk_shift << p.chunk_shift, at = base + p.headroom;
    if (len > kLongest || p.headroom + uint64_t(len) > (uint64_t(1) << p.chunk_shift) || at + len > p.umem_bytes) { p.counters[1]++; continue; }
    DoorStore(p.umem + at, slot + 8, len);
    r.rx.desc(rx++) = {at, len, 0};
    fill++; free--; room--; n++;
  }
  __atomic_store_n(p.in.consumer, p.consumed, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);  // before the next look at the producer: see pipeTransmit
  r.fill.publish(r.fill.consumer, fill);
  r.rx.publish(r.rx.producer, rx);
  return Int(env, n);
}

// pipeTransmit(handle, present) → frames taken off the tx ring. With `present` 0 nobody is at the other end: they are let go.
// Rings the doorbell when the other side had emptied its ring, and may be asleep.
napi_value PipeTransmit(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  Pipe& p = *Of(env, a.v[0]);
  SoftRings& r = p.rings;
  bool present = a.u32(1) != 0;
  uint32_t tx = *r.tx.consumer, ready = r.tx.load(r.tx.producer) - tx, done = *r.completion.producer, before = p.produced, n = 0;
  uint32_t used = p.produced - __atomic_load_n(p.out.consumer, __ATOMIC_ACQUIRE);
  for (; ready && (!present || used < kSlots); ready--, n++) {
    const Descriptor d = r.tx.desc(tx++);
    r.completion.addr(done++) = d.addr;
    if (!present) continue;
    if (d.len > kLongest || d.addr > p.umem_bytes || d.len > p.umem_bytes - d.addr) { p.counters[0]++; continue; }
    uint8_t* slot = p.out.slot(p.produced);
    uint64_t head = d.len; memcpy(slot, &head, 8);
    memcpy(slot + 8, p.umem + d.addr, d.len);
    p.produced++; used++;
  }
  r.tx.publish(r.tx.consumer, tx);
  r.completion.publish(r.completion.producer, done);
  if (p.produced != before) {
    __atomic_store_n(p.out.producer, p.produced, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    bool emptied = __atomic_load_n(p.out.consumer, __ATOMIC_ACQUIRE) == before;
    char bell = 1;
    if (emptied && write(p.doorbell, &bell, 1) < 0 && errno != EAGAIN) return Int(env, -errno);
  }
  return Int(env, n);
}

// drainFd(fd): empties a doorbell (a pipe holds 64 KiB). Who rings without end does not keep us here: poll says so again.
napi_value DrainFd(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  char sink[4096];
  for (int i = 0; i < 17 && read(a.i32(0), sink, sizeof sink) == sizeof sink; i++) {}
  return Int(env, 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "pipeBytes", PipeBytes, state);
  Method(env, exports, "makeFifo", MakeFifo, state);
  Method(env, exports, "pipeAttach", PipeAttach, state);
  Method(env, exports, "pipeReceive", PipeReceive, state);
  Method(env, exports, "pipeTransmit", PipeTransmit, state);
  Method(env, exports, "drainFd", DrainFd, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
