// The index record as C++ sees it. docs/format.md and logger/format.ts say the same; test/10-format.test.ts holds the
// three to each other through `layoutOf`.
#pragma once
#include <cstddef>
#include <cstdint>

namespace framekeep {

struct IndexRecord {            // 32 bytes, little-endian, two to a cache line, at an address that is a multiple of 32
  uint32_t generation;          // sequence = (generation - 1) * slots + slot; 0: never written
  uint32_t buffer;              // number of the pool buffer that holds the frame (or this part of it)
  uint64_t timestamp;           // ns since 1970-01-01T00:00:00Z
  uint16_t offset;              // where the frame begins within the buffer, bytes
  uint16_t kept;                // bytes kept in this buffer
  uint16_t wire_low;            // length on the wire, low 16 bits
  uint8_t ingress;              // port number within the boot's port table
  uint8_t verdict;              // egress port number, or a code: see format.ts
  uint16_t boot;                // low 16 bits of the boot id
  uint8_t flags;
  uint8_t wire_high;            // length on the wire, bits 16–23
  uint32_t crc;                 // CRC-32C, see docs/format.md
};
static_assert(sizeof(IndexRecord) == 32 && offsetof(IndexRecord, timestamp) == 8 && offsetof(IndexRecord, offset) == 16 &&
              offsetof(IndexRecord, boot) == 24 && offsetof(IndexRecord, crc) == 28, "docs/format.md");

// A record as four words, by shifts: written field by field and read back as words, each load would wait for its stores (three
// times some 15 cycles a record).
struct RecordWords { uint64_t w[4]; };
inline RecordWords WordsOf(const IndexRecord& r) {
  return {{r.generation | uint64_t(r.buffer) << 32, r.timestamp,
           r.offset | uint64_t(r.kept) << 16 | uint64_t(r.wire_low) << 32 | uint64_t(r.ingress) << 48 | uint64_t(r.verdict) << 56,
           r.boot | uint64_t(r.flags) << 16 | uint64_t(r.wire_high) << 24 | uint64_t(r.crc) << 32}};
}

constexpr uint8_t kFlagMore = 0x01, kFlagContinued = 0x02;   // the frame goes on in the next record; this one continues it
constexpr uint8_t kFlagChecksumCompleted = 0x04;
constexpr uint8_t kFlagFrameCrc = 0x08;   // the record's CRC also covers the kept bytes
constexpr uint32_t kNoBuffer = 0xFFFFFFFFu;
constexpr uint32_t kMaxPorts = 64;        // MAX_PORTS, logger/format.ts

// What is known of a record: SLOT_* of native/persist.ts.
constexpr uint8_t kSlotEmpty = 0, kSlotValid = 1, kSlotTorn = 2, kSlotBeyond = 3;

// Whether so many records, from `offset` on, lie within so many bytes. Of numbers that somebody else gave: nothing here wraps around.
inline bool HasRecords(uint64_t bytes, uint64_t offset, uint64_t slots) {
  return offset <= bytes && slots <= (bytes - offset) / sizeof(IndexRecord);
}

// The record of a slot, of an index that may change meanwhile: each word is read once.
inline RecordWords Look(const uint8_t* index, uint32_t slot) {
  const auto* words = reinterpret_cast<const uint64_t*>(index + size_t(slot) * sizeof(IndexRecord));
  RecordWords seen;
  for (int k = 0; k < 4; k++) seen.w[k] = __atomic_load_n(words + k, __ATOMIC_RELAXED);
  return seen;
}

}  // namespace framekeep
