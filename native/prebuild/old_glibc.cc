// Linked into prebuilt addons alone, so that they load on any glibc that Node 20 runs on (2.28), although they are compiled on a later one.
//
// A function that moved into libc.so in 2.32 or 2.34 got a second version of its name there; the first is still offered, and is what an older
// system has (in libpthread.so and libdl.so, which node itself brings). `ld --wrap` sends every reference here. Two names of the static
// libstdc++ and libgcc are later than 2.28 altogether; what they are for does not happen here.
#include <pthread.h>
#include <signal.h>

#if defined(__x86_64__)
#define FIRST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define FIRST "GLIBC_2.17"
#endif
#define FROM_FIRST(type, name, parameters, arguments)                      \
  extern "C" type name##_first parameters;                                 \
  __asm__(".symver " #name "_first," #name "@" FIRST);                     \
  extern "C" type __wrap_##name parameters;                                \
  extern "C" type __wrap_##name parameters { return name##_first arguments; }

FROM_FIRST(void*, dlopen, (const char* file, int mode), (file, mode))
FROM_FIRST(void*, dlsym, (void* handle, const char* name), (handle, name))
FROM_FIRST(int, dlclose, (void* handle), (handle))
FROM_FIRST(char*, dlerror, (), ())
FROM_FIRST(int, pthread_create, (pthread_t* t, const pthread_attr_t* a, void* (*f)(void*), void* x), (t, a, f, x))
FROM_FIRST(int, pthread_join, (pthread_t t, void** x), (t, x))
FROM_FIRST(int, pthread_sigmask, (int how, const sigset_t* set, sigset_t* old), (how, set, old))
FROM_FIRST(int, pthread_once, (pthread_once_t* once, void (*f)()), (once, f))
FROM_FIRST(int, __pthread_key_create, (pthread_key_t* key, void (*f)(void*)), (key, f))

// 2.32: whether locks may be skipped. Never: node has threads.
extern "C" char __libc_single_threaded;
char __libc_single_threaded = 0;
// 2.35: where the tables for unwinding are. Nothing is thrown in this addon; what would be, ends the process either way.
extern "C" int _dl_find_object(void*, void*);
int _dl_find_object(void*, void*) { return -1; }
