// Completes the checksums that a sender left to its NIC, once a burst over the slice of an RX ring.
//
// veth hands frames over as the sender's stack made them (skb->ip_summed == CHECKSUM_PARTIAL, linux/skbuff.h): the field of
// TCP or UDP holds the folded, not complemented, sum of the pseudo-header (RFC 9293 3.1, RFC 768, RFC 8200 8.1), and the
// NIC would have added the rest. Nothing in an AF_XDP descriptor says so; the field itself does:
//
//   field == P, the pseudo-header's sum   →   field := ~(P + sum of segment), which is ~(sum of segment as it stands)
//
// A finished checksum equals P by accident once in 65,536 frames, and then this changes nothing: that P verifies means that
// P == ~(P + sum of the rest), which is what would be written. So no valid frame is ever altered. (A frame whose checksum
// was wrong and happened to be P comes out valid: once in 65,536 corrupted ones.) SCTP leaves its field zero
// (net/sctp/output.c) and gets its CRC32c (RFC 9260 6.8); a frame that says zero on purpose (RFC 9653) is valid with either.
//
// Looked at: Ethernet, up to two VLAN tags, IPv4 or IPv6 with extension headers, not a fragment, headers wholly inside the
// frame, an IP length that the frame holds (padding is not summed). Left alone: what IPsec or IPv6 jumbograms carry, and what
// is inside tunnels.
//
// Measured, ns a frame, bursts of 64 (AMD EPYC 9004 at 2.6 GHz, AVX2; the call itself some 110 a burst):
//                                        64 B   1514 B
//   looked at and left alone, in cache     5–8      8
//   completed, in cache                  11–23     36
//   left alone, from a 128 MiB pool      16–19  21–23     (35–41 without the lookahead)
//   completed, from a 128 MiB pool       18–21    180     (the memory's pace)
#include <cstring>
#include "addon.h"
#include "checksum.h"
#include "crc32c.h"
#include "door.h"
#include "soft_rings.h"

namespace framekeep {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17, kSctp = 132;                 // IANA protocol numbers
constexpr uint8_t kHopByHop = 0, kRouting = 43, kDestination = 60;  // IPv6 extension headers that may stand before them

inline uint16_t Le16(const uint8_t* p) { uint16_t x; memcpy(&x, p, 2); return x; }
inline uint32_t Be16(const uint8_t* p) { return uint32_t(p[0]) << 8 | p[1]; }
inline uint64_t Le32(const uint8_t* p) { uint32_t x; memcpy(&x, p, 4); return x; }

// One's complement sums do not care about byte order (RFC 1071), so all of them are of little-endian words.
inline uint32_t Fold(uint64_t sum) {
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  return uint32_t((sum & 0xFFFF) + (sum >> 16));
}

// Headers that came by DMA or from another core are misses, which this many of overlap.
constexpr uint32_t kAhead = 8;

using Lanes = uint32_t __attribute__((vector_size(32)));

// Of at most 64 KiB: a lane takes at most 2048 times 0xFFFF.
inline __attribute__((always_inline)) uint64_t SumBytes(const uint8_t* p, size_t n) {
  uint64_t sum = 0;
  if (n >= 64) {
    Lanes even = {}, odd = {};
    for (; n >= 32; p += 32, n -= 32) { Lanes v; memcpy(&v, p, 32); even += v & 0xFFFF; odd += v >> 16; }
    even += odd;
    for (int i = 0; i < 8; i++) sum += even[i];
  }
  for (; n >= 4; p += 4, n -= 4) sum += Le32(p);
  if (n & 2) { sum += Le16(p); p += 2; }
  if (n & 1) sum += *p;
  return sum;
}
using Summer = uint64_t (*)(const uint8_t*, size_t);
uint64_t SumPlain(const uint8_t* p, size_t n) { return SumBytes(p, n); }
#if defined(__x86_64__)
__attribute__((target("avx2"))) uint64_t SumAvx2(const uint8_t* p, size_t n) { return SumBytes(p, n); }
#endif
Summer BestSummer() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return SumAvx2;
#endif
  return SumPlain;
}

uint32_t SctpChecksum(const uint8_t* p, size_t n) {
  static const bool hardware = CpuHasCrc32c();
  return ~(hardware ? Crc32cBytes<HardwareCrc>(~0u, p, n) : Crc32cBytes<TableCrc>(~0u, p, n));
}

