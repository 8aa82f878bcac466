// kernel_btf.h, by one file read and two netlink questions. Cold: asked once when a program is attached.
#include "kernel_btf.h"
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cstring>
#include <vector>

namespace framekeep {
namespace {

// linux/btf.h, copied as numbers: the headers this is compiled with may be older than the kernel.
struct BtfHeader { uint16_t magic; uint8_t version, flags; uint32_t headerBytes, typeAt, typeBytes, stringAt, stringBytes; };
struct BtfType { uint32_t name, info, sizeOrType; };
constexpr uint16_t kBtfMagic = 0xEB9F;
constexpr uint32_t kBtfFunc = 12;
constexpr size_t kMostBtf = 64u << 20;                // twelve times what Linux 6.18 has

// Bytes that follow a type of this kind, for each of its vlen members or once; -1: a kind that is not known.
struct Extra { int once, each; };
constexpr Extra kExtra[] = {
    /* void       */ {-1, 0}, /* INT         */ {4, 0},  /* PTR      */ {0, 0}, /* ARRAY      */ {12, 0},
    /* STRUCT     */ {0, 12}, /* UNION       */ {0, 12}, /* ENUM     */ {0, 8}, /* FWD        */ {0, 0},
    /* TYPEDEF    */ {0, 0},  /* VOLATILE    */ {0, 0},  /* CONST    */ {0, 0}, /* RESTRICT   */ {0, 0},
    /* FUNC       */ {0, 0},  /* FUNC_PROTO  */ {0, 8},  /* VAR      */ {4, 0}, /* DATASEC    */ {0, 12},
    /* FLOAT      */ {0, 0},  /* DECL_TAG    */ {4, 0},  /* TYPE_TAG */ {0, 0}, /* ENUM64     */ {0, 12},
};

// One generic-netlink question; the first attribute `wanted` of the answer into `out`. false: none came.
bool Ask(int fd, uint16_t family, uint8_t command, uint16_t attribute, const void* value, uint16_t bytes, uint16_t wanted, void* out, uint16_t room) {
  alignas(8) uint8_t ask[64] = {}, answer[8192];
  auto* h = reinterpret_cast<nlmsghdr*>(ask);
  auto* g = static_cast<genlmsghdr*>(NLMSG_DATA(h));
  auto* a = reinterpret_cast<nlattr*>(reinterpret_cast<uint8_t*>(g) + GENL_HDRLEN);
  h->nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN + NLA_ALIGN(NLA_HDRLEN + bytes));
  if (h->nlmsg_len > sizeof ask) return false;
  h->nlmsg_type = family; h->nlmsg_flags = NLM_F_REQUEST; h->nlmsg_seq = family;
  g->cmd = command; g->version = 1;
  a->nla_type = attribute; a->nla_len = uint16_t(NLA_HDRLEN + bytes);
  memcpy(reinterpret_cast<uint8_t*>(a) + NLA_HDRLEN, value, bytes);
  if (send(fd, ask, h->nlmsg_len, 0) < 0) return false;
  ssize_t got = recv(fd, answer, sizeof answer, 0);   // the kernel has answered within send
  auto* r = reinterpret_cast<const nlmsghdr*>(answer);
  if (got < 0 || !NLMSG_OK(r, size_t(got)) || r->nlmsg_type != family || r->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN)) return false;
  for (size_t at = NLMSG_LENGTH(GENL_HDRLEN); at + NLA_HDRLEN <= r->nlmsg_len;) {
    auto* one = reinterpret_cast<const nlattr*>(answer + at);
    if (one->nla_len < NLA_HDRLEN || at + one->nla_len > r->nlmsg_len) return false;
    if ((one->nla_type & NLA_TYPE_MASK) == wanted && one->nla_len >= NLA_HDRLEN + room) {
      memcpy(out, answer + at + NLA_HDRLEN, room);
      return true;
    }
    at += NLA_ALIGN(one->nla_len);
  }
  return false;
}

}  // namespace

uint32_t BtfFunction(const uint8_t* btf, size_t bytes, const char* name) {
  BtfHeader h;
  if (bytes < sizeof h) return 0;
  memcpy(&h, btf, sizeof h);
  if (h.magic != kBtfMagic || h.version != 1 || h.headerBytes < sizeof h || h.headerBytes > bytes) return 0;
  const uint8_t* body = btf + h.headerBytes;
  const size_t rest = bytes - h.headerBytes;
  if (h.typeAt > rest || h.typeBytes > rest - h.typeAt || h.stringAt > rest || h.stringBytes > rest - h.stringAt) return 0;
  const uint8_t *types = body + h.typeAt, *strings = body + h.stringAt;
  const size_t length = strlen(name) + 1;             // with its NUL
  uint32_t id = 1;                                    // 0 is void, and is not written down
  for (size_t at = 0; h.typeBytes - at >= sizeof(BtfType); id++) {
    BtfType type;
    memcpy(&type, types + at, sizeof type);
    const uint32_t kind = type.info >> 24 & 0x1f, members = type.info & 0xffff;
    if (kind >= sizeof kExtra / sizeof *kExtra || kExtra[kind].once < 0) return 0;
    if (kind == kBtfFunc && type.name < h.stringBytes && h.stringBytes - type.name >= length && memcmp(strings + type.name, name, length) == 0) return id;
    const size_t all = sizeof type + size_t(kExtra[kind].once) + size_t(kExtra[kind].each) * members;
    if (all > h.typeBytes - at) return 0;
    at += all;
  }
  return 0;
}

uint32_t KernelFunction(const char* name) {
  int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  off_t size = lseek(fd, 0, SEEK_END);
  std::vector<uint8_t> btf(size > 0 && size_t(size) <= kMostBtf ? size_t(size) : 0);
  size_t have = 0;
  for (ssize_t n; have < btf.size() && (n = pread(fd, btf.data() + have, btf.size() - have, off_t(have))) > 0; have += size_t(n)) {}
  close(fd);
  return BtfFunction(btf.data(), have, name);
}

bool NetdevFeatures(uint32_t ifindex, NetdevAttribute attribute, uint64_t* features) {
  constexpr uint8_t kDevGet = 1;                      // NETDEV_CMD_DEV_GET, linux/netdev.h, Linux 6.3
  constexpr uint16_t kIfindex = 1;                    // NETDEV_A_DEV_IFINDEX
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (fd < 0) return false;
  uint16_t family = 0;
  const bool told = Ask(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "netdev", 7, CTRL_ATTR_FAMILY_ID, &family, sizeof family)
      && Ask(fd, family, kDevGet, kIfindex, &ifindex, sizeof ifindex, attribute, features, sizeof *features);
  close(fd);
  return told;
}

}  // namespace framekeep
