// Only in the sanitized build (native/build.mjs --sanitize): lets a test forbid native code parts of a mapping, and shows that the
// sanitizers would tell. ASan knows what malloc gave and what lies on the stack; of a mapping it knows what it is told here.
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <climits>
#include <cstdlib>
#include "addon.h"

namespace framekeep {
namespace {

// sanitizerForbid(mapping, offset, bytes, whether): from now on native code that touches these bytes ends the process with a report.
// Granules are 8 bytes: the first whole one, and all up to the end.
napi_value Forbid(napi_env env, napi_callback_info info) {
  Args<4> a(env, info);
  Mapping* m = a.mapping(0);
  uint64_t offset = a.u64(1), bytes = a.u64(2);
  if (!m || offset > m->bytes || bytes > m->bytes - offset) return Int(env, -22);
  if (a.flag(3)) ASAN_POISON_MEMORY_REGION(m->base + offset, bytes);
  else ASAN_UNPOISON_MEMORY_REGION(m->base + offset, bytes);
  return Int(env, 0);
}

// sanitizerFault(kind): 0 reads behind what malloc gave, 1 overflows a signed number, 2 loses memory. For showing that it is told.
napi_value Fault(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  uint32_t kind = a.u32(0);
  if (kind == 0) {
    volatile size_t room = 16;  // not to be known when compiling: it is ASan that is to tell
    auto* p = static_cast<volatile char*>(malloc(room));
    char c = p[room];
    free(const_cast<char*>(p));
    return Int(env, c);
  }
  if (kind == 1) {
    volatile int most = INT_MAX;
    return Int(env, most + int(kind));
  }
  volatile size_t room = 4321;
  return Num(env, double(reinterpret_cast<uintptr_t>(malloc(room)) ^ 0x5555));  // no pointer to it is left
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "sanitizerForbid", Forbid, state);
  Method(env, exports, "sanitizerFault", Fault, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
#endif
