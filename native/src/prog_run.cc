// Frames as fast as the kernel can make them: an XDP program that the kernel runs on frames of its own (BPF_PROG_TEST_RUN with
// BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18), and that redirects each out of an interface. For `framekeep gen` and the bench; a switch
// never uses it. In C the program would read:
//
//   int framekeep_gen(struct xdp_md *ctx) {
//     u32 zero = 0;
//     u64 *next = bpf_map_lookup_elem(&numbers, &zero);
//     if (!next) return XDP_DROP;
//     u64 number = (*next)++;                                     // one thread runs it: no atomic
//     u8 *data = (u8 *)(long)ctx->data;
//     if (data + need > (u8 *)(long)ctx->data_end) return XDP_DROP;
//     u32 d = destination + number % destinations, s = source + number % sources;   // the last three bytes of each address
//     data[3] = d >> 16; *(__be16 *)(data + 4) = htons(d);
//     data[9] = s >> 16; *(__be16 *)(data + 10) = htons(s);
//     *(__be64 *)(data + 14) = cpu_to_be64(number);
//     if (size >= 30) *(__be64 *)(data + 22) = cpu_to_be64(bpf_ktime_get_ns());
//     return bpf_redirect(ifindex, 0);
//   }
//
// The calls are made by a thread of this process, in the network namespace it was started in, until count or stop. On veth the
// *other* end must poll (NAPI: an XDP program on it, or GRO on), or nothing is delivered: veth_xdp_xmit (drivers/net/veth.c).
// What an interface cannot take is dropped, silently: what came through is counted at the other end.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <cstring>
#include "addon.h"
#include "xdp_program.h"

#ifndef BPF_F_TEST_XDP_LIVE_FRAMES
#define BPF_F_TEST_XDP_LIVE_FRAMES (1U << 1)   // linux/bpf.h, Linux 5.18
#endif

namespace framekeep {
namespace {

using namespace xdp_program;

constexpr uint32_t kMostTemplates = 64;
constexpr size_t kMostHeld = 8;               // of the 48 places that there are

int Bpf(int command, bpf_attr* attr) { return int(syscall(SYS_bpf, command, attr, sizeof *attr)); }

struct Addresses { uint32_t destination, destinations, source, sources; };

XdpProgram MakeProgram(int map, uint32_t size, uint32_t ifindex, const Addresses& a) {
  constexpr uint8_t number = 7, data = 8;
  const auto store8 = [](uint8_t dst, int16_t off, uint8_t src) { return I(BPF_STX | BPF_MEM | BPF_B, dst, src, off, 0); };
  const auto alu = [](uint8_t op, uint8_t dst, int32_t imm) { return I(uint8_t(BPF_ALU64 | op | BPF_K), dst, 0, 0, imm); };
  const auto big64 = [](uint8_t dst) { return I(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 64); };
  XdpProgram p;
  int16_t drops[2];
  const auto put = [&](bpf_insn i) { p.code[p.count++] = i; };
  const auto address = [&](int16_t at, uint32_t first, uint32_t count) {   // the last three bytes of one at data + at
    put(Move(r1, number));
    put(alu(BPF_MOD, r1, int32_t(count)));
    put(AddImm(r1, int32_t(first)));
    put(Move(r2, r1));
    put(alu(BPF_RSH, r2, 16));
    put(store8(data, int16_t(at + 3), r2));
    put(BigEndian16(r1));
    put(Store16(data, int16_t(at + 4), r1));
  };
  put(Move(context, r1));
  put(StoreImm32(stack, -4, 0));
  put(MapFd(r1, map)); put(UpperHalf());
  put(Move(r2, stack)); put(AddImm(r2, -4));
  put(Call(BPF_FUNC_map_lookup_elem));
  drops[0] = int16_t(p.count); put(JumpImm(BPF_JEQ, r0, 0, 0));
  put(I(BPF_LDX | BPF_MEM | BPF_DW, number, r0, 0, 0));
  put(Move(r1, number)); put(AddImm(r1, 1)); put(Store64(r0, 0, r1));
  put(Load32(data, context, offsetof(xdp_md, data)));
  put(Load32(r2, context, offsetof(xdp_md, data_end)));
  put(Move(r3, data)); put(AddImm(r3, size >= 30 ? 30 : 22));
  drops[1] = int16_t(p.count); put(JumpReg(BPF_JGT, r3, r2, 0));
  address(0, a.destination, a.destinations);
  address(6, a.source, a.sources);
  put(Move(r1, number)); put(big64(r1)); put(Store64(data, 14, r1));
  if (size >= 30) { put(Call(BPF_FUNC_ktime_get_ns)); put(big64(r0)); put(Store64(data, 22, r0)); }
  put(MoveImm(r1, int32_t(ifindex))); put(MoveImm(r2, 0)); put(Call(BPF_FUNC_redirect));
  put(Exit());
  for (int16_t d : drops) p.code[d].off = int16_t(p.count - uint32_t(d) - 1);
  put(MoveImm(r0, XDP_DROP)); put(Exit());
  return p;
}

struct Run {
  // Plain 8-byte stores by the thread: frames handed to the interface, calls made, the errno that ended it (negative) or 0, whether it has ended.
  enum { kFrames, kCalls, kError, kEnded, kCounters };
  double counters[kCounters] = {};
  uint32_t ifindex = 0; Addresses addresses{};
  std::vector<std::vector<uint8_t>> templates;   // by size, gone through call by call
  std::vector<int> programs, held; int map = -1;
  double rate = 0, count = 0, behind = 0; uint32_t most = 0; int cpu = -1;
  pthread_t thread; std::atomic<bool> stop{false}; bool running = false;