// `segment`: the transport header; `addresses`: the sum of the pseudo-header's addresses. True when the field was written.
inline bool CompleteSegment(uint8_t* segment, size_t length, uint8_t protocol, uint64_t addresses, Summer sum) {
  if (protocol == kSctp) {
    if (length < 12 || Le32(segment + 8)) return false;
    uint32_t crc = SctpChecksum(segment, length);
    if (!crc) return false;
    DoorStore(segment + 8, &crc, 4);
    return true;
  }
  size_t at = protocol == kTcp ? 16 : 6;
  if (length < (protocol == kTcp ? 20 : 8) || (protocol == kUdp && Be16(segment + 4) != length)) return false;
  uint32_t pseudo = Fold(addresses + (uint32_t(protocol) << 8) + __builtin_bswap16(uint16_t(length)));
  uint32_t field = Le16(segment + at);
  if (field != pseudo) return false;
  auto sealed = uint16_t(~Fold(sum(segment, length)));
  if (protocol == kUdp && sealed == 0) sealed = 0xFFFF;               // RFC 768: zero would say that there is none
  if (sealed == field || (sealed == 0 && field == 0xFFFF)) return false;   // it was finished already; 0 and 0xFFFF are one number
  DoorStore(segment + at, &sealed, 2);
  return true;
}

inline bool CompleteV4(uint8_t* ip, size_t room, Summer sum) {
  if (room < 20 || ip[0] >> 4 != 4) return false;
  size_t header = size_t(ip[0] & 15) * 4, total = Be16(ip + 2);
  if (header < 20 || total < header || total > room || (Be16(ip + 6) & 0x3FFF)) return false;   // more fragments, or an offset
  uint8_t protocol = ip[9];
  if (protocol != kTcp && protocol != kUdp && protocol != kSctp) return false;
  return CompleteSegment(ip + header, total - header, protocol, Le32(ip + 12) + Le32(ip + 16), sum);
}

inline bool CompleteV6(uint8_t* ip, size_t room, Summer sum) {
  if (room < 40 || ip[0] >> 4 != 6) return false;
  size_t end = 40 + Be16(ip + 4), at = 40;
  if (end == 40 || end > room) return false;
  uint8_t next = ip[6];
  const uint8_t* destination = ip + 24;
  while (next == kHopByHop || next == kRouting || next == kDestination) {
    if (at + 8 > end) return false;
    size_t length = (size_t(ip[at + 1]) + 1) * 8;
    if (at + length > end) return false;
    if (next == kRouting && ip[at + 3]) {
      // Still on its way: the checksum is over the final destination. Type 2 (RFC 6275) holds it alone, type 4 (RFC 8754) first.
      if ((ip[at + 2] != 2 && ip[at + 2] != 4) || length < 24) return false;
      destination = ip + at + 8;
    }
    next = ip[at];
    at += length;
  }
  if (next != kTcp && next != kUdp && next != kSctp) return false;
  uint64_t addresses = 0;
  for (int i = 0; i < 16; i += 4) addresses += Le32(ip + 8 + i) + Le32(destination + i);
  return CompleteSegment(ip + at, end - at, next, addresses, sum);
}

inline bool CompleteFrame(uint8_t* frame, size_t length, Summer sum) {
  size_t at = 14;
  if (length < at) return false;
  uint32_t type = Be16(frame + 12);
  for (int tags = 0; tags < 2 && (type == 0x8100 || type == 0x88A8); tags++) {
    if (length < at + 4) return false;
    type = Be16(frame + at + 2);
    at += 4;
  }
  if (type == 0x0800) return CompleteV4(frame + at, length - at, sum);
  if (type == 0x86DD) return CompleteV6(frame + at, length - at, sum);
  return false;
}

// completeChecksums(mapping, ring words, word of the first entry, first, count, mask, Uint8Array completed) → how many were
// completed, or negative errno. Hot: one call a burst.
napi_value CompleteChecksums(napi_env env, napi_callback_info info) {
  Args<7> a(env, info);
  static const Summer sum = BestSummer();
  Mapping* m = a.mapping(0);
  size_t room, marks;
  const uint8_t* ring = a.bytes(1, &room);
  uint8_t* completed = a.bytes(6, &marks);
  const size_t entries = size_t(a.u32(2)) * 4;
  const uint32_t first = a.u32(3), count = a.u32(4), mask = a.u32(5);
  if (!m || !ring || (mask & (mask + 1)) || count > marks || entries + (size_t(mask) + 1) * sizeof(Descriptor) > room) return Int(env, -22);
  const auto* slots = reinterpret_cast<const Descriptor*>(ring + entries);
  uint32_t n = 0;
  for (uint32_t i = 0; i < count; i++) {
    const Descriptor& d = slots[(first + i) & mask];
    completed[i] = 0;
    __builtin_prefetch(reinterpret_cast<const void*>(uintptr_t(m->base) + slots[(first + i + kAhead) & mask].addr));
    if (d.addr > m->bytes || d.len > m->bytes - d.addr || (d.options & 1)) continue;   // XDP_PKT_CONTD: not the whole frame
    completed[i] = CompleteFrame(m->base + d.addr, d.len, sum);
    n += completed[i];
  }
  return Int(env, n);
}

void Init(napi_env env, napi_value exports, EnvState* state) { Method(env, exports, "completeChecksums", CompleteChecksums, state); }
Part part(Init);

}  // namespace

uint16_t InternetChecksum(const uint8_t* p, size_t n) { return uint16_t(~Fold(SumBytes(p, n))); }

}  // namespace framekeep
