// Mappings: a pool file, or memory of this process; files' locks and space; all by descriptor, so that policy (paths, modes,
// media) stays in TypeScript.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include "addon.h"
#include "record.h"
#include "soft_rings.h"

#ifndef MAP_SYNC
#define MAP_SYNC 0x080000           // linux/mman.h, Linux 4.15
#endif
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif

namespace framekeep {
namespace {

// An ArrayBuffer ends at 4 GiB on Node 20 and slows past 2^31: hand out segments of at most 1 GiB.
constexpr size_t kSegment = size_t(1) << 30;

napi_value Describe(napi_env env, EnvState* state, void* base, size_t bytes, bool seen = true) {
  napi_value result = Obj(env), segments;
  napi_create_array(env, &segments);
  uint32_t i = 0;
  for (size_t at = 0; seen && at < bytes; at += kSegment) {
    napi_set_element(env, segments, i++, View(env, static_cast<uint8_t*>(base) + at, bytes - at < kSegment ? bytes - at : kSegment));
  }
  Set(env, result, "id", Num(env, double(state->mappings.size())));
  Set(env, result, "bytes", Num(env, double(bytes)));
  Set(env, result, "segments", segments);
  state->mappings.push_back({static_cast<uint8_t*>(base), bytes});
  return result;
}

// mapFile(fd, offset, bytes, flags) → {id, bytes, segments} or negative errno.  flags: 1 writable, 2 MAP_SYNC, 4 populate, 8 no segments
napi_value MapFile(napi_env env, napi_callback_info info) {
  Args<4> a(env, info);
  size_t bytes = a.u64(2); uint32_t flags = a.u32(3);
  int prot = PROT_READ | (flags & 1 ? PROT_WRITE : 0);
  int how = flags & 2 ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
  if (flags & 4) how |= MAP_POPULATE;
  void* base = mmap(nullptr, bytes, prot, how, a.i32(0), off_t(a.u64(1)));
  if (base == MAP_FAILED) return Int(env, -errno);
  RecordMap(base, bytes, a.i32(0), a.u64(1));
  return Describe(env, a.state, base, bytes, !(flags & 8));
}

// memoryFile(name, bytes) → fd of a memfd (tmpfs) of that size, or negative errno
napi_value MemoryFile(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  int fd = memfd_create(a.text(0).data(), MFD_CLOEXEC);
  if (fd < 0) return Int(env, -errno);
  if (int e = posix_fallocate(fd, 0, off_t(a.u64(1)))) { close(fd); return Int(env, -e); }
  a.state->fds.insert(fd);
  return Int(env, fd);
}

// unmap(id, segments)
napi_value Unmap(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  Mapping* m = a.mapping(0);
  uint32_t n = 0;
  napi_get_array_length(env, a.v[1], &n);
  for (uint32_t i = 0; i < n; i++) { napi_value s; napi_get_element(env, a.v[1], i, &s); Detach(env, s); }
  if (!m) return Int(env, -EINVAL);
  munmap(m->base, m->bytes);
  RecordUnmap(m->base);
  m->base = nullptr;
  return Int(env, 0);
}

// lockFile(fd, byte) → 0, or -EAGAIN when another open file description holds it. An open-file-description lock (fcntl(2)): it goes
// with the last descriptor, however the process ends, and threads of one process cannot undo it by closing another one.
napi_value LockFile(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  struct flock lock = {}; lock.l_type = F_WRLCK; lock.l_whence = SEEK_SET; lock.l_start = off_t(a.u32(1)); lock.l_len = 1;
  return Int(env, fcntl(a.i32(0), F_OFD_SETLK, &lock) ? -errno : 0);
}

// lockHeld(fd, byte) → 1 when somebody else holds the lock, 0 when not, negative errno
napi_value LockHeld(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  struct flock lock = {}; lock.l_type = F_WRLCK; lock.l_whence = SEEK_SET; lock.l_start = off_t(a.u32(1)); lock.l_len = 1;
  if (fcntl(a.i32(0), F_OFD_GETLK, &lock)) return Int(env, -errno);
  return Int(env, lock.l_type == F_UNLCK ? 0 : 1);
}

// reserve(fd, bytes) → 0 or negative errno. Takes the space now, so that a full file system is an error here and not a bus
// error at the first frame.
napi_value Reserve(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  return Int(env, -posix_fallocate(a.i32(0), 0, off_t(a.u64(1))));
}

// softRings(size) → {block, bytes}: zeroed memory for four rings of `size` entries (soft_rings.h), freed with the thread.
napi_value SoftRingsCall(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  size_t bytes = SoftRings::Bytes(a.u32(0));
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return Int(env, -errno);
  return Describe(env, a.state, base, bytes);
}

// mapCopy(fd, bytes) → ArrayBuffer of the file's first bytes, or negative errno: for devices, which can only be mapped.
napi_value MapCopy(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  const size_t bytes = a.u64(1);
  void* base = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, a.i32(0), 0);
  if (base == MAP_FAILED) return Int(env, -errno);
  void* copy; napi_value result;
  const napi_status made = napi_create_arraybuffer(env, bytes, &copy, &result);
  if (made == napi_ok) memcpy(copy, base, bytes);
  munmap(base, bytes);
  return made == napi_ok ? result : Int(env, -ENOMEM);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "mapFile", MapFile, state);
  Method(env, exports, "mapCopy", MapCopy, state);
  Method(env, exports, "memoryFile", MemoryFile, state);
  Method(env, exports, "unmap", Unmap, state);
  Method(env, exports, "lockFile", LockFile, state);
  Method(env, exports, "lockHeld", LockHeld, state);
  Method(env, exports, "reserve", Reserve, state);
  Method(env, exports, "softRings", SoftRingsCall, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