  ~Run() {
    Stop();
    for (int fd : held) close(fd);
    for (int fd : programs) close(fd);
    if (map >= 0) close(map);
  }
  void Stop() {
    if (!running) return;
    stop = true;
    pthread_join(thread, nullptr);
    running = false;
  }
  // The kernel's XDP dispatcher has a place for each program in use. A run of one that is not takes a place and gives it back, and waits for
  // RCU both times: 30 ms a call on a busy machine (bpf_dispatcher_change_prog, Linux 6.18), so that 200,000 frames a second came in bursts of
  // 6,000. One that is attached somewhere keeps its place: to the loopback of a network namespace that nobody is in. Without
  // CAP_SYS_ADMIN there is none, and calls take what they take.
  void HoldPlaces() {
    pthread_t t;
    if (pthread_create(&t, nullptr, [](void* x) -> void* {
      auto& run = *static_cast<Run*>(x);
      for (size_t i = 0; i < run.programs.size() && i < kMostHeld; i++) {
        if (unshare(CLONE_NEWNET)) break;        // of this thread alone
        const int space = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (space < 0) break;
        run.held.push_back(space);
        bpf_attr attr; memset(&attr, 0, sizeof attr);
        attr.link_create.prog_fd = uint32_t(run.programs[i]);
        attr.link_create.target_ifindex = 1;     // its loopback, which is down
        attr.link_create.attach_type = BPF_XDP; attr.link_create.flags = XDP_FLAGS_SKB_MODE;
        const int link = Bpf(BPF_LINK_CREATE, &attr);
        if (link >= 0) run.held.push_back(link);
      }
      return nullptr;
    }, this) == 0) pthread_join(t, nullptr);
  }
  static double Now() { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return double(t.tv_sec) + double(t.tv_nsec) / 1e9; }

