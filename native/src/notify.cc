// One datagram to a Unix socket: how a service speaks to its manager (sd_notify(3)) and to the journal
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). Node has no such sockets.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include "addon.h"

namespace framekeep {
namespace {

// datagramSend(address, bytes) → 0 or negative errno. The address is a path, or a name in the abstract namespace after '@'
// (unix(7): its length counts, nothing ends it). Waits 200 ms at most for a receiver whose queue is full.
napi_value DatagramSend(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  std::vector<char> address = a.text(0);               // with its NUL
  size_t n; const uint8_t* bytes = a.bytes(1, &n);
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  size_t length = address.size() - 1;
  if (length < 2 || (address[0] != '/' && address[0] != '@')) return Int(env, -EAFNOSUPPORT);
  if (length >= sizeof to.sun_path) return Int(env, -ENAMETOOLONG);
  memcpy(to.sun_path, address.data(), length);
  if (address[0] == '@') to.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Int(env, -errno);
  timeval wait = {0, 200000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  socklen_t size = socklen_t(offsetof(sockaddr_un, sun_path) + length + (address[0] == '/' ? 1 : 0));
  int r = sendto(fd, bytes, n, MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to), size) < 0 ? -errno : 0;
  close(fd);
  return Int(env, r);
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "datagramSend", DatagramSend, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
