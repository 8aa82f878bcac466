// What one lane's commit needs between calls.
#pragma once
#include <cstdint>
#include "door.h"
#include "layout.h"

namespace framekeep {

// One kept frame as the data plane hands it over: eight u32 words (logger/log.ts writes them).
struct KeepEntry {
  uint32_t addr_low, addr_high;     // where the frame begins, relative to the source mapping
  uint32_t kept, wire;              // bytes to keep, bytes on the wire
  uint32_t tags;                    // ingress | verdict << 8 | flags << 16
  uint32_t stamp_low, stamp_high;   // ns, CLOCK_MONOTONIC
  uint32_t buffer;                  // one-copy mode: the pool buffer to copy into; zero-copy: ignored
};
static_assert(sizeof(KeepEntry) == 32, "logger/log.ts");

struct LogContext {
  uint8_t* index;                   // the lane's first record
  uint8_t* buffers;                 // pool buffer 0
  uint8_t* source;                  // what addresses are relative to; == buffers in zero-copy mode
  uint32_t chunk_shift;
  uint32_t slots;
  uint32_t max_batch;
  bool copies;                      // one-copy mode
  bool frame_crc;
  bool hardware_crc;
  FlushMethod method;
  uint32_t seed;                    // CRC state after pool uuid and lane number
  uint16_t boot;
  uint64_t generation; uint32_t slot;   // of the next record
  int64_t wall_offset;              // CLOCK_REALTIME - CLOCK_MONOTONIC, ns
  uint8_t* memory; size_t memory_bytes; // one anonymous block: entries | evicted | slot_buffer | counters
  KeepEntry* entries;               // max_batch
  uint32_t* evicted;                // max_batch: the buffer whose record entry i replaced, or kNoBuffer
  uint32_t* slot_buffer;            // slots: which buffer a slot's record holds, or kNoBuffer
  uint32_t flushed;                 // leading entries of the batch whose frames are on their way to the medium already
  uint64_t lines;                   // lines that were, of those
  double* counters;                 // next sequence, records, lines flushed, fences, bytes
  ~LogContext();
};

}  // namespace framekeep