  void Loop() {
    sigset_t all; sigfillset(&all); pthread_sigmask(SIG_BLOCK, &all, nullptr);  // a signal would end the kernel's run early
    if (cpu >= 0) { cpu_set_t set; CPU_ZERO(&set); CPU_SET(cpu, &set); sched_setaffinity(0, sizeof set, &set); }
    double from = Now();
    size_t next = 0;
    while (!stop && counters[kFrames] < count) {
      double want = count - counters[kFrames];
      if (rate > 0) {
        double due = (Now() - from) * rate - counters[kFrames];
        if (behind > 0 && due > behind) {        // late: what is beyond is left out, not sent at once
          from += (due - behind) / rate;
          due = behind;
        }
        if (due < 1) {                           // some ten calls a millisecond are enough: each costs 5–10 us to set up (60 on a busy machine)
          timespec t = {0, 100000}; nanosleep(&t, nullptr);
          continue;
        }
        if (due < want) want = due;
      }
      if (want > most) want = most;
      const std::vector<uint8_t>& frame = templates[next];
      bpf_attr attr; memset(&attr, 0, sizeof attr);
      attr.test.prog_fd = uint32_t(programs[next]);
      attr.test.data_in = uintptr_t(frame.data()); attr.test.data_size_in = uint32_t(frame.size());
      attr.test.repeat = uint32_t(want);
      attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES; attr.test.batch_size = want < 64 ? uint32_t(want) : 64;
      if (Bpf(BPF_PROG_TEST_RUN, &attr)) { counters[kError] = -errno; break; }
      counters[kFrames] += double(uint32_t(want));
      counters[kCalls]++;
      if (++next == templates.size()) next = 0;
    }
    counters[kEnded] = 1;
  }
};

napi_value Failed(napi_env env, const char* step, int error, const char* log = "") {
  napi_value o = Obj(env);
  Set(env, o, "errno", Num(env, -error)); Set(env, o, "step", Str(env, step)); Set(env, o, "log", Str(env, log));
  return o;
}

// progRunStart(ifindex, options (Float64Array), sizes (Uint32Array), templates (one after the other)) → {handle, counters} or {errno, step, log}
//   options: rate (0: none), count, most frames a call, cpu (-1: any), destination, destinations, source, sources (last three bytes of the first; how many),
//   most frames that are sent at once after a pause (0: all that are due)
napi_value Start(napi_env env, napi_callback_info info) {
  Args<4> a(env, info);
  size_t options_bytes = 0, sizes_bytes = 0, templates_bytes = 0;
  auto* o = reinterpret_cast<double*>(a.bytes(1, &options_bytes));
  auto* sizes = reinterpret_cast<uint32_t*>(a.bytes(2, &sizes_bytes));
  const uint8_t* at = a.bytes(3, &templates_bytes);
  if (options_bytes < 9 * sizeof(double) || !sizes_bytes || sizes_bytes / 4 > kMostTemplates) return Failed(env, "arguments", EINVAL);
  auto run = std::make_unique<Run>();
  run->ifindex = a.u32(0);
  run->rate = o[0]; run->count = o[1]; run->most = uint32_t(o[2]); run->cpu = int(o[3]); run->behind = o[8];
  run->addresses = {uint32_t(o[4]), uint32_t(o[5]), uint32_t(o[6]), uint32_t(o[7])};
  if (!run->most || !run->addresses.destinations || !run->addresses.sources) return Failed(env, "arguments", EINVAL);
  bpf_attr m; memset(&m, 0, sizeof m);
  m.map_type = BPF_MAP_TYPE_ARRAY; m.key_size = 4; m.value_size = 8; m.max_entries = 1;
  strcpy(m.map_name, "framekeep_gen");
  if ((run->map = Bpf(BPF_MAP_CREATE, &m)) < 0) return Failed(env, "map", errno);
  for (size_t i = 0; i < sizes_bytes / 4; i++) {
    if (sizes[i] < 22 || sizes[i] > templates_bytes) return Failed(env, "arguments", EINVAL);
    run->templates.emplace_back(at, at + sizes[i]);
    at += sizes[i]; templates_bytes -= sizes[i];
    const XdpProgram program = MakeProgram(run->map, sizes[i], run->ifindex, run->addresses);
    std::vector<char> log(1 << 14);
    bpf_attr load; memset(&load, 0, sizeof load);
    load.prog_type = BPF_PROG_TYPE_XDP; load.insns = uintptr_t(program.code); load.insn_cnt = program.count; load.license = uintptr_t("Dual BSD/GPL");
    load.log_buf = uintptr_t(log.data()); load.log_size = uint32_t(log.size()); load.log_level = 1;
    strcpy(load.prog_name, "framekeep_gen");
    int fd = -1;
    for (int tries = 0; tries < 10 && (fd = Bpf(BPF_PROG_LOAD, &load)) < 0 && errno == EAGAIN; tries++) {}  // the verifier, interrupted by a signal
    if (fd < 0) return Failed(env, "program", errno, log.data());
    run->programs.push_back(fd);
  }
  run->HoldPlaces();
  Run* r = run.release();
  a.state->owned.push_back({r, [](void* x) { delete static_cast<Run*>(x); }});
  r->running = true;
  if (int e = pthread_create(&r->thread, nullptr, [](void* x) -> void* { static_cast<Run*>(x)->Loop(); return nullptr; }, r)) { r->running = false; return Failed(env, "thread", e); }
  napi_value result = Obj(env), handle;
  napi_create_external(env, r, nullptr, nullptr, &handle);
  Set(env, result, "handle", handle);
  Set(env, result, "counters", View(env, r->counters, sizeof r->counters));
  return result;
}

// progRunStop(handle): returns when the thread's last call has; its counters stay.
napi_value Stop(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  void* run = nullptr;
  if (napi_get_value_external(env, a.v[0], &run) != napi_ok) return Int(env, -EINVAL);
  static_cast<Run*>(run)->Stop();
  return Int(env, 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "progRunStart", Start, state);
  Method(env, exports, "progRunStop", Stop, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
