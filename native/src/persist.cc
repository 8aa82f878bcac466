// The commit: makes a burst of kept frames durable and findable, in one native call.
//
//   1  flush every line of every kept frame (the NIC may have put it into the cache: DDIO)      frame bytes
//   2  fence
//   3  write the 32-byte records, CRC in hardware, past the cache                               index records
//   4  fence
//   5  only now do the buffers of the replaced records go back to the caller                    evicted[]
//
// Exactly two fences a burst, and exactly the touched lines: counted, and asserted in the tests.
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cerrno>
#include "addon.h"
#include "burst.h"
#include "crc32c.h"
#include "door.h"
#include "log_context.h"
#include "record.h"
#include "record_crc.h"

namespace framekeep {

LogContext::~LogContext() { if (memory) munmap(memory, memory_bytes); }

namespace {

enum Counter { kNextSequence, kRecords, kLines, kFences, kBytes, kCounters };

uint64_t Now(clockid_t id) { timespec t; clock_gettime(id, &t); return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec); }

// Wall clock less monotonic clock. A thread that loses its CPU between the readings would be wrong by as long: the wall clock is read
// between two of the other, and of some tries the closest counts. *span: what it can be wrong by, twice.
int64_t WallOffset(int64_t* span) {
  int64_t offset = 0;
  *span = INT64_MAX;
  for (int tries = 0; tries < 8 && *span > 500; tries++) {
    const uint64_t before = Now(CLOCK_MONOTONIC), wall = Now(CLOCK_REALTIME);
    const int64_t took = int64_t(Now(CLOCK_MONOTONIC) - before);
    if (took < *span) { *span = took; offset = int64_t(wall - before) - took / 2; }
  }
  return offset;
}

// Keeps wall_offset unless the clocks have drifted by more than 1 us: two readings differ by some 30 ns even when nothing
// moved, and times of one boot should not go backwards for that.
void FollowWallClock(LogContext& log) {
  const auto moved = [&log](int64_t offset, int64_t by) { return offset - log.wall_offset > by || log.wall_offset - offset > by; };
  if (!moved(int64_t(Now(CLOCK_REALTIME)) - int64_t(Now(CLOCK_MONOTONIC)), 1000)) return;
  int64_t span;
  const int64_t offset = WallOffset(&span);
  if (moved(offset, 1000 + span / 2)) log.wall_offset = offset;
}

// msync of the pages that [from, to) touches.
int SyncPages(uint8_t* from, uint8_t* to) {
  uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE)), a = uintptr_t(from) & ~(page - 1);
  RecordSync(from, size_t(to - from));
  return msync(reinterpret_cast<void*>(a), uintptr_t(to) - a, MS_SYNC) ? -errno : 0;
}

