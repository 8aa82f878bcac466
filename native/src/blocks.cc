// Frames of a reader's window (read.cc) as pcapng's Enhanced Packet Blocks (draft-ietf-opsawg-pcapng, 4.3), behind each other in an
// output buffer, in one call. Frames that need more than a copy and a few words (the first of a run, those of several buffers, those
// behind a gap) are left to TypeScript, which has the same block once more (logger/capture/pcapng_writer.ts): the call stops before them.
#include <cerrno>
#include <cstring>
#include "addon.h"
#include "layout.h"

namespace framekeep {
namespace {

// The same numbers in logger/capture/codes.ts.
constexpr uint32_t kEnhancedPacket = 6, kFlags = 2 | 4u << 16, kInbound = 1, kPacketId = 5 | 8u << 16, kEnd = 0;
constexpr uint32_t kPlaceNothing = 0xFFFFFFFFu;
constexpr size_t kFixed = 32 + 8 + 12 + 4;             // the block, its flags, its packet id, the end of its options

struct Job {
  double at, end;                     // entries of the window: the next one, one past the last
  double position, limit;             // bytes of the output: where the next block begins, where none may reach
  double longest;                     // most bytes of a frame
  double first_id;                    // packet id of entry 0
  double boot;                        // low 16 bits of the run's id
  double until_high, until_low;       // no frame later than that: another lane's is next
  double most;                        // frames
  double frames, bytes;               // out: frames written, bytes of them
};

// A run's interfaces by port (-1: not described yet), and its comments by verdict, 256 more where the checksum was completed: where in
// `texts` each is, as a whole option of so many bytes (0: not made yet).
struct Tables { int16_t interfaces[256]; struct { uint32_t at, bytes; } comments[512]; uint8_t texts[1]; };

void Put(uint8_t*& to, uint32_t word) { memcpy(to, &word, 4); to += 4; }

void Blocks(const IndexRecord* records, const uint32_t* places, const uint8_t* staging, size_t staged, const Tables& t, size_t texts, Job& job, uint8_t* out) {
  const uint32_t end = uint32_t(job.end), boot = uint32_t(job.boot), most = job.most < 4294967295.0 ? uint32_t(job.most) : 0xFFFFFFFFu;
  const uint64_t until = uint64_t(job.until_high) << 32 | uint64_t(job.until_low), first = uint64_t(job.first_id);
  const size_t longest = size_t(job.longest), limit = size_t(job.limit);
  size_t position = size_t(job.position);
  uint32_t i = uint32_t(job.at), frames = 0;
  uint64_t bytes = 0;
  for (; i < end && frames < most; i++) {
    const uint32_t place = places[i];
    if (place == kPlaceNothing) continue;
    const IndexRecord& r = records[i];
    if (place > staged || staged - place < r.kept) break;               // replaced meanwhile
    if (r.boot != boot || (r.flags & (kFlagMore | kFlagContinued)) || r.timestamp > until) break;
    const int16_t interface = t.interfaces[r.ingress];
    const auto& comment = t.comments[r.verdict + (r.flags & kFlagChecksumCompleted ? 256 : 0)];
    if (interface < 0 || comment.bytes == 0 || size_t(comment.at) + comment.bytes > texts) break;
    const size_t kept = r.kept < longest ? r.kept : longest, padded = (kept + 3) & ~size_t(3), length = kFixed + padded + comment.bytes;
    if (position + length > limit) break;
    uint8_t* to = out + position;
    Put(to, kEnhancedPacket);
    Put(to, uint32_t(length));
    Put(to, uint32_t(interface));
    Put(to, uint32_t(r.timestamp >> 32));
    Put(to, uint32_t(r.timestamp));
    Put(to, uint32_t(kept));
    Put(to, r.wire_low | uint32_t(r.wire_high) << 16);
    if (kept & 3) memset(to + padded - 4, 0, 4);
    memcpy(to, staging + place, kept);
    to += padded;
    const uint64_t id = first + i;
    Put(to, kFlags); Put(to, kInbound);
    Put(to, kPacketId); Put(to, uint32_t(id)); Put(to, uint32_t(id >> 32));
    memcpy(to, t.texts + comment.at, comment.bytes);
    to += comment.bytes;
    Put(to, kEnd);
    Put(to, uint32_t(length));
    position += length;
    bytes += kept;
    frames++;
  }
  job.at = i;
  job.position = double(position);
  job.frames = frames;
  job.bytes = double(bytes);
}

// blocksOfWindow(records, places, staging, tables, Float64Array job, out) → 0 or negative errno. Hot, one call a window.
napi_value BlocksOfWindow(napi_env env, napi_callback_info info) {
  Args<6> a(env, info);
  size_t n_records, n_places, n_staging, n_tables, n_job, n_out;
  const auto* records = reinterpret_cast<const IndexRecord*>(a.bytes(0, &n_records));
  const auto* places = reinterpret_cast<const uint32_t*>(a.bytes(1, &n_places));
  const uint8_t* staging = a.bytes(2, &n_staging);
  const auto* tables = reinterpret_cast<const Tables*>(a.bytes(3, &n_tables));
  auto* job = reinterpret_cast<Job*>(a.bytes(4, &n_job));
  uint8_t* out = a.bytes(5, &n_out);
  if (!records || !places || !staging || !tables || !job || !out || n_job < sizeof(Job) || n_tables < offsetof(Tables, texts)) return Int(env, -EINVAL);
  if (!(job->at >= 0 && job->end >= 0 && job->position >= 0 && job->limit <= double(n_out) && job->longest >= 0 && job->most >= 0)) return Int(env, -EINVAL);
  if (job->end * sizeof(IndexRecord) > double(n_records) || job->end * 4 > double(n_places)) return Int(env, -EINVAL);
  Blocks(records, places, staging, n_staging, *tables, n_tables - offsetof(Tables, texts), *job, out);
  return Int(env, 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) { Method(env, exports, "blocksOfWindow", BlocksOfWindow, state); }
Part part(Init);

}  // namespace
}  // namespace framekeep
