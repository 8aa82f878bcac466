// Reading kept frames while somebody may be replacing them: a burst of records and their frames is copied out in one call,
// and each copy is looked at twice.
//
//   1  copy the record, check its CRC: a record that is being written is a mixture, and does not fit
//   2  copy the frame, or as much of its beginning as who asks can look at
//   3  look at the record's generation again: unchanged means that the buffer had not been given back while it was copied,
//      since a buffer circulates only after the record that replaced its own is whole and visible (persist.cc, step 5)
//
// Nothing is written to the pool, and nobody waits.
#include <cerrno>
#include "addon.h"
#include "record.h"
#include "record_crc.h"

namespace framekeep {
namespace {

// places[i] where no frame was copied; native/read.ts has the same numbers.
constexpr uint32_t kNothing = 0xFFFFFFFFu, kOvertaken = 0xFFFFFFFEu;

// How many records ahead the frames' first lines are fetched: each is a cache miss otherwise, and small frames are little else.
constexpr uint32_t kAhead = 8;

struct Range { double chunk_shift, buffers, first_slot, count, generation, reach; };

// Of these the reach cuts nothing off: the parts of a frame are put together, and a checksum over the frame needs all of it.
constexpr uint8_t kWhole = kFlagMore | kFlagContinued | kFlagFrameCrc;

template <class Crc> uint32_t Read(const uint8_t* index, const uint8_t* buffers, uint64_t buffers_bytes, const Range& range, uint32_t seed, const uint8_t* state,
                                   IndexRecord* records, uint32_t* places, uint8_t* staging, size_t room) {
  const uint32_t shift = uint32_t(range.chunk_shift), first = uint32_t(range.first_slot), count = uint32_t(range.count), generation = uint32_t(range.generation);
  const uint32_t reach = range.reach < 65535 ? uint32_t(range.reach) : 65535;
  const uint64_t numbers = uint64_t(range.buffers);
  size_t used = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t slot = first + i;
    places[i] = kNothing;
    if (i + kAhead < count) {
      const auto* ahead = reinterpret_cast<const IndexRecord*>(index) + slot + kAhead;
      const uint64_t buffer = __atomic_load_n(&ahead->buffer, __ATOMIC_RELAXED), offset = __atomic_load_n(&ahead->offset, __ATOMIC_RELAXED);
      const uint64_t where = (buffer << shift) + offset;
      if (where + 128 < buffers_bytes) { __builtin_prefetch(buffers + where); if (reach > 64) __builtin_prefetch(buffers + where + 64); }
    }
    if (state[slot] != kSlotValid) {
      if (!Planted(kReadsToFirstHole)) continue;
      while (++i < count) places[i] = kNothing;
      return count;
    }
    const auto* words = reinterpret_cast<const uint64_t*>(index + size_t(slot) * sizeof(IndexRecord));
    const RecordWords seen = Look(index, slot);
    IndexRecord& r = records[i];
    memcpy(&r, &seen, sizeof r);
    // Another lap's: newer ones overtook the reader; an older one is a straggler, and read by its own number.
    if (r.generation != generation) { if (r.generation > generation) places[i] = kOvertaken; continue; }
    const uint64_t at = (uint64_t(r.buffer) << shift) + r.offset;
    const bool fits = r.buffer < numbers && uint64_t(r.offset) + r.kept <= (uint64_t(1) << shift) && at + r.kept <= buffers_bytes;
    if (!fits) { places[i] = kOvertaken; continue; }
    const uint32_t taken = r.kept > reach && !(r.flags & kWhole) ? reach : r.kept;
    if (used + taken > room) return i;
    memcpy(staging + used, buffers + at, taken);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    const uint32_t now = static_cast<uint32_t>(__atomic_load_n(words, __ATOMIC_RELAXED));
    uint32_t c = RecordCrc<Crc>(seed, slot, seen);
    if (r.flags & kFlagFrameCrc) c = Crc32cBytes<Crc>(c, staging + used, r.kept);
    // It was sound when the reader began: whatever it is now, it has changed since.
    if (now != generation || (~c != r.crc && !Planted(kChecksumUnchecked))) { places[i] = kOvertaken; continue; }
    places[i] = static_cast<uint32_t>(used);
    used += (size_t(taken) + 7) & ~size_t(7);
    if (used > room) used = room;
  }
  return count;
}

// framesRead(indexMapping, indexOffset, buffersMapping, Float64Array range, seed, state, records, places, staging)
//   range: chunkShift, buffers, firstSlot, count, generation, reach → slots dealt with (fewer than count: staging is full), or negative errno
napi_value FramesRead(napi_env env, napi_callback_info info) {
  Args<9> a(env, info);
  Mapping *index = a.mapping(0), *buffers = a.mapping(2);
  size_t n_range, n_seed, n_state, n_records, n_places, room;
  const auto* range = reinterpret_cast<const Range*>(a.bytes(3, &n_range));
  const uint8_t* seed = a.bytes(4, &n_seed);
  const uint8_t* state = a.bytes(5, &n_state);
  auto* records = reinterpret_cast<IndexRecord*>(a.bytes(6, &n_records));
  auto* places = reinterpret_cast<uint32_t*>(a.bytes(7, &n_places));
  uint8_t* staging = a.bytes(8, &room);
  const uint64_t offset = a.u64(1);
  if (!index || !buffers || n_range < sizeof(Range) || !(range->first_slot >= 0 && range->count >= 0 && range->reach >= 0)) return Int(env, -EINVAL);
  const uint64_t end = uint64_t(range->first_slot) + uint64_t(range->count);
  if (!HasRecords(index->bytes, offset, end) || end > n_state || range->count * sizeof(IndexRecord) > n_records || range->count * 4 > n_places) return Int(env, -EINVAL);
  return Int(env, CpuHasCrc32c()
    ? Read<HardwareCrc>(index->base + offset, buffers->base, buffers->bytes, *range, Crc32cBytes<HardwareCrc>(~0u, seed, n_seed), state, records, places, staging, room)
    : Read<TableCrc>(index->base + offset, buffers->base, buffers->bytes, *range, Crc32cBytes<TableCrc>(~0u, seed, n_seed), state, records, places, staging, room));
}

void Init(napi_env env, napi_value exports, EnvState* state) { Method(env, exports, "framesRead", FramesRead, state); }
Part part(Init);

}  // namespace
}  // namespace framekeep
