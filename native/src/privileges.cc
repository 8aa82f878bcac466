// Giving capabilities up, in every thread of the process (capabilities(7), capset(2), prctl(2)).
//
// Credentials belong to a thread, and no system call changes those of another. Node has a dozen threads before the first line of
// JavaScript runs, one of which blocks every signal that can be blocked. So it is done as libc does setuid(2) for all threads: by a
// signal below SIGRTMIN, which libc's pthread_sigmask does not block, sent to each thread; its handler makes the system calls there.
// libc's own action for that signal is put back afterwards. A thread that is born meanwhile inherits what its parent has: the list of
// threads is read again until it names none that was not asked.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include "addon.h"

namespace framekeep {
namespace {

// SIGSETXID in glibc (nptl), SIGCANCEL in musl: never blocked by either.
constexpr int kSignal = 33;
// What rt_sigaction(2) takes on x86-64 and arm64 (asm/signal.h): not what libc calls struct sigaction.
struct KernelAction { void (*handler)(int); unsigned long flags; void (*restorer)(); uint64_t mask; };

// Only the thread that holds the lock writes these, before it sends.
std::mutex one_at_a_time;
uint64_t g_keep;
int g_done, g_error;

// Ambient capabilities follow: the kernel takes those away that are not permitted and inheritable any more. What is left of them is
// what lets the helper of a cap: port have them where a service manager gave them so.
int Shrink(uint64_t keep) {
  __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &head, data)) return errno;
  for (int i = 0; i < 2; i++) {
    const uint32_t mine = uint32_t(keep >> (32 * i));
    data[i].permitted &= mine;
    data[i].inheritable &= mine;
    data[i].effective = data[i].permitted;
  }
  return syscall(SYS_capset, &head, data) ? errno : 0;
}

// In the calling thread. Only system calls: it runs in a signal handler, which may have come anywhere.
int GiveUp(uint64_t keep) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
  // Without CAP_SETPCAP the bounding set stays; with no new privileges nothing is gained by exec from it.
  for (int cap = 0; cap < 64; cap++) {
    if (keep >> cap & 1) continue;
    if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) < 0) break;  // beyond the kernel's last
    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
  }
  return Shrink(keep);
}

void Handler(int) {
  const int before = errno;
  if (int e = GiveUp(g_keep)) __atomic_store_n(&g_error, e, __ATOMIC_RELAXED);
  __atomic_fetch_add(&g_done, 1, __ATOMIC_RELEASE);
  errno = before;
}

bool Has(const std::vector<int>& list, int x) { for (int y : list) if (x == y) return true; return false; }

int ForAllThreads(uint64_t keep) {
  std::lock_guard<std::mutex> lock(one_at_a_time);
  g_keep = keep; g_done = g_error = 0;
  if (int e = GiveUp(keep)) return e;
  // sa_restorer is known to libc alone: an action that libc installs is read back, and serves for the other signal.
  struct sigaction ours = {}, was;
  ours.sa_handler = Handler; ours.sa_flags = SA_RESTART | SA_ONSTACK; sigfillset(&ours.sa_mask);
  const int spare = SIGRTMAX - 1;
  KernelAction action, libc;
  if (sigaction(spare, &ours, &was)) return errno;
  long r = syscall(SYS_rt_sigaction, spare, nullptr, &action, 8);
  sigaction(spare, &was, nullptr);
  if (r || syscall(SYS_rt_sigaction, kSignal, &action, &libc, 8)) return errno;

  std::vector<int> asked = {int(syscall(SYS_gettid))};
  int sent = 0, error = 0;
  for (bool more = true; more && !error;) {
    more = false;
    DIR* tasks = opendir("/proc/self/task");
    if (!tasks) { error = errno; break; }
    while (dirent* entry = readdir(tasks)) {
      const int tid = atoi(entry->d_name);
      if (tid <= 0 || Has(asked, tid)) continue;
      asked.push_back(tid);
      more = true;
      if (syscall(SYS_tgkill, getpid(), tid, kSignal) == 0) sent++;
      else if (errno != ESRCH) error = errno;
    }
    closedir(tasks);
    // A thread that ended before it was told never answers; whether all have done it is read from /proc afterwards.
    for (int i = 0; i < 5000 && __atomic_load_n(&g_done, __ATOMIC_ACQUIRE) < sent; i++) {
      timespec ms = {0, 1000000};
      nanosleep(&ms, nullptr);
    }
  }
  // One that is still to be told must not meet libc's handler, which would look for an order of libc's.
  if (__atomic_load_n(&g_done, __ATOMIC_ACQUIRE) >= sent) syscall(SYS_rt_sigaction, kSignal, &libc, nullptr, 8);
  return error ? error : __atomic_load_n(&g_error, __ATOMIC_RELAXED);
}

// privilegesDrop(capabilities to keep, as bits: low word, high word) → 0 or negative errno. From all threads, for good.
napi_value PrivilegesDrop(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  return Int(env, -ForAllThreads(a.u32(0) | uint64_t(a.u32(1)) << 32));
}

void Init(napi_env env, napi_value exports, EnvState* state) { Method(env, exports, "privilegesDrop", PrivilegesDrop, state); }
Part part(Init);

}  // namespace
}  // namespace framekeep
