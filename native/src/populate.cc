// Maps a mapping's pages before they are needed, beside the work: the first touch of each is a fault otherwise, 3-5 us of a
// frame's way on a virtual machine, for the whole first lap through a pool.
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <atomic>
#include "addon.h"
#include "populate.h"

namespace framekeep {
namespace {

constexpr size_t kStep = size_t(2) << 20;

// One thread a mapping; it ends with the thread that wanted it.
struct Populating {
  uint8_t* base; size_t bytes;
  std::atomic<bool> stop{false};
  pthread_t thread;
  static void* Run(void* p) {
    auto& self = *static_cast<Populating*>(p);
    setpriority(PRIO_PROCESS, 0, 10);                 // on Linux of this thread alone
    for (size_t at = 0; at < self.bytes && !self.stop; at += kStep) {
      if (madvise(self.base + at, self.bytes - at < kStep ? self.bytes - at : kStep, MADV_POPULATE_WRITE)) break;  // older kernel: faults as ever
      sched_yield();
    }
    return nullptr;
  }
  static void Destroy(void* p) {
    auto* self = static_cast<Populating*>(p);
    self->stop = true;
    pthread_join(self->thread, nullptr);
    delete self;
  }
};

// populate(mapping) → 0 or negative errno
napi_value Populate(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  Mapping* m = a.mapping(0);
  if (!m) return Int(env, -22);
  auto* p = new Populating{m->base, m->bytes, {}, {}};
  if (int e = pthread_create(&p->thread, nullptr, Populating::Run, p)) { delete p; return Int(env, -e); }
  a.state->owned.emplace_back(p, Populating::Destroy);
  return Int(env, 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) { Method(env, exports, "populate", Populate, state); }
Part part(Init);

}  // namespace
}  // namespace framekeep
