// Two passes over a lane's records: which of them stand (logger/recover.ts), and what they add up to (logger/census.ts). What the numbers
// mean is decided there; here are the loops: in JavaScript a million records took a program that was just started 190 to 270 ms, most of
// them before V8 had compiled the loops (62 afterwards); here 50 to 80 with all page faults (23).
#include <cerrno>
#include <cstring>
#include "addon.h"
#include "layout.h"

namespace framekeep {
namespace {

inline int64_t SequenceOf(uint32_t generation, uint32_t slots, uint32_t slot) { return (int64_t(generation) - 1) * slots + slot; }

struct Judgement {
  double first_buffer, buffers;       // of the lane
  double limit;                       // sequence numbers end before it
  double others_below, others_above;  // runs that no range names: which numbers they can have given; or whose low 16 bits are greater
  double valid, torn, empty, beyond, ghosts, conflicts, newest, oldest;   // out
};
struct Range { double low, from, to; };                       // a run's low 16 bits, and which numbers it can have given

void Judge(const uint8_t* index, uint32_t slots, uint8_t* state, uint32_t* holder, size_t holders, const Range* ranges, size_t n_ranges, Judgement& j, uint8_t* seen) {
  uint64_t counts[4] = {}, ghosts = 0, conflicts = 0;
  int64_t newest = -1, oldest = -1;
  const Range* range = nullptr;
  uint32_t known = 0x10000;                                   // the run that `range` is of
  for (uint32_t slot = 0; slot < slots; slot++) {
    if (state[slot] != kSlotValid && state[slot] != kSlotBeyond) { counts[state[slot] & 3]++; continue; }
    const RecordWords r = Look(index, slot);
    const uint32_t buffer = uint32_t(r.w[0] >> 32), boot = uint32_t(r.w[3] & 0xffff);
    const int64_t sequence = SequenceOf(uint32_t(r.w[0]), slots, slot);
    const double number = double(sequence);
    if (boot != known) {
      known = boot;
      range = nullptr;
      for (size_t i = n_ranges; i > 0 && !range; i--) if (ranges[i - 1].low == boot) range = &ranges[i - 1];
    }
    const bool allowed = range ? number >= range->from && number < range->to : number < j.others_below || boot > j.others_above;
    if (buffer < j.first_buffer || buffer >= j.first_buffer + j.buffers || number >= j.limit || !allowed) { ghosts++; state[slot] = kSlotTorn; continue; }
    seen[boot >> 3] |= uint8_t(1 << (boot & 7));
    const size_t at = buffer - uint32_t(j.first_buffer);
    if (at < holders) {
      if (holder[at]) {                                       // of two that name a buffer the newer stands
        const uint32_t other = holder[at] - 1;
        conflicts++;
        const bool loses = SequenceOf(uint32_t(Look(index, other).w[0]), slots, other) > sequence;
        if (!loses) counts[state[other] & 3]--;
        state[loses ? slot : other] = kSlotTorn;
        if (loses) continue;
      }
      holder[at] = slot + 1;
    }
    counts[state[slot] & 3]++;
    if (sequence > newest) newest = sequence;
    if (oldest < 0 || sequence < oldest) oldest = sequence;
  }
  if (conflicts) {                                            // the oldest may be one that lost
    oldest = -1;
    for (uint32_t slot = 0; slot < slots; slot++) {
      if (state[slot] != kSlotValid && state[slot] != kSlotBeyond) continue;
      const int64_t sequence = SequenceOf(uint32_t(Look(index, slot).w[0]), slots, slot);
      if (oldest < 0 || sequence < oldest) oldest = sequence;
    }
  }
  j.empty = double(counts[kSlotEmpty]); j.valid = double(counts[kSlotValid]); j.torn = double(counts[kSlotTorn]); j.beyond = double(counts[kSlotBeyond]);
  j.ghosts = double(ghosts); j.conflicts = double(conflicts); j.newest = double(newest); j.oldest = double(oldest);
}

struct Sums {
  double boot;                                                // in: low 16 bits of the run that is summed
  double frames, snapped, completed, kept_bytes, wire_bytes, backwards, strange;
  double dated, first_high, first_low, last_high, last_low;   // whether there are times; ns since 1970
  double port_frames[kMaxPorts], port_bytes[kMaxPorts], verdicts[256];
};

// Adds up the records of one run from the at-th behind `start` on. Returns where the next run's begin, or `slots`.
uint32_t Census(const uint8_t* index, uint32_t start, uint32_t slots, const uint8_t* state, uint32_t at, Sums& s) {
  uint64_t kept_bytes = 0, wire_bytes = 0, last_time = 0;
  uint64_t first = uint64_t(s.first_high) << 32 | uint64_t(s.first_low), last = uint64_t(s.last_high) << 32 | uint64_t(s.last_low);
  bool dated = s.dated != 0;
  uint32_t slot = uint32_t((uint64_t(start) + at) % slots);
  for (; at < slots; at++, slot = slot + 1 == slots ? 0 : slot + 1) {
    if (state[slot] != kSlotValid && state[slot] != kSlotBeyond) continue;
    const RecordWords r = Look(index, slot);
    if (double(r.w[3] & 0xffff) != s.boot) break;
    const uint32_t kept = uint32_t(r.w[2] >> 16) & 0xffff, flags = uint32_t(r.w[3] >> 16) & 0xff;
    kept_bytes += kept;
    if (flags & kFlagContinued) continue;
    const uint32_t wire = (uint32_t(r.w[2] >> 32) & 0xffff) | (uint32_t(r.w[3] >> 24) & 0xff) << 16, ingress = uint32_t(r.w[2] >> 48) & 0xff;
    const uint64_t time = r.w[1];
    s.frames++;
    wire_bytes += wire;
    if (kept < wire && !(flags & kFlagMore)) s.snapped++;
    if (flags & kFlagChecksumCompleted) s.completed++;
    if (ingress < kMaxPorts) { s.port_frames[ingress]++; s.port_bytes[ingress] += wire; } else s.strange++;
    s.verdicts[r.w[2] >> 56]++;
    if (!dated || time < first) first = time;
    if (!dated || time > last) last = time;
    dated = true;
    if (last_time > 1000000 && time < last_time - 1000000) s.backwards++;
    last_time = time;
  }
  s.kept_bytes += double(kept_bytes);
  s.wire_bytes += double(wire_bytes);
  s.dated = dated;
  s.first_high = double(first >> 32); s.first_low = double(uint32_t(first));
  s.last_high = double(last >> 32); s.last_low = double(uint32_t(last));
  return at;
}

// judgeRecords(head mapping, indexOffset, state, Uint32Array holder, Float64Array ranges, Float64Array judgement, seen: 8192 bytes) → 0 or negative errno
napi_value JudgeRecords(napi_env env, napi_callback_info info) {
  Args<7> a(env, info);
  Mapping* m = a.mapping(0);
  const uint64_t offset = a.u64(1);
  size_t slots, n_holder, n_ranges, n_job, n_seen;
  uint8_t* state = a.bytes(2, &slots);
  auto* holder = reinterpret_cast<uint32_t*>(a.bytes(3, &n_holder));
  const auto* ranges = reinterpret_cast<const Range*>(a.bytes(4, &n_ranges));
  auto* job = reinterpret_cast<Judgement*>(a.bytes(5, &n_job));
  uint8_t* seen = a.bytes(6, &n_seen);
  if (!m || !job || n_job < sizeof *job || !seen || n_seen < 8192 || slots > 0xfffffff0u || !HasRecords(m->bytes, offset, slots)) return Int(env, -EINVAL);
  if (!(job->first_buffer >= 0 && job->first_buffer <= 0xffffffffu)) return Int(env, -EINVAL);
  Judge(m->base + offset, uint32_t(slots), state, holder, n_holder / 4, ranges, n_ranges / sizeof(Range), *job, seen);
  return Int(env, 0);
}

// censusOf(head mapping, indexOffset, start, state, at, Float64Array sums) → where it stopped, or negative errno
napi_value CensusOf(napi_env env, napi_callback_info info) {
  Args<6> a(env, info);
  Mapping* m = a.mapping(0);
  const uint64_t offset = a.u64(1);
  size_t slots, n_sums;
  const uint8_t* state = a.bytes(3, &slots);
  auto* sums = reinterpret_cast<Sums*>(a.bytes(5, &n_sums));
  const uint32_t start = a.u32(2), at = a.u32(4);
  if (!m || !sums || n_sums < sizeof *sums || slots > 0xfffffff0u || !HasRecords(m->bytes, offset, slots) || (slots && start >= slots)) return Int(env, -EINVAL);
  return Int(env, slots ? Census(m->base + offset, start, uint32_t(slots), state, at, *sums) : 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "judgeRecords", JudgeRecords, state);
  Method(env, exports, "censusOf", CensusOf, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
