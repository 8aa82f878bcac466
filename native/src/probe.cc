// Looks a whole burst up in the forwarding table (switch/fdb.ts has its layout and its rules): where each destination is, and
// whether each source is known where it came in. Independent misses overlap when the entries are fetched ahead; for a table of
// 10^6 that is most of the cost.
#include <cerrno>
#include "addon.h"
#include "burst.h"

namespace framekeep {
namespace {

constexpr uint32_t kInUse = 0x80000000u, kStatic = 0x100, kAhead = 16;
constexpr uint8_t kUnknown = 255;

struct Entry { uint32_t low, high, port, seen; };

inline uint16_t VlanOf(uint32_t type) {   // bytes 12-15, little-endian: EtherType 0x8100 or 0x88A8, then the TCI
  const uint32_t ether = type & 0xffff;
  return ether == 0x0081 || ether == 0xa888 ? uint16_t((type >> 24) | ((type >> 8) & 0x0f00)) : 0;
}

// A relaxed load of each word: another thread may be writing, and stores word 1 last (switch/fdb.ts).
inline uint32_t Word(const uint32_t& w) { return __atomic_load_n(&w, __ATOMIC_RELAXED); }

inline Entry* Find(Entry* table, uint32_t mask, uint32_t low, uint32_t high, uint32_t hash) {
  const uint32_t key = high | kInUse;
  for (uint32_t i = hash & mask, n = 0; n <= mask; i = (i + 1) & mask, n++) {
    const uint32_t w1 = __atomic_load_n(&table[i].high, __ATOMIC_ACQUIRE);
    if (!w1) return nullptr;
    if (w1 == key && Word(table[i].low) == low) return &table[i];
  }
  return nullptr;
}

// Sets dst_port[i]: a port, or kUnknown. Returns how many sources are to be learned; those known here are refreshed.
template <bool vlans> uint32_t Probe(Burst& b, Entry* table, uint32_t mask, uint32_t ingress, uint32_t now, uint32_t ageing) {
  const uint32_t n = b.count, ahead = n < kAhead ? n : kAhead;
  uint32_t unknown = 0;
  const auto fetch = [&](uint32_t i) {
    __builtin_prefetch(&table[b.src_hash[i] & mask]);
    __builtin_prefetch(&table[b.dst_hash[i] & mask]);
  };
  for (uint32_t i = 0; i < ahead; i++) fetch(i);
  for (uint32_t i = 0; i < n; i++) {
    if (i + kAhead < n) fetch(i + kAhead);
    if (b.egress[i] != b.undecided) continue;
    uint32_t sh = b.src_high[i], dh = b.dst_high[i], src = b.src_hash[i], dst = b.dst_hash[i];
    if (vlans) {
      if (const uint32_t vlan = VlanOf(b.type[i])) {
        sh |= vlan << 16; dh |= vlan << 16;
        src = MacHash(b.src_low[i], sh, b.seed); dst = MacHash(b.dst_low[i], dh, b.seed);
      }
    }
    Entry* from = b.src_low[i] & 1 ? nullptr : Find(table, mask, b.src_low[i], sh, src);
    const uint32_t at = from ? Word(from->port) : kUnknown;
    if (at == ingress) {
      if (Word(from->seen) != now) __atomic_store_n(&from->seen, now, __ATOMIC_RELAXED);
    } else if (at < kStatic) unknown++;   // a static entry is never learned anew
    b.dst_port[i] = kUnknown;
    if (b.dst_low[i] & 1) continue;
    const Entry* to = Find(table, mask, b.dst_low[i], dh, dst);
    if (!to) continue;
    const uint32_t port = Word(to->port);
    if (port >= kStatic || !ageing || now - Word(to->seen) < ageing) b.dst_port[i] = uint8_t(port);
  }
  return unknown;
}

// fdbProbe(ArrayBuffer burst, table words, ingress, now, ageing, vlan-aware) → sources to be learned, or negative errno. Hot.
napi_value FdbProbe(napi_env env, napi_callback_info info) {
  Args<6> a(env, info);
  size_t bytes, room;
  auto* b = reinterpret_cast<Burst*>(a.bytes(0, &bytes));
  auto* table = reinterpret_cast<Entry*>(a.bytes(1, &room));
  const size_t slots = room / sizeof(Entry);
  if (!b || bytes < sizeof(Burst) || b->count > kBurst || !slots || (slots & (slots - 1))) return Int(env, -EINVAL);
  const uint32_t mask = uint32_t(slots - 1), ingress = a.u32(2), now = a.u32(3), ageing = a.u32(4);
  return Int(env, a.flag(5) ? Probe<true>(*b, table, mask, ingress, now, ageing) : Probe<false>(*b, table, mask, ingress, now, ageing));
}

void Init(napi_env env, napi_value exports, EnvState* state) { Method(env, exports, "fdbProbe", FdbProbe, state); }
Part part(Init);

}  // namespace
}  // namespace framekeep
