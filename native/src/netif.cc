// What the kernel says about network interfaces, and what a port changes on them: rtnetlink (rtnetlink(7), linux/if_link.h)
// and the ethtool ioctls (linux/ethtool.h). All cold. Everything concerns the calling thread's network namespace; sysfs is
// not asked, because a /sys mounted elsewhere shows the interfaces of another namespace.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>
#include "addon.h"

namespace framekeep {
namespace {

constexpr unsigned kUp = 1, kRunning = 1 << 6;           // IFF_UP, IFF_RUNNING
// A link message with its statistics is some 1.5 KB; the kernel fills a dump's answers to at most 32 KiB each.
constexpr size_t kAnswer = 64 << 10;

struct Fd {                                              // closes on every way out
  int fd;
  explicit Fd(int f) : fd(f) {}
  ~Fd() { if (fd >= 0) close(fd); }
  Fd(const Fd&) = delete;
};

int RouteSocket(int flags, unsigned groups) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);
  if (fd < 0) return -errno;
  sockaddr_nl me = {};
  me.nl_family = AF_NETLINK; me.nl_groups = groups;
  if (bind(fd, reinterpret_cast<sockaddr*>(&me), sizeof me)) { int e = errno; close(fd); return -e; }
  return fd;
}

napi_value Text(napi_env env, const rtattr* a) {         // a string attribute, with or without its NUL
  const char* s = static_cast<const char*>(RTA_DATA(a));
  napi_value v; napi_create_string_utf8(env, s, strnlen(s, RTA_PAYLOAD(a)), &v); return v;
}
uint32_t U32(const rtattr* a) { uint32_t x = 0; memcpy(&x, RTA_DATA(a), RTA_PAYLOAD(a) < 4 ? RTA_PAYLOAD(a) : 4); return x; }
napi_value Flag(napi_env env, bool x) { napi_value v; napi_get_boolean(env, x, &v); return v; }

// The fields of one RTM_NEWLINK or RTM_DELLINK message as an object; see LinkMessage in native/netif.ts.
napi_value LinkObject(napi_env env, const nlmsghdr* h) {
  auto* info = static_cast<const ifinfomsg*>(NLMSG_DATA(h));
  napi_value o = Obj(env);
  Set(env, o, "index", Int(env, info->ifi_index));
  Set(env, o, "up", Flag(env, info->ifi_flags & kUp));
  Set(env, o, "running", Flag(env, info->ifi_flags & kRunning));
  Set(env, o, "gone", Flag(env, h->nlmsg_type == RTM_DELLINK));
  int left = int(h->nlmsg_len - NLMSG_LENGTH(sizeof *info));
  for (const rtattr* a = IFLA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
    switch (a->rta_type & NLA_TYPE_MASK) {
      case IFLA_IFNAME: Set(env, o, "name", Text(env, a)); break;
      case IFLA_MTU: Set(env, o, "mtu", Num(env, U32(a))); break;
      case IFLA_MASTER: Set(env, o, "master", Num(env, U32(a))); break;
      case IFLA_LINK: Set(env, o, "link", Num(env, U32(a))); break;
      case IFLA_LINK_NETNSID: Set(env, o, "linkElsewhere", Flag(env, true)); break;
      case IFLA_NUM_RX_QUEUES: Set(env, o, "rxQueues", Num(env, U32(a))); break;
      case IFLA_NUM_TX_QUEUES: Set(env, o, "txQueues", Num(env, U32(a))); break;
      case IFLA_PROMISCUITY: Set(env, o, "promiscuity", Num(env, U32(a))); break;
      case 56: Set(env, o, "parent", Text(env, a)); break;            // IFLA_PARENT_DEV_NAME, Linux 5.14
      case IFLA_ADDRESS: {
        char mac[3 * 32 + 1] = ""; auto* b = static_cast<const uint8_t*>(RTA_DATA(a));
        for (size_t i = 0; i < RTA_PAYLOAD(a) && i < 32; i++) snprintf(mac + i * 3, 4, "%02x:", b[i]);
        if (*mac) mac[strlen(mac) - 1] = 0;
        Set(env, o, "mac", Str(env, mac));
        break;
      }
      case IFLA_LINKINFO: {
        int n = int(RTA_PAYLOAD(a));
        for (auto* k = static_cast<const rtattr*>(RTA_DATA(a)); RTA_OK(k, n); k = RTA_NEXT(k, n)) {
          if (k->rta_type == IFLA_INFO_KIND) Set(env, o, "type", Text(env, k));
        }
        break;
      }
      case IFLA_XDP: {
        int n = int(RTA_PAYLOAD(a));
        for (auto* k = static_cast<const rtattr*>(RTA_DATA(a)); RTA_OK(k, n); k = RTA_NEXT(k, n)) {
          if (k->rta_type == IFLA_XDP_ATTACHED) Set(env, o, "xdp", Int(env, *static_cast<const uint8_t*>(RTA_DATA(k))));
        }
        break;
      }
    }
  }
  return o;
}

