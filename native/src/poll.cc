// Sleeping and waking: ppoll over the ports' descriptors, an eventfd for the control side, the clock once a burst.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <cerrno>
#include "addon.h"

namespace framekeep {
namespace {

// pollWait(Int32Array of struct pollfd (fd, events | revents << 16), count, timeout ns, -1: none) → ready count or negative errno
napi_value PollWait(napi_env env, napi_callback_info info) {
  Args<3> a(env, info);
  size_t room; auto* fds = reinterpret_cast<pollfd*>(a.bytes(0, &room));
  uint32_t n = a.u32(1); double ns = a.f64(2);
  if (n * sizeof(pollfd) > room) return Int(env, -EINVAL);
  timespec t = {time_t(ns / 1e9), long(ns - double(time_t(ns / 1e9)) * 1e9)};
  int r = ppoll(fds, n, ns < 0 ? nullptr : &t, nullptr);
  return Int(env, r < 0 ? -errno : r);
}

napi_value EventCreate(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return Int(env, -errno);
  a.state->fds.insert(fd);
  return Int(env, fd);
}
napi_value EventSignal(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  uint64_t one = 1;
  return Int(env, write(a.i32(0), &one, sizeof one) < 0 && errno != EAGAIN ? -errno : 0);
}
napi_value EventClear(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  uint64_t count;
  return Int(env, read(a.i32(0), &count, sizeof count) < 0 && errno != EAGAIN ? -errno : 0);
}
napi_value CloseFd(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  a.state->fds.erase(a.i32(0));
  return Int(env, close(a.i32(0)) ? -errno : 0);
}

// clockRead(Uint32Array[2], Float64Array[1]): CLOCK_MONOTONIC as ns in two words (low, high), and in seconds.
napi_value ClockRead(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  auto* words = reinterpret_cast<uint32_t*>(a.bytes(0)); auto* seconds = reinterpret_cast<double*>(a.bytes(1));
  timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
  uint64_t ns = uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
  words[0] = uint32_t(ns); words[1] = uint32_t(ns >> 32);
  seconds[0] = double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
  return nullptr;
}

// pinThread(cpu) → 0 or negative errno
napi_value PinThread(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  cpu_set_t set; CPU_ZERO(&set); CPU_SET(a.u32(0), &set);
  return Int(env, sched_setaffinity(0, sizeof set, &set) ? -errno : 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "pollWait", PollWait, state);
  Method(env, exports, "eventCreate", EventCreate, state);
  Method(env, exports, "eventSignal", EventSignal, state);
  Method(env, exports, "eventClear", EventClear, state);
  Method(env, exports, "closeFd", CloseFd, state);
  Method(env, exports, "clockRead", ClockRead, state);
  Method(env, exports, "pinThread", PinThread, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
