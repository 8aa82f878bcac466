// Writing a file in a thread beside: while one half of a buffer goes out, the other one is filled. Two buffers and one thread, since a
// file takes one write at a time.
//
// The caller waits where it is faster than the file, never otherwise. What the file refused is told at the next hand-over.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <cerrno>
#include "addon.h"

namespace framekeep {
namespace {

struct Writer {
  int fd;
  napi_env env; napi_ref memory = nullptr;            // what is being written stays there until it is
  pthread_t thread;
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
  const uint8_t* at = nullptr; size_t left = 0;       // in hand; 0: idle
  bool ends = false;
  double taken = 0; int failure = 0;

  static void* Run(void* p) {
    auto& self = *static_cast<Writer*>(p);
    pthread_mutex_lock(&self.lock);
    for (;;) {
      while (self.left == 0 && !self.ends) pthread_cond_wait(&self.changed, &self.lock);
      if (self.left == 0) break;
      const uint8_t* at = self.at; size_t left = self.left; int failure = 0;
      pthread_mutex_unlock(&self.lock);
      while (left > 0) {
        const ssize_t n = write(self.fd, at, left);
        if (n >= 0) { at += n; left -= size_t(n); continue; }
        if (errno == EINTR) continue;
        failure = errno;
        break;
      }
      pthread_mutex_lock(&self.lock);
      self.taken += double(self.left - left);
      self.failure = failure;
      self.left = 0;
      pthread_cond_signal(&self.changed);
      if (failure) break;
    }
    pthread_mutex_unlock(&self.lock);
    return nullptr;
  }
  void Wait() { while (left > 0) pthread_cond_wait(&changed, &lock); }
  void End() {
    pthread_mutex_lock(&lock);
    Wait();
    ends = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, nullptr);
  }
  static void Destroy(void* p) {                      // the thread of JavaScript ended first; its references went with it
    auto* self = static_cast<Writer*>(p);
    self->End();
    delete self;
  }
};

Writer* Find(const EnvState* state, void* wanted) {
  for (const auto& [p, destroy] : state->owned) if (destroy == Writer::Destroy && p == wanted) return static_cast<Writer*>(p);
  return nullptr;
}

// told: bytes that the file took so far, and what it refused more with (errno, 0: nothing).
void Tell(const Writer& w, double* told) { told[0] = w.taken; told[1] = double(w.failure); }

// writeBehindStart(fd, ArrayBuffer memory) → handle or negative errno
napi_value Start(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  auto* w = new Writer();
  w->fd = a.i32(0);
  w->env = env;
  if (napi_create_reference(env, a.v[1], 1, &w->memory) != napi_ok) { delete w; return Int(env, -EINVAL); }
  sigset_t all, before;                               // signals are the main thread's
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int e = pthread_create(&w->thread, nullptr, Writer::Run, w);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (e) { napi_delete_reference(env, w->memory); delete w; return Int(env, -e); }
  a.state->owned.emplace_back(w, Writer::Destroy);
  napi_value handle;
  napi_create_external(env, w, nullptr, nullptr, &handle);
  return handle;
}

Writer* Handle(napi_env env, const Args<4>& a) {
  void* p = nullptr;
  return napi_get_value_external(env, a.v[0], &p) == napi_ok ? Find(a.state, p) : nullptr;
}

// writeBehind(handle, bytes of the memory, n, told) → 0: handed over, after what was handed over before is written; or negative errno
napi_value Write(napi_env env, napi_callback_info info) {
  Args<4> a(env, info);
  Writer* w = Handle(env, a);
  size_t room, n_told;
  const uint8_t* bytes = a.bytes(1, &room);
  auto* told = reinterpret_cast<double*>(a.bytes(3, &n_told));
  const size_t n = size_t(a.u64(2));
  if (!w || !bytes || n > room || n_told < 16) return Int(env, -EINVAL);
  pthread_mutex_lock(&w->lock);
  w->Wait();
  if (!w->failure) { w->at = bytes; w->left = n; pthread_cond_signal(&w->changed); }
  Tell(*w, told);
  pthread_mutex_unlock(&w->lock);
  return Int(env, 0);
}

// writeBehindEnd(handle, -, -, told) → 0, with all of it written or refused; the handle is no more
napi_value End(napi_env env, napi_callback_info info) {
  Args<4> a(env, info);
  Writer* w = Handle(env, a);
  size_t n_told;
  auto* told = reinterpret_cast<double*>(a.bytes(3, &n_told));
  if (!w || n_told < 16) return Int(env, -EINVAL);
  w->End();
  Tell(*w, told);
  a.state->Disown(w, Writer::Destroy);
  napi_delete_reference(env, w->memory);
  delete w;
  return Int(env, 0);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "writeBehindStart", Start, state);
  Method(env, exports, "writeBehind", Write, state);
  Method(env, exports, "writeBehindEnd", End, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