// One dump; `each` sees every message of it. Repeated when the kernel says that it changed underneath (NLM_F_DUMP_INTR).
template <class Begin, class Each> int Dump(int type, int family, Begin begin, Each each) {
  Fd s(RouteSocket(0, 0));
  if (s.fd < 0) return s.fd;
  std::vector<char> answer(kAnswer);
  for (uint32_t attempt = 1; attempt <= 8; attempt++) {
    struct { nlmsghdr h; union { ifinfomsg link; rtmsg route; } body; } ask = {};
    ask.h.nlmsg_len = NLMSG_LENGTH(type == RTM_GETLINK ? sizeof(ifinfomsg) : sizeof(rtmsg));
    ask.h.nlmsg_type = uint16_t(type);
    ask.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    ask.h.nlmsg_seq = attempt;
    ask.body.link.ifi_family = uint8_t(family);          // the first byte of either
    if (send(s.fd, &ask, ask.h.nlmsg_len, 0) < 0) return -errno;
    begin();
    bool done = false, changed = false;
    while (!done) {
      ssize_t n = recv(s.fd, answer.data(), answer.size(), MSG_TRUNC);
      if (n < 0) { if (errno == EINTR) continue; return -errno; }
      if (size_t(n) > answer.size()) return -EMSGSIZE;
      auto left = unsigned(n);
      for (auto* h = reinterpret_cast<const nlmsghdr*>(answer.data()); NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
        if (h->nlmsg_seq != attempt) continue;
        if (h->nlmsg_flags & NLM_F_DUMP_INTR) changed = true;
        if (h->nlmsg_type == NLMSG_DONE) { done = true; break; }
        if (h->nlmsg_type == NLMSG_ERROR) return static_cast<const nlmsgerr*>(NLMSG_DATA(h))->error;
        each(h);
      }
    }
    if (!changed) return 0;
  }
  return -EAGAIN;
}

// netLinks() → every interface, or negative errno
napi_value NetLinks(napi_env env, napi_callback_info) {
  napi_value list = nullptr; uint32_t n = 0;
  int r = Dump(RTM_GETLINK, AF_UNSPEC, [&] { napi_create_array(env, &list); n = 0; }, [&](const nlmsghdr* h) {
    if (h->nlmsg_type == RTM_NEWLINK) napi_set_element(env, list, n++, LinkObject(env, h));
  });
  return r ? Int(env, r) : list;
}

// netDefaultRoutes() → [family, ifindex, family, ifindex, …] of every unicast route with prefix length 0 in any table (so that
// policy routing is seen, which /proc/net/route does not show), with all legs of a multipath route; or negative errno
napi_value NetDefaultRoutes(napi_env env, napi_callback_info) {
  napi_value list; uint32_t n = 0;
  napi_create_array(env, &list);
  for (int family : {AF_INET, AF_INET6}) {
    uint32_t from = n;
    int r = Dump(RTM_GETROUTE, family, [&] { n = from; }, [&](const nlmsghdr* h) {
      if (h->nlmsg_type != RTM_NEWROUTE) return;
      auto* route = static_cast<const rtmsg*>(NLMSG_DATA(h));
      if (route->rtm_family != family || route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST || (route->rtm_flags & RTM_F_CLONED)) return;
      auto add = [&](uint32_t index) { napi_set_element(env, list, n++, Int(env, family)); napi_set_element(env, list, n++, Num(env, index)); };
      int left = int(RTM_PAYLOAD(h));
      for (const rtattr* a = RTM_RTA(route); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTA_OIF) add(U32(a));
        if (a->rta_type == RTA_MULTIPATH) {
          int room = int(RTA_PAYLOAD(a));
          for (auto* hop = static_cast<const rtnexthop*>(RTA_DATA(a)); room >= int(sizeof *hop) && RTNH_OK(hop, room);) {
            add(uint32_t(hop->rtnh_ifindex));
            room -= int(NLMSG_ALIGN(hop->rtnh_len)); hop = RTNH_NEXT(hop);
          }
        }
      }
    });
    if (r) return Int(env, r);
  }
  napi_value length; napi_create_uint32(env, n, &length);
  napi_set_named_property(env, list, "length", length);
  return list;
}

