// The recording build's log of what went through the door (record.h). Empty in the normal build.
//
//   event: u32 kind, u32 length, u64 offset in the watched file; a store's bytes follow, padded to 8
//   kind:  1 store, 2 store past the cache, 3 flush, 4 fence, 5 msync, 6 mark (offset: a number of the caller's)
#ifdef FRAMEKEEP_RECORD
#include "record.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>
#include <cstring>
#include "addon.h"

namespace framekeep {
namespace {

enum Kind : uint32_t { kStore = 1, kStream, kFlush, kFence, kSync, kMark };
struct Event { uint32_t kind, length; uint64_t offset; };
struct Region { uint8_t* base; size_t bytes; dev_t device; ino_t file; uint64_t offset; bool writable; };

// One recording a process: the tests that use it have one thread. The normal build has no state outside of its threads.
std::vector<Region> regions;
std::vector<uint8_t> events;
bool recording, any_file;
dev_t device;
ino_t file;
uint64_t elsewhere;                   // stores to mapped files that are not watched
uint32_t planted;
uint64_t last_store;                  // where in the file the last store went

void Append(Kind kind, uint64_t offset, const void* bytes, size_t n) {
  Event e = {kind, uint32_t(n), offset};
  size_t at = events.size(), data = bytes ? (n + 7) & ~size_t(7) : 0;
  events.resize(at + sizeof e + data);
  memcpy(&events[at], &e, sizeof e);
  if (bytes) memcpy(&events[at + sizeof e], bytes, n);
}

// The watched file's region that p lies in.
const Region* Watched(const void* p) {
  if (!recording) return nullptr;
  for (const Region& r : regions) {
    if (static_cast<const uint8_t*>(p) < r.base || static_cast<const uint8_t*>(p) >= r.base + r.bytes) continue;
    if (any_file || (r.device == device && r.file == file)) return &r;
    elsewhere++;
    return nullptr;
  }
  return nullptr;
}
uint64_t OffsetOf(const Region& r, const void* p) { return r.offset + uint64_t(static_cast<const uint8_t*>(p) - r.base); }

// doorRecord(fd): forgets what was recorded; from now on what goes to that file is. -1: to any mapped file.
napi_value DoorRecord(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  any_file = a.i32(0) < 0;
  if (!any_file) {
    struct stat s;
    if (fstat(a.i32(0), &s)) return Int(env, -errno);
    device = s.st_dev; file = s.st_ino;
  }
  events.clear();
  elsewhere = 0;
  recording = true;
  return Int(env, 0);
}

// doorRecording() → {events: ArrayBuffer, elsewhere}; ends the recording.
napi_value DoorRecording(napi_env env, napi_callback_info) {
  recording = false;
  void* data; napi_value copy;
  napi_create_arraybuffer(env, events.size(), &data, &copy);
  if (!events.empty()) memcpy(data, events.data(), events.size());
  napi_value result = Obj(env);
  Set(env, result, "events", copy);
  Set(env, result, "elsewhere", Num(env, double(elsewhere)));
  return result;
}

// doorMark(number)
napi_value DoorMark(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  if (recording) Append(kMark, a.u64(0), nullptr, 0);
  return Int(env, 0);
}

// doorPlant(bits): bit n switches fault n on.
napi_value DoorPlant(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  planted = a.u32(0);
  return Int(env, 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "doorRecord", DoorRecord, state);
  Method(env, exports, "doorRecording", DoorRecording, state);
  Method(env, exports, "doorMark", DoorMark, state);
  Method(env, exports, "doorPlant", DoorPlant, state);
}
Part part(Init);

}  // namespace

void RecordStore(void* to, const void* from, size_t n, bool stream) {
  const Region* r = Watched(to);
  if (!r) return;
  last_store = OffsetOf(*r, to);
  Append(stream ? kStream : kStore, last_store, from, n);
}
void RecordFlush(const void* p, size_t n) {
  if (const Region* r = Watched(p)) Append(kFlush, OffsetOf(*r, p), nullptr, n);
}
void RecordFence() {
  if (Planted(kTwinsTogether) && last_store >= 4096 && last_store < 8192) return;  // superblock copy B, logger/format.ts
  if (recording) Append(kFence, 0, nullptr, 0);
}
void RecordSync(const void* p, size_t n) {
  if (const Region* r = Watched(p)) Append(kSync, OffsetOf(*r, p), nullptr, n);
}
void RecordMap(void* base, size_t bytes, int fd, uint64_t offset) {
  struct stat s;
  if (fstat(fd, &s) == 0) regions.push_back({static_cast<uint8_t*>(base), bytes, s.st_dev, s.st_ino, offset, (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR});
}
void RecordUnmap(void* base) {
  for (size_t i = 0; i < regions.size(); i++) if (regions[i].base == base) { regions.erase(regions.begin() + long(i)); return; }
}
bool MappedForWriting(const void* p) {
  for (const Region& r : regions) if (p >= r.base && p < r.base + r.bytes) return r.writable;
  return false;
}
bool Planted(Fault fault) { return planted >> fault & 1; }

}  // namespace framekeep
#endif
