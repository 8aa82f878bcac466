// Buffers on and off rings: the passes of the data plane that only carry out what TypeScript has decided. Each is one straight
// loop over a ring's entries and the buffers' states, entered once a burst: 1.5 to 2.5 ns a frame, against 4 to 7 in TypeScript,
// which reloads base pointers and checks bounds at each access.
//
// The memory is a Buffers' (switch/buffers.ts), whose state machine this is; a test holds the two layouts to each other.
// With the checker on, every transition is looked at, and the first that is not allowed ends the pass with -EPROTO.
#include <cerrno>
#include "addon.h"
#include "burst.h"
#include "layout.h"
#include "soft_rings.h"

namespace framekeep {
namespace {

constexpr uint16_t kHolders = 0xff, kWithSeveral = 255;
constexpr uint32_t kWithShift = 8;
enum Owner : uint8_t { kFree, kFill, kSwitch, kHeld };

struct Head {
  uint32_t count, first, chunk_shift, checked;
  uint32_t free_count;                       // free[0 … free_count) is the stack
  uint32_t wrong_buffer, wrong_from, wrong_to;  // after -EPROTO
  uint32_t pad[8];
};
static_assert(sizeof(Head) == 64);

// free u32[count] | state u16[count] | owner u8[count], behind the head.
struct Buffers {
  Head* head; uint32_t* free; uint16_t* state; uint8_t* owner;
  uint32_t count, first, free_count;
  bool failed = false;

