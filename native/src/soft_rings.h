// Four rings in one block of plain memory, for ports that no kernel fills: the same vocabulary and slot format as AF_XDP
// (linux/if_xdp.h), so that the data plane sees one shape of ring whatever the port is. Mirrors switch/ring.ts.
//
//   block = rx | tx | fill | completion, each `stride` bytes:
//     +0 producer u32   +64 consumer u32   +128 flags u32   +192 entries
//     rx, tx: struct xdp_desc {u64 addr, u32 len, u32 options}; fill, completion: u64 addr
//   Indices run freely and wrap at 2^32; slot = index & (size - 1).
//
// Who produces: rx and completion: the port; tx and fill: the data plane.
#pragma once
#include <cstddef>
#include <cstdint>

namespace framekeep {

struct Descriptor { uint64_t addr; uint32_t len; uint32_t options; };
static_assert(sizeof(Descriptor) == 16, "struct xdp_desc");

// One line, asked for to be stored to. (GCC makes of `__builtin_prefetch(p, 1)` a fetch for reading unless it is told -mprfchw.)
inline void FetchForWriting(const void* p) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" :: "m"(*static_cast<const uint8_t*>(p)));
#else
  __builtin_prefetch(p, 1);
#endif
}

// The lines of `n` entries of a ring, from index `at` on, all at once: another core has them, and one by one each costs the way
// there and back.
inline void FetchForWriting(const void* entries, size_t entry_bytes, uint32_t at, uint32_t n, uint32_t mask) {
  const auto* base = static_cast<const uint8_t*>(entries);
  const uint32_t a_line = uint32_t(64 / entry_bytes);
  for (uint32_t i = 0; i < n; i += a_line) FetchForWriting(base + size_t((at + i) & mask) * entry_bytes);
  if (n) FetchForWriting(base + size_t((at + n - 1) & mask) * entry_bytes);
}

struct SoftRing {
  uint32_t *producer, *consumer, *flags; uint8_t* entries; uint32_t size;
  uint32_t load(uint32_t* p) const { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
  void publish(uint32_t* p, uint32_t x) const { __atomic_store_n(p, x, __ATOMIC_RELEASE); }
  Descriptor& desc(uint32_t i) const { return reinterpret_cast<Descriptor*>(entries)[i & (size - 1)]; }
  uint64_t& addr(uint32_t i) const { return reinterpret_cast<uint64_t*>(entries)[i & (size - 1)]; }
};

struct SoftRings {
  SoftRing rx, tx, fill, completion;
  static size_t Stride(uint32_t size) { return 192 + size_t(size) * 16; }
  static size_t Bytes(uint32_t size) { return 4 * Stride(size); }
  SoftRings(uint8_t* block, uint32_t size) {
    SoftRing* all[4] = {&rx, &tx, &fill, &completion};
    for (int i = 0; i < 4; i++) {
      uint8_t* b = block + i * Stride(size);
      *all[i] = {reinterpret_cast<uint32_t*>(b), reinterpret_cast<uint32_t*>(b + 64), reinterpret_cast<uint32_t*>(b + 128), b + 192, size};
    }
  }
};

}  // namespace framekeep
