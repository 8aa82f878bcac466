// pcap-filter(7) expressions into classic BPF, by the machine's own libpcap, found at run time: nothing is linked, so
// that a machine without libpcap runs everything but filters. (Debian's static archive is not position-independent and
// could not be linked into an addon anyway.) Also libpcap's interpreter, as the oracle of logger/filter's tests.
//
// A program crosses this border as a Uint32Array, two words an instruction: the bytes of struct sock_filter
// (linux/filter.h), which are those of libpcap's struct bpf_insn. Compiling is a cold call; running takes a burst.
#include <dlfcn.h>
#include <linux/filter.h>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include "addon.h"

namespace framekeep {
namespace {

// pcap/pcap.h and pcap/bpf.h declare these; written out so that building needs no libpcap-dev.
struct BpfProgram { unsigned count; sock_filter* instructions; };
struct Libpcap {
  const char* (*lib_version)();
  void* (*open_dead)(int linktype, int snap_length);
  int (*compile)(void* pcap, BpfProgram*, const char*, int optimise, uint32_t netmask);
  char* (*geterr)(void* pcap);
  void (*freecode)(BpfProgram*);
  void (*close)(void* pcap);
  unsigned (*filter)(const sock_filter*, const uint8_t* frame, unsigned wire, unsigned captured);
  int (*validate)(const sock_filter*, int count);
};
constexpr int kEthernet = 1;                    // DLT_EN10MB
constexpr uint32_t kNetmaskUnknown = ~0u;       // PCAP_NETMASK_UNKNOWN: `ip broadcast` is refused, not guessed

// Longer expressions are refused. libpcap's optimiser takes time cubic in the number of tests, and its recursion ends
// the process when the stack does (libpcap 1.10.3, both measured): 4 KiB of `net …` take 2.2 s and fit 1 MiB of stack;
// 8 KiB took 17 s, and overran that stack unoptimised.
constexpr size_t kLongest = 4096;

// One lock for loading and compiling: pcap_compile keeps its parser's state in globals before libpcap 1.8, and every
// thread of the process shares the library.
std::mutex lock;
Libpcap library;
bool loaded = false;
std::string load_error;

// The library, or nullptr with load_error set. A failure is tried again next time: it may have been installed since.
const Libpcap* Load() {
  if (loaded) return &library;
  void* handle = nullptr;
  load_error.clear();
  for (const char* name : {"libpcap.so.0.8", "libpcap.so.1"}) {  // Debian's name, everybody else's
    if ((handle = dlopen(name, RTLD_NOW | RTLD_LOCAL))) break;
    if (!load_error.empty()) load_error += "; ";
    load_error += dlerror();
  }
  if (!handle) return nullptr;
  auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(handle, name));
    if (!function && load_error.empty()) load_error = dlerror();
  };
  load_error.clear();
  find(library.lib_version, "pcap_lib_version"); find(library.open_dead, "pcap_open_dead");
  find(library.compile, "pcap_compile"); find(library.geterr, "pcap_geterr");
  find(library.freecode, "pcap_freecode"); find(library.close, "pcap_close");
  find(library.filter, "bpf_filter"); find(library.validate, "bpf_validate");
  if (!load_error.empty()) { dlclose(handle); return nullptr; }
  loaded = true;
  return &library;
}

// pcapVersion() → libpcap's own version string, or undefined where there is no libpcap
napi_value Version(napi_env env, napi_callback_info) {
  std::lock_guard<std::mutex> hold(lock);
  const Libpcap* pcap = Load();
  return pcap ? Str(env, pcap->lib_version()) : nullptr;
}
// pcapLoadError() → why the last attempt to load libpcap failed, dlerror(3)'s words; empty if it did not
napi_value LoadError(napi_env env, napi_callback_info) {
  std::lock_guard<std::mutex> hold(lock);
  return Str(env, load_error.c_str());
}

// pcapCompile(expression, snap length) → Uint32Array of the program, libpcap's message as a string, -ENOENT where there
// is no libpcap, -E2BIG for an expression longer than kLongest bytes, -EINVAL for one with a NUL inside, -ENOMEM
napi_value Compile(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  std::vector<char> expression = a.text(0);
  if (expression.size() - 1 > kLongest) return Int(env, -E2BIG);
  if (strlen(expression.data()) != expression.size() - 1) return Int(env, -EINVAL);
  std::lock_guard<std::mutex> hold(lock);
  const Libpcap* pcap = Load();
  if (!pcap) return Int(env, -ENOENT);
  void* dead = pcap->open_dead(kEthernet, a.i32(1));
  if (!dead) return Int(env, -ENOMEM);
  BpfProgram program{};
  napi_value result;
  if (pcap->compile(dead, &program, expression.data(), 1, kNetmaskUnknown) != 0) {
    result = Str(env, pcap->geterr(dead));
  } else {
    size_t bytes = program.count * sizeof(sock_filter);
    void* copy; napi_value buffer;
    napi_create_arraybuffer(env, bytes, &copy, &buffer);
    memcpy(copy, program.instructions, bytes);
    napi_create_typedarray(env, napi_uint32_array, program.count * 2, buffer, 0, &result);
    pcap->freecode(&program);
  }
  pcap->close(dead);
  return result;
}