  bool Of(uint8_t* memory, size_t bytes) {
    head = reinterpret_cast<Head*>(memory);
    if (!memory || bytes < sizeof(Head) || (bytes - sizeof(Head)) / 7 < head->count || head->free_count > head->count || head->chunk_shift > 16) return false;
    count = head->count; first = head->first; free_count = head->free_count;
    free = reinterpret_cast<uint32_t*>(memory + sizeof(Head));
    state = reinterpret_cast<uint16_t*>(free + count);
    owner = reinterpret_cast<uint8_t*>(state + count);
    return true;
  }
  // Nothing is written past the stack, whatever a port's peer says it has sent.
  void Push(uint32_t buffer) { if (free_count < count) free[free_count++] = buffer; }
  int Done() { head->free_count = free_count; return failed ? -EPROTO : 0; }
  bool Expect(uint32_t b, Owner from, uint32_t to) {
    if (owner[b] == from) return true;
    head->wrong_buffer = b + first; head->wrong_from = from; head->wrong_to = to;
    failed = true;
    return false;
  }
};

// One holder fewer; free when it was the last. What nobody holds is passed over: a port's peer may say anything.
template <bool checked> inline void Release(Buffers& m, uint32_t b, uint16_t alone) {
  const uint16_t holders = m.state[b];
  if (checked && !m.Expect(b, kHeld, kHeld)) return;
  if (!(holders & kHolders)) return;
  const uint16_t left = uint16_t((holders - 1) & alone);
  m.state[b] = left;
  if (left & kHolders) return;
  if (checked) m.owner[b] = kFree;
  m.Push(b + m.first);
}

struct Slots { uint8_t* entries; uint32_t mask; };

// The entries of a ring that lies in `words`, if they do.
inline bool Entries(const Args<10>& a, size_t words, size_t entries, size_t mask, size_t entry_bytes, Slots& out) {
  size_t room;
  uint8_t* ring = a.bytes(words, &room);
  const size_t at = size_t(a.u32(entries)) * 4;
  out.mask = a.u32(mask);
  out.entries = ring + at;
  return ring && !(out.mask & (out.mask + 1)) && at + (size_t(out.mask) + 1) * entry_bytes <= room;
}

// burstList(burst, open, lists, listed) → frames that are listed, from the first on, or negative errno. It ends at the first that does
// not go to one open port: what to do about that is no matter of carrying out.
napi_value List(napi_env env, napi_callback_info info) {
  Args<4> a(env, info);
  size_t bytes, opens, room, counts;
  auto* burst = reinterpret_cast<const Burst*>(a.bytes(0, &bytes));
  const uint8_t* open = a.bytes(1, &opens);
  uint8_t* lists = a.bytes(2, &room);
  auto* listed = reinterpret_cast<uint16_t*>(a.bytes(3, &counts));
  if (bytes < sizeof(Burst) || opens < 256 || room < kMaxPorts * kBurst || counts < kMaxPorts * sizeof(uint16_t) || burst->count > kBurst) return Int(env, -EINVAL);
  uint32_t i = 0;
  while (i < burst->count) {
    const uint8_t to = burst->egress[i];
    if (to >= kMaxPorts || open[to] != 1 || listed[to] + burst->count > kBurst + i) break;
    uint8_t* list = lists + size_t(to) * kBurst;
    uint32_t n = listed[to];
    do list[n++] = uint8_t(i++); while (i < burst->count && burst->egress[i] == to);  // a run: its count stays in a register
    listed[to] = uint16_t(n);
  }
  return Int(env, i);
}

// buffersPut(buffers, burst, list, count, port, flooded, ring words, first entry, mask, index) → bytes put, or negative errno
napi_value Put(napi_env env, napi_callback_info info) {
  Args<10> a(env, info);
  Buffers m; Slots ring;
  size_t bytes, burst_bytes, listed, room;
  uint8_t* memory = a.bytes(0, &bytes);
  auto* burst = reinterpret_cast<Burst*>(a.bytes(1, &burst_bytes));
  const uint8_t* list = a.bytes(2, &listed);
  uint8_t* flooded = a.bytes(5, &room);
  const uint32_t count = a.u32(3), port = a.u32(4), at = a.u32(9);
  if (!m.Of(memory, bytes) || burst_bytes < sizeof(Burst) || count > listed || room < m.count || !Entries(a, 6, 7, 8, sizeof(Descriptor), ring)) return Int(env, -EINVAL);
  auto* slots = reinterpret_cast<Descriptor*>(ring.entries);
  const uint16_t alone = uint16_t((port + 1) << kWithShift | 1);
  uint64_t sum = 0;
  FetchForWriting(slots, sizeof(Descriptor), at, count, ring.mask);
  for (uint32_t k = 0; k < count; k++) {
    const uint32_t i = list[k], b = burst->buffer[i], length = burst->length[i];
    if (b >= m.count) return Int(env, -EFAULT);
    slots[(at + k) & ring.mask] = {uint64_t(burst->address_high[i]) << 32 | burst->address_low[i], length, 0};
    sum += length;
    if (burst->egress[i] < kMaxPorts) m.state[b] = alone;
    else {
      m.state[b] = uint16_t(kWithSeveral << kWithShift | ((m.state[b] & kHolders) + 1));
      flooded[b] = 1;
    }
  }
  return Int(env, int64_t(sum));
}

template <bool checked> uint32_t TakeBack(Buffers& m, const Slots& ring, uint32_t at, uint32_t n, uint8_t* flooded, uint64_t* others) {
  const auto* slots = reinterpret_cast<const uint64_t*>(ring.entries);
  const uint32_t shift = m.head->chunk_shift;
  uint32_t strangers = 0;
  for (uint32_t i = 0; i < n && !m.failed; i++) {
    const uint64_t address = slots[(at + i) & ring.mask], number = address >> shift;
    const uint32_t b = uint32_t(number) - m.first;
    if (number > kNoBuffer || b >= m.count) { others[strangers++] = address; continue; }
    const bool several = m.state[b] >> kWithShift == kWithSeveral;
    if (several) flooded[b] = 0;
    Release<checked>(m, b, several ? 0xffff : kHolders);
  }
  return strangers;
}

// buffersTakeBack(buffers, flooded, others, ring words, first entry, mask, index, count) → how many are not of this lane (their
// addresses are in `others`), or negative errno
napi_value TakeBackCall(napi_env env, napi_callback_info info) {
  Args<10> a(env, info);
  Buffers m; Slots ring;
  size_t bytes, room, others_bytes;
  uint8_t* memory = a.bytes(0, &bytes);
  uint8_t* flooded = a.bytes(1, &room);
  auto* others = reinterpret_cast<uint64_t*>(a.bytes(2, &others_bytes));
  const uint32_t at = a.u32(6), n = a.u32(7);
  if (!m.Of(memory, bytes) || room < m.count || others_bytes / 8 < n || !Entries(a, 3, 4, 5, 8, ring)) return Int(env, -EINVAL);
  const uint32_t strangers = m.head->checked ? TakeBack<true>(m, ring, at, n, flooded, others) : TakeBack<false>(m, ring, at, n, flooded, others);
  const int result = m.Done();
  return Int(env, result ? result : int(strangers));
}

// buffersGive(buffers, port, ring words, first entry, mask, index, count) → 0 or negative errno: from the stack onto a fill ring
napi_value Give(napi_env env, napi_callback_info info) {
  Args<10> a(env, info);
  Buffers m; Slots ring;
  size_t bytes;
  uint8_t* memory = a.bytes(0, &bytes);
  const uint32_t at = a.u32(5), n = a.u32(6);
  if (!m.Of(memory, bytes) || n > m.free_count || !Entries(a, 2, 3, 4, 8, ring)) return Int(env, -EINVAL);
  const uint16_t mine = uint16_t((a.u32(1) + 1) << kWithShift);
  const uint32_t shift = m.head->chunk_shift;
  auto* slots = reinterpret_cast<uint64_t*>(ring.entries);
  FetchForWriting(slots, 8, at, n, ring.mask);
  for (uint32_t i = 0; i < n && !m.failed; i++) {
    const uint32_t buffer = m.free[--m.free_count], b = buffer - m.first;
    if (b >= m.count) { m.Done(); return Int(env, -EFAULT); }
    m.state[b] = mine;
    if (m.head->checked) { if (!m.Expect(b, kFree, kFill)) break; m.owner[b] = kFill; }
    slots[(at + i) & ring.mask] = uint64_t(buffer) << shift;
  }
  return Int(env, m.Done());
}

// buffersRelease(buffers, list (Uint32Array), count) → 0 or negative errno: each of the list but NO_BUFFER
napi_value ReleaseCall(napi_env env, napi_callback_info info) {
  Args<10> a(env, info);
  Buffers m;
  size_t bytes, room;
  uint8_t* memory = a.bytes(0, &bytes);
  auto* list = reinterpret_cast<const uint32_t*>(a.bytes(1, &room));
  const uint32_t n = a.u32(2);
  if (!m.Of(memory, bytes) || room / 4 < n) return Int(env, -EINVAL);
  for (uint32_t i = 0; i < n && !m.failed; i++) {
    const uint32_t b = list[i] - m.first;
    if (list[i] == kNoBuffer) continue;
    if (b >= m.count) { m.Done(); return Int(env, -EFAULT); }
    if (m.head->checked) Release<true>(m, b, 0xffff); else Release<false>(m, b, 0xffff);
  }
  return Int(env, m.Done());
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "burstList", List, state);
  Method(env, exports, "buffersPut", Put, state);
  Method(env, exports, "buffersTakeBack", TakeBackCall, state);
  Method(env, exports, "buffersGive", Give, state);
  Method(env, exports, "buffersRelease", ReleaseCall, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