template <FlushMethod M, class Crc> int Commit(LogContext& log, uint32_t n) {
  constexpr bool stream = M == kClwb || M == kClflushopt || M == kClflush;
  const uint64_t mask = (uint64_t(1) << log.chunk_shift) - 1;
  uint64_t lines = log.lines, bytes = 0;
  uint8_t *lowest = nullptr, *highest = nullptr;
  for (uint32_t i = log.flushed; i < n; i++) {
    const KeepEntry& e = log.entries[i];
    uint64_t addr = uint64_t(e.addr_high) << 32 | e.addr_low;
    uint8_t* frame = log.source + addr;
    if (log.copies) {
      uint8_t* to = log.buffers + (uint64_t(e.buffer) << log.chunk_shift);
      DoorStore(to, frame, e.kept);
      frame = to;
    }
    if (!Planted(kNoFrameFlush)) lines += DoorFlush<M>(frame, e.kept);
    if constexpr (M == kMsync) {
      if (!lowest || frame < lowest) lowest = frame;
      if (frame + e.kept > highest) highest = frame + e.kept;
    }
  }
  if constexpr (M == kMsync) { if (n && !Planted(kNoFrameFlush)) if (int r = SyncPages(lowest, highest)) return r; }
  log.flushed = 0; log.lines = 0;
  if (!Planted(kNoFirstFence)) DoorFence();

  FollowWallClock(log);
  // What does not change, or only here, in locals: the compiler cannot know that no store to the index changes it.
  const KeepEntry* const entries = log.entries;
  const uint32_t first = log.slot, slots = log.slots, shift = log.chunk_shift, seed = log.seed;
  const bool copies = log.copies, frame_crc = log.frame_crc;
  const auto offset = uint64_t(log.wall_offset);
  uint32_t* const slot_buffer = log.slot_buffer; uint32_t* const evicted = log.evicted;
  uint32_t slot = first;
  uint64_t generation = log.generation;
  bool wrapped = false;
  IndexRecord r;
  r.boot = log.boot;
  for (uint32_t i = 0; i < n; i++) {
    const KeepEntry& e = entries[i];
    const uint64_t addr = uint64_t(e.addr_high) << 32 | e.addr_low;
    bytes += e.kept;
    r.generation = uint32_t(generation + 1);
    r.buffer = copies ? e.buffer : uint32_t(addr >> shift);
    r.timestamp = (uint64_t(e.stamp_high) << 32 | e.stamp_low) + offset;
    r.offset = copies ? 0 : uint16_t(addr & mask);
    r.kept = uint16_t(e.kept);
    r.wire_low = uint16_t(e.wire); r.wire_high = uint8_t(e.wire >> 16);
    r.ingress = uint8_t(e.tags); r.verdict = uint8_t(e.tags >> 8);
    r.flags = uint8_t(e.tags >> 16 | (frame_crc ? kFlagFrameCrc : 0));
    r.crc = 0;
    RecordWords words = WordsOf(r);
    uint32_t c = RecordCrc<Crc>(seed, slot, words);
    if (frame_crc) c = Crc32cBytes<Crc>(c, log.buffers + (uint64_t(r.buffer) << shift) + r.offset, r.kept);
    words.w[3] |= uint64_t(~c) << 32;
    auto* to = reinterpret_cast<uint64_t*>(log.index + uint64_t(slot) * sizeof(IndexRecord));
    const auto store = [&](int w) { if (Planted(kNoRecordFlush)) DoorStore64<false>(to + w, words.w[w]); else DoorStore64<stream>(to + w, words.w[w]); };
    if (Planted(kSequenceFirst)) { store(0); store(3); store(1); store(2); }
    else { store(0); store(1); store(2); store(3); }
    // Two records a line: it is flushed once, with the second or the last.
    if constexpr (!stream && M != kNone && M != kMsync) {
      if (!Planted(kNoRecordFlush) && ((slot & 1) || i + 1 == n || slot + 1 == slots)) DoorFlush<M>(to, sizeof r);
    }
    const uint32_t released = Planted(kEarlyRelease) ? (slot + log.max_batch) % slots : slot;
    evicted[i] = Planted(kReleasesItsOwn) ? r.buffer : slot_buffer[released];
    if (Planted(kEarlyRelease)) slot_buffer[released] = kNoBuffer;
    slot_buffer[slot] = r.buffer;
    if (++slot == slots) { slot = 0; generation += !Planted(kLapNotCounted); wrapped = true; }
  }
  log.slot = slot; log.generation = generation;
  if constexpr (M == kMsync) {
    const size_t size = sizeof(IndexRecord);
    int r = 0;
    if (n && !Planted(kNoRecordFlush)) {
      if (wrapped && log.slot) r = SyncPages(log.index, log.index + log.slot * size);
      if (!r) r = SyncPages(log.index + first * size, log.index + (wrapped ? log.slots : log.slot) * size);
    }
    if (r) return r;
  }
  if (!Planted(kNoSecondFence)) DoorFence();

  log.counters[kNextSequence] = double(log.generation) * log.slots + log.slot;
  log.counters[kRecords] += n;
  log.counters[kLines] += double(lines);
  log.counters[kFences] += 2;
  log.counters[kBytes] += double(bytes);
  return 0;
}

