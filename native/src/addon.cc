// Module entry: builds a thread's state and lets each part define its functions.
#include "addon.h"
#include <sys/mman.h>
#include <unistd.h>
#include "log_context.h"

extern const char kOrigin[];  // which sources this is made from: written by build.mjs, read by sources.cjs

namespace framekeep {

static std::vector<PartInit>& Parts() { static std::vector<PartInit> parts; return parts; }
Part::Part(PartInit init) { Parts().push_back(init); }

EnvState::EnvState() = default;
EnvState::~EnvState() {
  for (auto& [what, destroy] : owned) destroy(what);
  for (int fd : fds) close(fd);
  for (auto& m : mappings) if (m.base) munmap(m.base, m.bytes);
}

void Method(napi_env env, napi_value exports, const char* name, napi_callback cb, EnvState* state) {
  napi_value fn;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, cb, state, &fn);
  napi_set_named_property(env, exports, name, fn);
}

template <size_t N> uint8_t* Args<N>::bytes(size_t i, size_t* length) const {
  void* data = nullptr; size_t n = 0; bool is = false;
  if (napi_is_typedarray(env, v[i], &is); is) {
    napi_typedarray_type type; size_t count, off; napi_value ab;
    napi_get_typedarray_info(env, v[i], &type, &count, &data, &ab, &off);
    static const uint8_t width[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};  // indexed by napi_typedarray_type
    n = count * width[type];
  } else if (napi_is_arraybuffer(env, v[i], &is); is) {
    napi_get_arraybuffer_info(env, v[i], &data, &n);
  } else if (napi_is_dataview(env, v[i], &is); is) {
    napi_value ab; size_t off; napi_get_dataview_info(env, v[i], &n, &data, &ab, &off);
  }
  if (length) *length = n;
  return static_cast<uint8_t*>(data);
}
template struct Args<1>; template struct Args<2>; template struct Args<3>; template struct Args<4>; template struct Args<5>;
template struct Args<6>; template struct Args<7>; template struct Args<8>; template struct Args<9>; template struct Args<10>;

napi_value View(napi_env env, void* base, size_t bytes) {
  return Napi::ArrayBuffer::New(env, base, bytes);
}
void Detach(napi_env env, napi_value view) {
  if (Napi::Value(env, view).IsArrayBuffer()) Napi::ArrayBuffer(env, view).Detach();
}

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* state = new EnvState();
  napi_add_env_cleanup_hook(env, [](void* s) { delete static_cast<EnvState*>(s); }, state);
  Set(env, exports, "origin", Str(env, kOrigin));
  for (PartInit init : Parts()) init(env, exports, state);
  return exports;
}

}  // namespace framekeep

static Napi::Object Start(Napi::Env env, Napi::Object exports) { return framekeep::Init(env, exports); }
NODE_API_MODULE(framekeep, Start)
