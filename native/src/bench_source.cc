// The bench's stand-in for NICs (bench_source.h), started and stopped from JavaScript. The thread touches rings and UMEM by
// address: the caller stops it before it unmaps them, and a thread that ends by an exception stops it first (EnvState::owned
// goes before the mappings do).
#include "bench_source.h"
#include <cerrno>
#include "addon.h"

namespace framekeep {
namespace {

// benchSourceStart(ring mappings (Uint32Array), umem mapping, options (Float64Array), teach and heads a port (Uint32Array, two each),
//                  heads (16 bytes each), templates (4096 bytes each), lengths (Uint32Array)) → {handle, counters} or negative errno
//   options: ring size, chunk shift, headroom, writes, batch, most waiting, cpu
napi_value Start(napi_env env, napi_callback_info info) {
  Args<7> a(env, info);
  Mapping* umem = a.mapping(1);
  size_t rings_bytes = 0, options_bytes = 0, counts_bytes = 0, heads_bytes = 0, templates_bytes = 0, lengths_bytes = 0;
  auto* ring_ids = reinterpret_cast<uint32_t*>(a.bytes(0, &rings_bytes));
  auto* o = reinterpret_cast<double*>(a.bytes(2, &options_bytes));
  auto* counts = reinterpret_cast<uint32_t*>(a.bytes(3, &counts_bytes));
  const uint8_t *heads = a.bytes(4, &heads_bytes), *templates = a.bytes(5, &templates_bytes);
  auto* lengths = reinterpret_cast<uint32_t*>(a.bytes(6, &lengths_bytes));
  const size_t n = rings_bytes / 4, bodies = lengths_bytes / 4;
  if (!umem || options_bytes < 7 * sizeof(double) || counts_bytes < n * 8 || !bodies || templates_bytes < bodies * kTemplateBytes) return Int(env, -EINVAL);
  const auto size = uint32_t(o[0]);
  std::vector<SourcePort> ports;
  size_t total = 0;
  for (size_t i = 0; i < n; i++) {
    if (ring_ids[i] >= a.state->mappings.size()) return Int(env, -EINVAL);
    Mapping& m = a.state->mappings[ring_ids[i]];
    if (!m.base || m.bytes < SoftRings::Bytes(size)) return Int(env, -EINVAL);
    SourcePort port(m.base, size);
    port.teach = counts[2 * i]; port.heads = counts[2 * i + 1];
    if (port.teach > port.heads) return Int(env, -EINVAL);
    total += port.heads;
    ports.push_back(port);
  }
  const SourceOptions options{umem->base, umem->bytes, uint32_t(o[1]), uint32_t(o[2]), uint32_t(o[3]), uint32_t(o[4]), uint32_t(o[5]), int(o[6])};
  if (heads_bytes < total * kHeadBytes || options.chunk_shift > 12 || !options.batch || options.batch > options.most || options.most > size) return Int(env, -EINVAL);
  for (size_t i = 0; i < bodies; i++) if (lengths[i] < 14 || lengths[i] + options.headroom > 1u << options.chunk_shift) return Int(env, -EINVAL);
  auto* source = new Source(options, std::move(ports), std::vector<uint8_t>(heads, heads + total * kHeadBytes),
                            std::vector<uint8_t>(templates, templates + bodies * kTemplateBytes), std::vector<uint32_t>(lengths, lengths + bodies));
  if (int e = source->Start()) { delete source; return Int(env, e); }
  a.state->owned.push_back({source, [](void* s) { delete static_cast<Source*>(s); }});
  napi_value result = Obj(env), handle;
  napi_create_external(env, source, nullptr, nullptr, &handle);
  Set(env, result, "handle", handle);
  Set(env, result, "counters", View(env, source->counters, sizeof source->counters));
  return result;
}

// benchSourceStop(handle): returns when the thread has ended; its counters stay.
napi_value Stop(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  void* source = nullptr;
  if (napi_get_value_external(env, a.v[0], &source) != napi_ok) return Int(env, -EINVAL);
  static_cast<Source*>(source)->Stop();
  return Int(env, 0);
}

// benchSourceHandover(handle) → ns that a line takes from this CPU to the source's
napi_value Handover(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  void* source = nullptr;
  if (napi_get_value_external(env, a.v[0], &source) != napi_ok) return Int(env, -EINVAL);
  return Num(env, static_cast<Source*>(source)->Handover());
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "benchSourceHandover", Handover, state);
  Method(env, exports, "benchSourceStart", Start, state);
  Method(env, exports, "benchSourceStop", Stop, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