template <class Crc> int CommitBy(LogContext& log, uint32_t n) {
  switch (log.method) {
    case kClwb: return Commit<kClwb, Crc>(log, n);
    case kClflushopt: return Commit<kClflushopt, Crc>(log, n);
    case kClflush: return Commit<kClflush, Crc>(log, n);
    case kDcCvap: return Commit<kDcCvap, Crc>(log, n);
    case kMsync: return Commit<kMsync, Crc>(log, n);
    default: return Commit<kNone, Crc>(log, n);
  }
}

// logOpen(indexMapping, indexOffset, buffersMapping, sourceMapping, Float64Array options, uuidAndLane bytes)
//   options: chunkShift, slots, maxBatch, copies, frameCrc, method, boot, nextSequence
napi_value LogOpen(napi_env env, napi_callback_info info) {
  Args<6> a(env, info);
  Mapping *index = a.mapping(0), *buffers = a.mapping(2), *source = a.mapping(3);
  size_t n = 0, seed_bytes = 0;
  auto* o = reinterpret_cast<double*>(a.bytes(4, &n));
  const uint8_t* seed = a.bytes(5, &seed_bytes);
  if (!index || !buffers || !source || n < 8 * sizeof(double)) return Int(env, -EINVAL);
  auto log = std::make_unique<LogContext>();
  log->index = index->base + a.u64(1);
  log->buffers = buffers->base;
  log->source = source->base;
  log->chunk_shift = uint32_t(o[0]); log->slots = uint32_t(o[1]); log->max_batch = uint32_t(o[2]);
  log->copies = o[3] != 0; log->frame_crc = o[4] != 0;
  log->method = FlushMethod(uint32_t(o[5])); log->boot = uint16_t(uint32_t(o[6]));
  log->generation = uint64_t(o[7]) / log->slots; log->slot = uint32_t(uint64_t(o[7]) % log->slots);
  log->hardware_crc = CpuHasCrc32c();
  log->seed = log->hardware_crc ? Crc32cBytes<HardwareCrc>(~0u, seed, seed_bytes) : Crc32cBytes<TableCrc>(~0u, seed, seed_bytes);
  int64_t span;
  log->wall_offset = WallOffset(&span);
  size_t entries = size_t(log->max_batch) * sizeof(KeepEntry), evicted = (size_t(log->max_batch) * 4 + 63) & ~size_t(63);
  size_t slots = (size_t(log->slots) * 4 + 63) & ~size_t(63), counters = 64;
  log->memory_bytes = entries + evicted + slots + counters;
  void* m = mmap(nullptr, log->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (m == MAP_FAILED) { log->memory = nullptr; return Int(env, -errno); }
  log->memory = static_cast<uint8_t*>(m);
  log->entries = reinterpret_cast<KeepEntry*>(log->memory);
  log->evicted = reinterpret_cast<uint32_t*>(log->memory + entries);
  log->slot_buffer = reinterpret_cast<uint32_t*>(log->memory + entries + evicted);
  log->counters = reinterpret_cast<double*>(log->memory + entries + evicted + slots);
  log->counters[kNextSequence] = o[7];
  memset(log->slot_buffer, 0xFF, size_t(log->slots) * 4);
  napi_value result = Obj(env);
  Set(env, result, "id", Num(env, double(a.state->logs.size())));
  Set(env, result, "entries", View(env, log->entries, entries));
  Set(env, result, "evicted", View(env, log->evicted, size_t(log->max_batch) * 4));
  Set(env, result, "slotBuffer", View(env, log->slot_buffer, size_t(log->slots) * 4));
  Set(env, result, "counters", View(env, log->counters, kCounters * sizeof(double)));
  a.state->logs.push_back(std::move(log));
  return result;
}

// logCommit(id, count) → 0 or negative errno. Hot: one call a burst.
napi_value LogCommit(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  uint32_t id = a.u32(0), n = a.u32(1);
  if (id >= a.state->logs.size() || !a.state->logs[id] || n > a.state->logs[id]->max_batch) return Int(env, -EINVAL);
  LogContext& log = *a.state->logs[id];
  return Int(env, log.hardware_crc ? CommitBy<HardwareCrc>(log, n) : CommitBy<TableCrc>(log, n));
}

// The burst's kept frames of [from, to) join the batch behind its `at` first entries. Overlapped flushing (PASTE, section 4): their lines are
// on their way while the switch forwards, and the commit's fence waits for what is left. Returns the batch's entries then.
template <FlushMethod M> uint32_t Append(LogContext& log, Burst& b, uint32_t from, uint32_t to, uint32_t at, uint32_t ingress, uint32_t snap) {
  KeepEntry* const entries = log.entries;
  const uint8_t* source = log.source;
  uint64_t sum = 0, lines = 0;
  uint32_t end = at;
  for (uint32_t i = from; i < to; i++) {
    if (b.keep[i] != 1) {
      uint64_t eight;
      if (!(i & 7) && i + 8 <= to && (memcpy(&eight, b.keep + i, 8), !eight)) i += 7;  // few are kept: most eights hold none
      continue;
    }
    const uint32_t wire = b.length[i], kept = wire < snap ? wire : snap, low = b.address_low[i], high = b.address_high[i];
    entries[end++] = {low, high, kept, wire, ingress | uint32_t(b.egress[i]) << 8 | uint32_t(b.flags[i]) << 16, b.stamp_low[i], b.stamp_high[i], 0};
    sum += kept;
    lines += DoorFlush<M>(source + (uint64_t(high) << 32 | low), kept);
  }
  b.bytes = double(sum);
  if constexpr (M != kNone) { log.flushed = end; log.lines += lines; }
  return end;
}

// logAppend(id, ArrayBuffer burst, from, to, first entry, ingress, snap) → entries appended, or negative errno. The burst's kept
// frames of [from, to), as the next entries of the batch; their bytes are in the burst's `bytes` then. Hot: one call a burst.
napi_value LogAppend(napi_env env, napi_callback_info info) {
  Args<7> a(env, info);
  size_t bytes;
  const uint32_t id = a.u32(0), from = a.u32(2), to = a.u32(3), at = a.u32(4), ingress = a.u32(5), snap = a.u32(6);
  auto* b = reinterpret_cast<Burst*>(a.bytes(1, &bytes));
  if (id >= a.state->logs.size() || !a.state->logs[id] || !b || bytes < sizeof(Burst) || to > kBurst || from > to) return Int(env, -EINVAL);
  LogContext& log = *a.state->logs[id];
  if (at > log.max_batch || to - from > log.max_batch - at) return Int(env, -EINVAL);
  if (at == 0) { log.flushed = 0; log.lines = 0; }
  // What is copied is flushed where it is copied to, and pages are synced once: both by the commit.
  const bool early = log.flushed == at && !log.copies && !Planted(kNoFrameFlush);
  const auto append = [&] {
    switch (early ? log.method : kNone) {
      case kClwb: return Append<kClwb>(log, *b, from, to, at, ingress, snap);
      case kClflushopt: return Append<kClflushopt>(log, *b, from, to, at, ingress, snap);
      case kClflush: return Append<kClflush>(log, *b, from, to, at, ingress, snap);
      case kDcCvap: return Append<kDcCvap>(log, *b, from, to, at, ingress, snap);
      default: return Append<kNone>(log, *b, from, to, at, ingress, snap);
    }
  };
  return Int(env, append() - at);
}

// logBoot(id, boot): the records from now on belong to that run.
napi_value LogBoot(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  uint32_t id = a.u32(0);
  if (id >= a.state->logs.size() || !a.state->logs[id]) return Int(env, -EINVAL);
  a.state->logs[id]->boot = uint16_t(a.u32(1));
  return Int(env, 0);
}

// logClose(id, entries, evicted, slotBuffer, counters): detaches the views and frees the lane's volatile memory.
napi_value LogClose(napi_env env, napi_callback_info info) {
  Args<5> a(env, info);
  uint32_t id = a.u32(0);
  for (size_t i = 1; i < a.count && i < 5; i++) Detach(env, a.v[i]);
  if (id < a.state->logs.size()) a.state->logs[id].reset();
  return Int(env, 0);
}

// Checks a lane's records.  result[slot]: empty (never written, all zero), valid, torn (or damaged), beyond (valid, but its buffer lies past the given bytes)
template <class Crc> uint32_t Scan(const uint8_t* index, uint32_t first, uint32_t slots, const uint8_t* buffers, uint64_t buffers_bytes,
                                   uint32_t seed, uint32_t chunk_shift, uint64_t count, uint8_t* result) {
  uint32_t valid = 0;
  for (uint32_t slot = first; slot < first + slots; slot++, result++) {
    IndexRecord r; RecordWords words;
    memcpy(&r, index + size_t(slot) * sizeof r, sizeof r);
    memcpy(&words, &r, sizeof words);
    if (!(words.w[0] | words.w[1] | words.w[2] | words.w[3])) { *result = Planted(kZeroIsValid) ? kSlotValid : kSlotEmpty; continue; }
    *result = kSlotTorn;
    if (!r.generation || r.buffer >= count || uint64_t(r.offset) + r.kept > (uint64_t(1) << chunk_shift)) continue;
    uint32_t crc = r.crc, c = RecordCrc<Crc>(seed, slot, words);
    if (r.flags & kFlagFrameCrc) {
      uint64_t at = (uint64_t(r.buffer) << chunk_shift) + r.offset;
      if (at + r.kept > buffers_bytes) { *result = kSlotBeyond; continue; }
      c = Crc32cBytes<Crc>(c, buffers + at, r.kept);
    }
    if (~c != crc && !Planted(kChecksumUnchecked)) continue;
    *result = (uint64_t(r.buffer) << chunk_shift) + r.offset + r.kept > buffers_bytes ? kSlotBeyond : kSlotValid;
    valid += *result == kSlotValid;
  }
  return valid;
}

// indexScan(indexMapping, indexOffset, buffersMapping or -1, firstSlot, slots, chunkShift, buffers, uuidAndLane, result) → number of valid records
napi_value IndexScan(napi_env env, napi_callback_info info) {
  Args<9> a(env, info);
  Mapping *m = a.mapping(0), *buffers = a.i32(2) < 0 ? nullptr : a.mapping(2);
  uint64_t index = a.u64(1); uint32_t first = a.u32(3), slots = a.u32(4), shift = a.u32(5); uint64_t count = a.u64(6);
  size_t seed_bytes, room;
  const uint8_t* seed = a.bytes(7, &seed_bytes); uint8_t* result = a.bytes(8, &room);
  if (!m || room < slots || !HasRecords(m->bytes, index, uint64_t(first) + slots)) return Int(env, -EINVAL);
  uint64_t bytes = buffers ? buffers->bytes : 0;
  const uint8_t* base = buffers ? buffers->base : nullptr;
  uint32_t n = CpuHasCrc32c()
    ? Scan<HardwareCrc>(m->base + index, first, slots, base, bytes, Crc32cBytes<HardwareCrc>(~0u, seed, seed_bytes), shift, count, result)
    : Scan<TableCrc>(m->base + index, first, slots, base, bytes, Crc32cBytes<TableCrc>(~0u, seed, seed_bytes), shift, count, result);
  if (Planted(kScanGivesUp) && memchr(result, kSlotTorn, slots)) return Int(env, -EBADMSG);
  if (Planted(kScanClears) && MappedForWriting(m->base)) {
    const IndexRecord blank = {};
    for (uint32_t i = 0; i < slots; i++) if (result[i] == kSlotTorn) DoorStore(m->base + index + (size_t(first) + i) * sizeof blank, &blank, sizeof blank);
  }
  return Int(env, n);
}

// crc32c(bytes) → the finished sum.
napi_value Crc32c(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  size_t n; const uint8_t* p = a.bytes(0, &n);
  return Num(env, double(uint32_t(~(CpuHasCrc32c() ? Crc32cBytes<HardwareCrc>(~0u, p, n) : Crc32cBytes<TableCrc>(~0u, p, n)))));
}
napi_value Crc32cTable(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  size_t n; const uint8_t* p = a.bytes(0, &n);
  return Num(env, double(uint32_t(~Crc32cBytes<TableCrc>(~0u, p, n))));
}

// doorStore(mapping, offset, bytes) / doorFlush(mapping, offset, length, method) / doorFence(): the cold path's door
// (superblock, boot blocks); returns 0, the number of lines flushed, or negative errno.
napi_value DoorStoreCall(napi_env env, napi_callback_info info) {
  Args<3> a(env, info);
  Mapping* m = a.mapping(0); size_t n; const uint8_t* from = a.bytes(2, &n); uint64_t at = a.u64(1);
  if (!m || !from || at + n > m->bytes) return Int(env, -EINVAL);
  DoorStore(m->base + at, from, n);
  return Int(env, 0);
}
napi_value DoorFlushCall(napi_env env, napi_callback_info info) {
  Args<4> a(env, info);
  Mapping* m = a.mapping(0); uint64_t at = a.u64(1), n = a.u64(2); auto method = FlushMethod(a.u32(3));
  if (!m || at + n > m->bytes) return Int(env, -EINVAL);
  if (Planted(kNoTableFlush)) return Int(env, 0);
  if (method == kMsync) return Int(env, n ? SyncPages(m->base + at, m->base + at + n) : 0);
  return Int(env, DoorFlushBy(method, m->base + at, n));
}
napi_value DoorFenceCall(napi_env env, napi_callback_info) {
  if (!Planted(kNoTableFence)) DoorFence();
  return Int(env, 0);
}

napi_value BestFlushCall(napi_env env, napi_callback_info) { return Num(env, BestFlush()); }

// layoutOf() → offsets of IndexRecord's fields, for the test that holds C++ and TypeScript to each other.
napi_value LayoutOf(napi_env env, napi_callback_info) {
  napi_value o = Obj(env);
#define FIELD(f) Set(env, o, #f, Num(env, offsetof(IndexRecord, f)))
  FIELD(generation); FIELD(buffer); FIELD(timestamp); FIELD(offset); FIELD(kept); FIELD(wire_low); FIELD(ingress); FIELD(verdict);
  FIELD(boot); FIELD(flags); FIELD(wire_high); FIELD(crc);
#undef FIELD
  Set(env, o, "size", Num(env, sizeof(IndexRecord)));
  Set(env, o, "flagFrameCrc", Num(env, kFlagFrameCrc));
  return o;
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "logOpen", LogOpen, state);
  Method(env, exports, "logCommit", LogCommit, state);
  Method(env, exports, "logAppend", LogAppend, state);
  Method(env, exports, "logBoot", LogBoot, state);
  Method(env, exports, "logClose", LogClose, state);
  Method(env, exports, "indexScan", IndexScan, state);
  Method(env, exports, "crc32c", Crc32c, state);
  Method(env, exports, "crc32cTable", Crc32cTable, state);
  Method(env, exports, "doorStore", DoorStoreCall, state);
  Method(env, exports, "doorFlush", DoorFlushCall, state);
  Method(env, exports, "doorFence", DoorFenceCall, state);
  Method(env, exports, "bestFlush", BestFlushCall, state);
  Method(env, exports, "layoutOf", LayoutOf, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
