// What the recording build (`node native/build.mjs --record`, -DFRAMEKEEP_RECORD) adds at the door: a log of every store, flush and
// fence, and faults that can be switched on. In the normal build all of it is empty, and Planted() a constant that the
// compiler removes.
#pragma once
#include <cstddef>
#include <cstdint>

namespace framekeep {

// Numbers as in native/record.ts.
enum Fault : uint32_t {
  kNoFrameFlush,       // frames are not flushed
  kNoFirstFence,       // records may reach the medium before their frames
  kNoRecordFlush,      // records stay in the cache
  kNoSecondFence,      // acknowledged, and buffers released, before the records are durable
  kEarlyRelease,       // a record's buffer is released one batch before the record is replaced
  kChecksumUnchecked,  // recovery and readers take any record whose numbers are possible
  kSequenceFirst,      // number, buffer and checksum are written first, and the checksum covers only them
  kLapNotCounted,      // the generation is not raised where the index wraps
  kZeroIsValid,        // an all-zero slot counts as a record
  kTwinsTogether,      // no fence between the two superblock copies
  kNoTableFlush,       // boot headers, ports, superblocks are not flushed
  kNoTableFence,       // … or not fenced
  kReleasesItsOwn,     // a commit gives back the buffers that its records name, not those of the records it replaced
  kScanClears,         // recovery blanks what it finds torn
  kScanGivesUp,        // recovery refuses a lane with a torn record
  kReadsToFirstHole,   // readers end at the first slot without a record
  kFaults
};

#ifdef FRAMEKEEP_RECORD
void RecordStore(void* to, const void* from, size_t n, bool stream = false);
void RecordFlush(const void* p, size_t n);
void RecordFence();
void RecordSync(const void* p, size_t n);             // msync: flush and fence of that range
void RecordMap(void* base, size_t bytes, int fd, uint64_t offset);
void RecordUnmap(void* base);
bool MappedForWriting(const void* p);
bool Planted(Fault fault);
#else
inline void RecordStore(void*, const void*, size_t, bool = false) {}
inline void RecordFlush(const void*, size_t) {}
inline void RecordFence() {}
inline void RecordSync(const void*, size_t) {}
inline void RecordMap(void*, size_t, int, uint64_t) {}
inline void RecordUnmap(void*) {}
constexpr bool MappedForWriting(const void*) { return false; }
constexpr bool Planted(Fault) { return false; }
#endif

}  // namespace framekeep
