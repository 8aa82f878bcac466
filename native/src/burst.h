// A burst's memory as C++ sees it. switch/burst.ts has the same layout, and a test holds the two to each other.
#pragma once
#include <cstdint>

namespace framekeep {

constexpr uint32_t kBurst = 256;

struct Burst {
  // in
  uint32_t entries, first, count, mask;       // the RX ring: word of its first entry, free-running index, how many, size - 1
  uint32_t min_frame, max_frame, chunk_shift, first_buffer;
  uint32_t options, seed;
  uint32_t runt, oversize, undecided;         // what `egress` begins with
  uint32_t flag_completed, flag_switch_time;  // record flags (logger/format.ts)
  uint32_t buffers;                           // of the lane: [first_buffer, first_buffer + buffers)
  // in and out: the newest stamp of this queue; out: bytes on the wire, ns and s of CLOCK_MONOTONIC
  double last_stamp, bytes, now, seconds;
  uint32_t address_low[kBurst], address_high[kBurst], length[kBurst], buffer[kBurst];
  uint32_t dst_low[kBurst], dst_high[kBurst], src_low[kBurst], src_high[kBurst], type[kBurst], dst_hash[kBurst], src_hash[kBurst];
  uint32_t stamp_low[kBurst], stamp_high[kBurst], set[2 * kBurst];
  uint8_t flags[kBurst], egress[kBurst], keep[kBurst], completed[kBurst], dst_port[kBurst];
};

// Two multiply-xorshift rounds; switch/burst.ts says why.
inline uint32_t MacHash(uint32_t low, uint32_t high, uint32_t seed) {
  uint32_t h = (low ^ seed) * 0x85ebca6bu;
  h = (h ^ (h >> 15) ^ high * 0x9e3779b1u) * 0xc2b2ae35u;
  return h ^ (h >> 13);
}

}  // namespace framekeep