int Ethtool(const char* name, void* command) {
  Fd s(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (s.fd < 0) return -errno;
  ifreq r = {};
  snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
  r.ifr_data = static_cast<char*>(command);
  int answer = ioctl(s.fd, SIOCETHTOOL, &r);
  return answer < 0 ? -errno : answer;
}

// netDriver(name) → the driver's name (ETHTOOL_GDRVINFO), or negative errno
napi_value NetDriver(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  ethtool_drvinfo d = {}; d.cmd = ETHTOOL_GDRVINFO;
  int r = Ethtool(a.text(0).data(), &d);
  return r < 0 ? Int(env, r) : Str(env, d.driver);
}

// netChannels(name) → [rx, tx, combined] in use now (ETHTOOL_GCHANNELS), or negative errno
napi_value NetChannels(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  ethtool_channels c = {}; c.cmd = ETHTOOL_GCHANNELS;
  int r = Ethtool(a.text(0).data(), &c);
  if (r < 0) return Int(env, r);
  napi_value list; napi_create_array(env, &list);
  uint32_t counts[] = {c.rx_count, c.tx_count, c.combined_count};
  for (uint32_t i = 0; i < 3; i++) napi_set_element(env, list, i, Num(env, counts[i]));
  return list;
}

// The kernel's feature names, by bit (ETH_SS_FEATURES: net/ethtool/common.c); the same for every interface.
int FeatureNames(const char* name, std::vector<std::string>* names) {
  alignas(8) uint8_t ask[sizeof(ethtool_sset_info) + sizeof(uint32_t)] = {};
  auto* set = reinterpret_cast<ethtool_sset_info*>(ask);
  set->cmd = ETHTOOL_GSSET_INFO; set->sset_mask = 1ull << ETH_SS_FEATURES;
  int r = Ethtool(name, set);
  if (r < 0) return r;
  if (!set->sset_mask) return -EOPNOTSUPP;
  const uint32_t count = set->data[0];
  std::vector<uint8_t> room(sizeof(ethtool_gstrings) + size_t(count) * ETH_GSTRING_LEN);
  auto* strings = reinterpret_cast<ethtool_gstrings*>(room.data());
  strings->cmd = ETHTOOL_GSTRINGS; strings->string_set = ETH_SS_FEATURES; strings->len = count;
  r = Ethtool(name, strings);
  if (r < 0) return r;
  for (uint32_t i = 0; i < count; i++) {
    const char* s = reinterpret_cast<const char*>(strings->data) + i * ETH_GSTRING_LEN;
    names->emplace_back(s, strnlen(s, ETH_GSTRING_LEN));
  }
  return 0;
}

// netFeatures(name) → [{name, on, changeable}] or negative errno
napi_value NetFeatures(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  auto name = a.text(0);
  std::vector<std::string> names;
  int r = FeatureNames(name.data(), &names);
  if (r < 0) return Int(env, r);
  uint32_t blocks = uint32_t(names.size() + 31) / 32;
  std::vector<uint8_t> room(sizeof(ethtool_gfeatures) + blocks * sizeof(ethtool_get_features_block));
  auto* got = reinterpret_cast<ethtool_gfeatures*>(room.data());
  got->cmd = ETHTOOL_GFEATURES; got->size = blocks;
  r = Ethtool(name.data(), got);
  if (r < 0) return Int(env, r);
  napi_value list; napi_create_array(env, &list);
  uint32_t n = 0;
  for (uint32_t bit = 0; bit < names.size(); bit++) {
    const auto& b = got->features[bit / 32]; uint32_t m = 1u << bit % 32;
    if (names[bit].empty()) continue;
    napi_value o = Obj(env);
    Set(env, o, "name", Str(env, names[bit].c_str()));
    Set(env, o, "on", Flag(env, b.active & m));
    Set(env, o, "changeable", Flag(env, (b.available & m) && !(b.never_changed & m)));
    napi_set_element(env, list, n++, o);
  }
  return list;
}

// netSetFeatures(name, names[], Uint8Array on) → the kernel's ETHTOOL_F_* answer bits, or negative errno (-ENOENT: no such feature)
napi_value NetSetFeatures(napi_env env, napi_callback_info info) {
  Args<3> a(env, info);
  auto name = a.text(0);
  std::vector<std::string> names;
  int r = FeatureNames(name.data(), &names);
  if (r < 0) return Int(env, r);
  uint32_t blocks = uint32_t(names.size() + 31) / 32, count = 0;
  std::vector<uint8_t> room(sizeof(ethtool_sfeatures) + blocks * sizeof(ethtool_set_features_block));
  auto* set = reinterpret_cast<ethtool_sfeatures*>(room.data());
  set->cmd = ETHTOOL_SFEATURES; set->size = blocks;
  size_t given; const uint8_t* on = a.bytes(2, &given);
  napi_get_array_length(env, a.v[1], &count);
  if (given < count) return Int(env, -EINVAL);
  for (uint32_t i = 0; i < count; i++) {
    napi_value v; napi_get_element(env, a.v[1], i, &v);
    char wanted[ETH_GSTRING_LEN + 1] = ""; size_t length;
    napi_get_value_string_utf8(env, v, wanted, sizeof wanted, &length);
    uint32_t bit = 0;
    while (bit < names.size() && names[bit] != wanted) bit++;
    if (bit == names.size()) return Int(env, -ENOENT);
    set->features[bit / 32].valid |= 1u << bit % 32;
    if (on[i]) set->features[bit / 32].requested |= 1u << bit % 32;
  }
  return Int(env, Ethtool(name.data(), set));
}

// netSegmentLimit(ifindex, bytes) → 0 or negative errno. Longer frames the kernel cuts before the interface gets them
// (IFLA_GSO_MAX_SIZE, `ip link set … gso_max_size`); TCP makes none.
napi_value NetSegmentLimit(napi_env env, napi_callback_info info) {
  Args<2> a(env, info);
  Fd s(RouteSocket(0, 0));
  if (s.fd < 0) return Int(env, s.fd);
  struct { nlmsghdr h; ifinfomsg link; rtattr limit; uint32_t bytes; } ask = {};
  ask.h.nlmsg_len = sizeof ask;
  ask.h.nlmsg_type = RTM_NEWLINK;
  ask.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  ask.link.ifi_index = a.i32(0);
  ask.limit = {RTA_LENGTH(sizeof ask.bytes), IFLA_GSO_MAX_SIZE};
  ask.bytes = a.u32(1);
  if (send(s.fd, &ask, sizeof ask, 0) < 0) return Int(env, -errno);
  struct { nlmsghdr h; nlmsgerr error; char rest[512]; } answer;
  for (;;) {
    ssize_t n = recv(s.fd, &answer, sizeof answer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Int(env, -errno);
    return Int(env, answer.h.nlmsg_type == NLMSG_ERROR ? answer.error.error : -EPROTO);
  }
}

// netPromiscuous(ifindex) → a descriptor that keeps the interface promiscuous while it is open, or negative errno. A packet
// socket of protocol 0 receives nothing; its membership (packet(7)) is dropped by the kernel however the process ends.
napi_value NetPromiscuous(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return Int(env, -errno);
  packet_mreq m = {}; m.mr_ifindex = a.i32(0); m.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m)) { int e = errno; close(fd); return Int(env, -e); }
  a.state->fds.insert(fd);
  return Int(env, fd);
}

