// Maps a mapping's pages before they are needed, beside the work: the first touch of each is a fault otherwise, 3-5 us of a
// frame's way on a virtual machine, for the whole first lap through a pool. A reader's faults bring sixteen pages each and take
// 60 ms a GiB; this takes as long, but on another core.
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <atomic>
#include <utility>
#include <vector>
#include "addon.h"
#include "layout.h"
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

// The same for who reads kept frames: goes through the records, and maps the 2 MiB around each buffer that one of them names.
struct ReadAhead {
  const uint8_t* index; const uint8_t* buffers; size_t bytes; uint32_t shift;
  std::vector<std::pair<uint64_t, uint64_t>> lanes;   // where the records begin, how many
  std::atomic<bool> stop{false};
  pthread_t thread;
  static void* Run(void* p) {
    auto& self = *static_cast<ReadAhead*>(p);
    setpriority(PRIO_PROCESS, 0, 10);
    std::vector<bool> mapped(self.bytes / kStep + 1);
    for (const auto& [offset, slots] : self.lanes) {
      const auto* records = reinterpret_cast<const IndexRecord*>(self.index + offset);
      for (uint64_t i = 0; i < slots && !self.stop; i++) {
        const uint32_t generation = __atomic_load_n(&records[i].generation, __ATOMIC_RELAXED);
        const uint64_t at = uint64_t(__atomic_load_n(&records[i].buffer, __ATOMIC_RELAXED)) << self.shift, step = at / kStep;
        if (generation == 0 || at >= self.bytes || mapped[step]) continue;
        mapped[step] = true;
        const size_t from = step * kStep, n = self.bytes - from < kStep ? self.bytes - from : kStep;
        if (madvise(const_cast<uint8_t*>(self.buffers) + from, n, MADV_POPULATE_READ)) return nullptr;  // older kernel: faults as ever
        sched_yield();
      }
    }
    return nullptr;
  }
  static void Destroy(void* p) {
    auto* self = static_cast<ReadAhead*>(p);
    self->stop = true;
    pthread_join(self->thread, nullptr);
    delete self;
  }
};

// readAhead(head mapping, buffers mapping, chunkShift, Float64Array: indexOffset and slots of each lane) → handle or negative errno
napi_value ReadAheadStart(napi_env env, napi_callback_info info) {
  Args<4> a(env, info);
  Mapping *head = a.mapping(0), *buffers = a.mapping(1);
  size_t n;
  const auto* lanes = reinterpret_cast<const double*>(a.bytes(3, &n));
  if (!head || !buffers || !lanes || a.u32(2) > 30) return Int(env, -22);
  auto* p = new ReadAhead{head->base, buffers->base, buffers->bytes, a.u32(2), {}, {}, {}};
  for (size_t i = 0; i + 1 < n / 8; i += 2) {
    const uint64_t offset = uint64_t(lanes[i]), slots = uint64_t(lanes[i + 1]);
    if (HasRecords(head->bytes, offset, slots)) p->lanes.emplace_back(offset, slots);
  }
  if (int e = pthread_create(&p->thread, nullptr, ReadAhead::Run, p)) { delete p; return Int(env, -e); }
  a.state->owned.emplace_back(p, ReadAhead::Destroy);
  napi_value handle;
  napi_create_external(env, p, nullptr, nullptr, &handle);
  return handle;
}

// readAheadEnd(handle): before anything of it is unmapped
napi_value ReadAheadEnd(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  void* p = nullptr;
  napi_get_value_external(env, a.v[0], &p);
  if (a.state->Disown(p, ReadAhead::Destroy)) ReadAhead::Destroy(p);
  return Int(env, 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "populate", Populate, state);
  Method(env, exports, "readAhead", ReadAheadStart, state);
  Method(env, exports, "readAheadEnd", ReadAheadEnd, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
