// What every part of the addon stands on: registration, per-environment state, values by node-addon-api, and arguments by raw
// Node-API, since hot calls come a burst at a time: 14 ns a call with no argument, 45 through node-addon-api's wrapper.
//
// Errors: a native function never throws for an operating-system failure. It returns a negative errno, and the typed
// face (native/*.ts) turns that into an error with a code and a remedy.
//
// Threads: Node may load the addon in several threads. Nothing here is global but the list of parts, which is fixed
// before main(); what belongs to a thread lives in its EnvState and is released by a cleanup hook when the thread ends,
// so that a data-plane thread that throws still gives its sockets and mappings back.
#pragma once
#include <napi.h>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

namespace framekeep {

struct Mapping { uint8_t* base; size_t bytes; };      // base == nullptr: unmapped, the id stays taken
struct LogContext;                                    // persist.cc

struct EnvState {
  std::vector<Mapping> mappings;                      // by mapping id
  std::vector<std::unique_ptr<LogContext>> logs;      // by log id
  std::vector<std::pair<void*, void (*)(void*)>> owned;  // anything else a part wants destroyed with the thread
  std::set<int> fds;                                  // open descriptors that die with the thread
  EnvState();
  ~EnvState();
  // Takes an owned object out of the list, for who destroys it now. False: it is not there, or of another kind.
  bool Disown(void* object, void (*destroy)(void*)) {
    for (auto it = owned.begin(); it != owned.end(); ++it) {
      if (it->first == object && it->second == destroy) { owned.erase(it); return true; }
    }
    return false;
  }
};

// A part registers itself with a namespace-scope `static Part part(Init);`.
using PartInit = void (*)(napi_env, napi_value exports, EnvState*);
struct Part { explicit Part(PartInit init); };

// Defines exports[name]; `state` reaches the callback as its data pointer (see Args).
void Method(napi_env env, napi_value exports, const char* name, napi_callback cb, EnvState* state);

// The arguments of one call. N is the number of arguments looked at; missing ones are undefined.
template <size_t N> struct Args {
  napi_env env; size_t count = N; napi_value v[N ? N : 1]; EnvState* state = nullptr;
  Args(napi_env e, napi_callback_info info) : env(e) {
    void* data; napi_get_cb_info(e, info, &count, v, nullptr, &data); state = static_cast<EnvState*>(data);
  }
  uint32_t u32(size_t i) const { uint32_t x = 0; napi_get_value_uint32(env, v[i], &x); return x; }
  int32_t i32(size_t i) const { int32_t x = 0; napi_get_value_int32(env, v[i], &x); return x; }
  double f64(size_t i) const { double x = 0; napi_get_value_double(env, v[i], &x); return x; }
  uint64_t u64(size_t i) const { return static_cast<uint64_t>(f64(i)); }  // exact to 2^53
  bool flag(size_t i) const { bool x = false; napi_get_value_bool(env, v[i], &x); return x; }
  std::vector<char> text(size_t i) const {             // NUL-terminated UTF-8
    size_t n = 0; napi_get_value_string_utf8(env, v[i], nullptr, 0, &n);
    std::vector<char> s(n + 1); napi_get_value_string_utf8(env, v[i], s.data(), n + 1, &n); return s;
  }
  // The bytes of a TypedArray, DataView or ArrayBuffer; {nullptr, 0} for anything else.
  uint8_t* bytes(size_t i, size_t* length = nullptr) const;
  Mapping* mapping(size_t i) const {                   // nullptr: no such live mapping
    uint32_t id = u32(i);
    return id < state->mappings.size() && state->mappings[id].base ? &state->mappings[id] : nullptr;
  }
};

inline napi_value Num(napi_env env, double x) { return Napi::Number::New(env, x); }
inline napi_value Int(napi_env env, int64_t x) { napi_value v; napi_create_int64(env, x, &v); return v; }  // hot: results
inline napi_value Str(napi_env env, const char* s) { return Napi::String::New(env, s); }
inline napi_value Obj(napi_env env) { return Napi::Object::New(env); }
inline void Set(napi_env env, napi_value o, const char* k, napi_value x) { Napi::Object(env, o).Set(k, x); }
// An ArrayBuffer over memory that somebody else owns and outlives it (a mapping, a ring).
napi_value View(napi_env env, void* base, size_t bytes);
// Detaches such a view, so that a late access throws in JavaScript instead of faulting.
void Detach(napi_env env, napi_value view);

}  // namespace framekeep