// Whether the interpreter can be given the program. bpf_validate checks jump targets and M[]; but the interpreter
// abort()s at an opcode it does not know, and a backward jump (libpcap's own `protochain`) may never end.
bool Runnable(const Libpcap* pcap, const sock_filter* program, size_t count) {
  if (count == 0 || count > 1u << 20 || !pcap->validate(program, int(count))) return false;
  for (size_t i = 0; i < count; i++) {
    uint16_t code = program[i].code;
    switch (BPF_CLASS(code)) {
      case BPF_LD: switch (code) {
        case BPF_LD | BPF_W | BPF_ABS: case BPF_LD | BPF_H | BPF_ABS: case BPF_LD | BPF_B | BPF_ABS:
        case BPF_LD | BPF_W | BPF_IND: case BPF_LD | BPF_H | BPF_IND: case BPF_LD | BPF_B | BPF_IND:
        case BPF_LD | BPF_W | BPF_LEN: case BPF_LD | BPF_IMM: case BPF_LD | BPF_MEM: break;
        default: return false;
      } break;
      case BPF_LDX: switch (code) {
        case BPF_LDX | BPF_B | BPF_MSH: case BPF_LDX | BPF_W | BPF_LEN: case BPF_LDX | BPF_IMM: case BPF_LDX | BPF_MEM: break;
        default: return false;
      } break;
      case BPF_ST: if (code != BPF_ST) return false; break;
      case BPF_STX: if (code != BPF_STX) return false; break;
      case BPF_ALU: if (code > 0xff || (BPF_OP(code) == BPF_NEG && BPF_SRC(code) == BPF_X)) return false; break;
      case BPF_JMP:
        if (code > 0xff || (code != (BPF_JMP | BPF_JA) && BPF_OP(code) == BPF_JA)) return false;
        if (BPF_OP(code) == BPF_JA && program[i].k >= count) return false;
        break;
      case BPF_RET: if (code != (BPF_RET | BPF_K) && code != (BPF_RET | BPF_A)) return false; break;
      case BPF_MISC: if (code != (BPF_MISC | BPF_TAX) && code != (BPF_MISC | BPF_TXA)) return false; break;
    }
  }
  return true;
}

// pcapFilterBurst(program, bytes, Uint32Array of (offset, captured, wire) a frame, Uint32Array of results, frames) → 0,
// -ENOENT, -EINVAL for a program that cannot be run, -ERANGE for a frame outside `bytes` or arrays too short
napi_value FilterBurst(napi_env env, napi_callback_info info) {
  Args<5> a(env, info);
  const Libpcap* pcap;
  { std::lock_guard<std::mutex> hold(lock); pcap = Load(); }
  if (!pcap) return Int(env, -ENOENT);
  size_t program_bytes, room, frame_bytes, result_bytes;
  auto* program = reinterpret_cast<const sock_filter*>(a.bytes(0, &program_bytes));
  const uint8_t* bytes = a.bytes(1, &room);
  auto* frames = reinterpret_cast<const uint32_t*>(a.bytes(2, &frame_bytes));
  auto* results = reinterpret_cast<uint32_t*>(a.bytes(3, &result_bytes));
  size_t n = a.u32(4);
  if (!Runnable(pcap, program, program_bytes / sizeof(sock_filter))) return Int(env, -EINVAL);
  if (n * 12 > frame_bytes || n * 4 > result_bytes) return Int(env, -ERANGE);
  for (size_t i = 0; i < n; i++) {
    uint32_t offset = frames[3 * i], captured = frames[3 * i + 1];
    if (uint64_t(offset) + captured > room) return Int(env, -ERANGE);
    results[i] = pcap->filter(program, bytes + offset, frames[3 * i + 2], captured);
  }
  return Int(env, 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "pcapVersion", Version, state);
  Method(env, exports, "pcapLoadError", LoadError, state);
  Method(env, exports, "pcapCompile", Compile, state);
  Method(env, exports, "pcapFilterBurst", FilterBurst, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