// netMonitorOpen() → a nonblocking socket that hears of every change of a link, or negative errno
napi_value NetMonitorOpen(napi_env env, napi_callback_info info) {
  Args<0> a(env, info);
  int fd = RouteSocket(SOCK_NONBLOCK, RTMGRP_LINK);
  if (fd >= 0) a.state->fds.insert(fd);
  return Int(env, fd);
}

// netMonitorRead(fd) → what it heard, as netLinks gives it, oldest first; -ENOBUFS when some was lost
napi_value NetMonitorRead(napi_env env, napi_callback_info info) {
  Args<1> a(env, info);
  napi_value list; napi_create_array(env, &list);
  std::vector<char> answer(kAnswer);
  uint32_t n = 0;
  for (;;) {
    sockaddr_nl from = {}; socklen_t size = sizeof from;
    ssize_t got = recvfrom(a.i32(0), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN ? list : Int(env, -errno);
    if (from.nl_pid != 0) continue;                      // only the kernel is believed
    auto left = unsigned(got);
    for (auto* h = reinterpret_cast<const nlmsghdr*>(answer.data()); NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) continue;
      // A bridge tells of its ports in the same group, and sends RTM_DELLINK when an interface merely leaves it.
      if (static_cast<const ifinfomsg*>(NLMSG_DATA(h))->ifi_family != AF_UNSPEC) continue;
      napi_set_element(env, list, n++, LinkObject(env, h));
    }
  }
}

void Init(napi_env env, napi_value exports, EnvState* state) {
  Method(env, exports, "netLinks", NetLinks, state);
  Method(env, exports, "netDefaultRoutes", NetDefaultRoutes, state);
  Method(env, exports, "netDriver", NetDriver, state);
  Method(env, exports, "netChannels", NetChannels, state);
  Method(env, exports, "netFeatures", NetFeatures, state);
  Method(env, exports, "netSetFeatures", NetSetFeatures, state);
  Method(env, exports, "netSegmentLimit", NetSegmentLimit, state);
  Method(env, exports, "netPromiscuous", NetPromiscuous, state);
  Method(env, exports, "netMonitorOpen", NetMonitorOpen, state);
  Method(env, exports, "netMonitorRead", NetMonitorRead, state);
}
Part part(Init);

}  // namespace
}  // namespace framekeep
