// The one door to the medium. Every byte that framekeep itself puts into a pool file goes through DoorStore*, and
// becomes durable by DoorFlush and DoorFence. (What a NIC, a tap's read(2) or a replayed capture delivers into a receive
// buffer is the wire's doing; it becomes durable by the same DoorFlush.)
//
// What a flush is depends on the medium (PERSISTENCE table in docs/architecture.md):
//   kNone      the page outlives the process whatever the cache holds (tmpfs, hugetlbfs), or the cache is inside the
//              persistence domain (eADR): only store order counts
//   kClwb …    a cache line reaches the persistence domain when it was written back and a fence followed
//   kMsync     a page-cache file: the kernel writes back whole pages
//
// The recording build keeps a log of what passes here (record.h): test/26-crash-states.test.ts makes every crash image of it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include "record.h"
#if defined(__x86_64__)
#include <cpuid.h>
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace framekeep {

enum FlushMethod : uint32_t { kNone = 0, kClwb = 1, kClflushopt = 2, kClflush = 3, kDcCvap = 4, kMsync = 5 };
constexpr uintptr_t kLine = 64;

// The best instruction this CPU has (Intel SDM vol. 2, CPUID leaf 7 EBX bits 23 and 24; Arm ARM, HWCAP_DCPOP).
inline FlushMethod BestFlush() {
#if defined(__x86_64__)
  unsigned a, b = 0, c, d;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    if (b & (1u << 24)) return kClwb;
    if (b & (1u << 23)) return kClflushopt;
  }
  return kClflush;
#elif defined(__aarch64__)
  return getauxval(AT_HWCAP) & (1ul << 16) ? kDcCvap : kMsync;
#else
  return kMsync;
#endif
}

template <FlushMethod M> inline void DoorFlushLine(const void* p) {
#if defined(__x86_64__)
  auto line = reinterpret_cast<volatile char*>(const_cast<void*>(p));
  if constexpr (M == kClwb) asm volatile(".byte 0x66; xsaveopt %0" : "+m"(*line));        // clwb
  if constexpr (M == kClflushopt) asm volatile(".byte 0x66; clflush %0" : "+m"(*line));   // clflushopt
  if constexpr (M == kClflush) asm volatile("clflush %0" : "+m"(*line));
#elif defined(__aarch64__)
  if constexpr (M == kDcCvap) asm volatile("sys #3, c7, c12, #1, %0" ::"r"(p) : "memory");  // dc cvap
#else
  (void)p;
#endif
}

// Flushes every line that [p, p+n) touches; returns how many that were.
template <FlushMethod M> inline uint32_t DoorFlush(const void* p, size_t n) {
  uintptr_t first = reinterpret_cast<uintptr_t>(p) & ~(kLine - 1), end = reinterpret_cast<uintptr_t>(p) + n;
  if constexpr (M == kNone || M == kMsync) return 0;
  RecordFlush(p, n);
  for (uintptr_t a = first; a < end; a += kLine) DoorFlushLine<M>(reinterpret_cast<void*>(a));
  return static_cast<uint32_t>((end - first + kLine - 1) / kLine);
}

inline uint32_t DoorFlushBy(FlushMethod m, const void* p, size_t n) {
  switch (m) {
    case kClwb: return DoorFlush<kClwb>(p, n);
    case kClflushopt: return DoorFlush<kClflushopt>(p, n);
    case kClflush: return DoorFlush<kClflush>(p, n);
    case kDcCvap: return DoorFlush<kDcCvap>(p, n);
    default: return 0;
  }
}

// Everything stored and flushed before is in the persistence domain before anything stored after.
inline void DoorFence() {
  RecordFence();
#if defined(__x86_64__)
  asm volatile("sfence" ::: "memory");
#elif defined(__aarch64__)
  asm volatile("dsb sy" ::: "memory");
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

inline void DoorStore(void* to, const void* from, size_t n) {
  memcpy(to, from, n);
  RecordStore(to, from, n);
}

// One aligned 8-byte store. With `stream` it bypasses the cache (movnti), and is durable after the next fence without a flush.
template <bool stream> inline void DoorStore64(uint64_t* to, uint64_t x) {
  RecordStore(to, &x, sizeof x, stream);
#if defined(__x86_64__)
  if constexpr (stream) { _mm_stream_si64(reinterpret_cast<long long*>(to), static_cast<long long>(x)); return; }
#endif
  __atomic_store_n(to, x, __ATOMIC_RELAXED);
}

}  // namespace framekeep
