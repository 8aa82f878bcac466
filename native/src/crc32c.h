// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720 appendix B.4), by the CPU's instruction where it has one.
// Values are the usual finished ones: initial and final inversion are the caller's (Crc32cFinish), so that sums chain.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace framekeep {

inline bool CpuHasCrc32c() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("sse4.2");
#elif defined(__aarch64__)
  return getauxval(AT_HWCAP) & (1 << 7);  // HWCAP_CRC32
#else
  return false;
#endif
}

struct HardwareCrc {
  static inline uint32_t Word(uint32_t crc, uint64_t x) {
#if defined(__x86_64__)
    uint64_t c = crc; asm("crc32q %1, %0" : "+r"(c) : "r"(x)); return static_cast<uint32_t>(c);
#elif defined(__aarch64__)
    asm(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(x)); return crc;
#else
    (void)x; return crc;
#endif
  }
  static inline uint32_t Half(uint32_t crc, uint32_t x) {
#if defined(__x86_64__)
    asm("crc32l %1, %0" : "+r"(crc) : "r"(x)); return crc;
#elif defined(__aarch64__)
    asm(".arch_extension crc\n\tcrc32cw %w0, %w0, %w1" : "+r"(crc) : "r"(x)); return crc;
#else
    (void)x; return crc;
#endif
  }
  static inline uint32_t Byte(uint32_t crc, uint8_t x) {
#if defined(__x86_64__)
    asm("crc32b %1, %0" : "+r"(crc) : "r"(x)); return crc;
#elif defined(__aarch64__)
    asm(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(static_cast<uint32_t>(x))); return crc;
#else
    (void)x; return crc;
#endif
  }
};

struct TableCrc {
  struct Table { uint32_t t[256]; Table() { for (uint32_t i = 0; i < 256; i++) { uint32_t c = i; for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1; t[i] = c; } } };
  static inline uint32_t Byte(uint32_t crc, uint8_t x) { static const Table table; return table.t[(crc ^ x) & 255] ^ (crc >> 8); }
  static inline uint32_t Half(uint32_t crc, uint32_t x) { for (int i = 0; i < 4; i++) crc = Byte(crc, static_cast<uint8_t>(x >> (8 * i))); return crc; }
  static inline uint32_t Word(uint32_t crc, uint64_t x) { return Half(Half(crc, static_cast<uint32_t>(x)), static_cast<uint32_t>(x >> 32)); }
};

template <class Crc> inline uint32_t Crc32cBytes(uint32_t crc, const uint8_t* p, size_t n) {
  for (; n >= 8; n -= 8, p += 8) { uint64_t x; memcpy(&x, p, 8); crc = Crc::Word(crc, x); }
  for (; n; n--, p++) crc = Crc::Byte(crc, *p);
  return crc;
}

}  // namespace framekeep
