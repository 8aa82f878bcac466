// An AF_XDP forwarder in C, as a yardstick: two interfaces, what comes in at one goes out at the other, copy mode, need_wakeup, by
// the kernel's UAPI alone (linux/if_xdp.h, linux/bpf.h). No lookup, no learning, no checksums, no stamps, no counters but two. It
// sleeps in poll(2) when there is nothing to do, as framekeep does.
//
//   xdp_forward IFACE IFACE          queue 0 of each; says "ready", forwards until SIGTERM, then prints {"forwarded":…,"dropped":…}
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9        // linux/if_xdp.h, Linux 6.17
#endif

enum { kChunk = 2048, kBuffers = 16384, kRing = 2048, kBurst = 256, kMostKicks = 64 };

struct ring { uint32_t *producer, *consumer, *flags; void* entries; uint32_t mask, next, seen; };
struct port { int fd; struct ring rx, tx, fill, completion; };

static volatile sig_atomic_t stopping;
static void stop(int signal) { (void)signal; stopping = 1; }
static void die(const char* what) { perror(what); exit(1); }

static int bpf(int command, union bpf_attr* attr) { return (int)syscall(SYS_bpf, command, attr, sizeof *attr); }

// return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
static void attach(unsigned ifindex, int socket_fd) {
  union bpf_attr a;
  memset(&a, 0, sizeof a);
  a.map_type = BPF_MAP_TYPE_XSKMAP; a.key_size = 4; a.value_size = 4; a.max_entries = 1;
  const int map = bpf(BPF_MAP_CREATE, &a);
  if (map < 0) die("map");
  const struct bpf_insn code[] = {
    {BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct xdp_md, rx_queue_index), 0},
    {BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map}, {0, 0, 0, 0, 0},
    {BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_PASS},
    {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map},
    {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  memset(&a, 0, sizeof a);
  a.prog_type = BPF_PROG_TYPE_XDP; a.expected_attach_type = BPF_XDP; a.insns = (uintptr_t)code; a.insn_cnt = sizeof code / sizeof *code; a.license = (uintptr_t)"Dual BSD/GPL";
  const int program = bpf(BPF_PROG_LOAD, &a);
  if (program < 0) die("program");
  memset(&a, 0, sizeof a);
  a.link_create.prog_fd = (uint32_t)program; a.link_create.target_ifindex = ifindex; a.link_create.attach_type = BPF_XDP; a.link_create.flags = XDP_FLAGS_DRV_MODE;
  if (bpf(BPF_LINK_CREATE, &a) < 0) die("link");
  uint32_t key = 0;
  memset(&a, 0, sizeof a);
  a.map_fd = (uint32_t)map; a.key = (uintptr_t)&key; a.value = (uintptr_t)&socket_fd;
  if (bpf(BPF_MAP_UPDATE_ELEM, &a)) die("map update");
}

static struct ring map_ring(int fd, const struct xdp_ring_offset* at, uint32_t size, size_t entry, off_t page) {
  uint8_t* base = mmap(NULL, at->desc + size * entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);
  if (base == MAP_FAILED) die("ring");
  return (struct ring){(uint32_t*)(base + at->producer), (uint32_t*)(base + at->consumer), (uint32_t*)(base + at->flags), base + at->desc, size - 1, 0, 0};
}

static void open_port(struct port* p, const char* name, void* umem, int share) {
  const unsigned ifindex = if_nametoindex(name);
  if (!ifindex) die(name);
  if ((p->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)) < 0) die("AF_XDP");
  const int size = kRing, twice = 2 * kRing, budget = kRing;
  const struct xdp_umem_reg reg = {.addr = (uintptr_t)umem, .len = (uint64_t)kBuffers * kChunk, .chunk_size = kChunk};
  if (share < 0 && setsockopt(p->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof reg)) die("umem");
  if (setsockopt(p->fd, SOL_XDP, XDP_RX_RING, &size, 4) || setsockopt(p->fd, SOL_XDP, XDP_TX_RING, &size, 4) ||
      setsockopt(p->fd, SOL_XDP, XDP_UMEM_FILL_RING, &twice, 4) || setsockopt(p->fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &twice, 4)) die("ring sizes");
  setsockopt(p->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, 4);  // an older kernel sends 32 a call
  const int room = 2 * kRing * (kChunk + 1024);                   // a frame on its way counts against the send buffer
  setsockopt(p->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, 4);
  struct xdp_mmap_offsets at;
  socklen_t length = sizeof at;
  if (getsockopt(p->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length)) die("offsets");
  p->rx = map_ring(p->fd, &at.rx, kRing, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
  p->tx = map_ring(p->fd, &at.tx, kRing, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);
  p->fill = map_ring(p->fd, &at.fr, 2 * kRing, 8, (off_t)XDP_UMEM_PGOFF_FILL_RING);
  p->completion = map_ring(p->fd, &at.cr, 2 * kRing, 8, (off_t)XDP_UMEM_PGOFF_COMPLETION_RING);
  struct sockaddr_xdp to = {.sxdp_family = AF_XDP, .sxdp_ifindex = ifindex, .sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP};
  if (share >= 0) { to.sxdp_flags = XDP_SHARED_UMEM; to.sxdp_shared_umem_fd = (uint32_t)share; }
  for (int tries = 0; bind(p->fd, (struct sockaddr*)&to, sizeof to); tries++) {
    if (errno != EBUSY || tries == 500) die("bind");
    usleep(2000);
  }
  attach(ifindex, p->fd);
}

static uint64_t free_buffers[kBuffers];
static uint32_t free_count;

static uint32_t load(const uint32_t* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static void publish(uint32_t* p, uint32_t x) { __atomic_store_n(p, x, __ATOMIC_RELEASE); }

static void complete(struct port* p) {
  struct ring* r = &p->completion;
  const uint32_t n = load(r->producer) - r->next;
  for (uint32_t i = 0; i < n; i++) free_buffers[free_count++] = ((uint64_t*)r->entries)[(r->next + i) & r->mask] & ~(uint64_t)(kChunk - 1);
  if (n) publish(r->consumer, r->next += n);
}

static void refill(struct port* p) {
  struct ring* r = &p->fill;
  uint32_t room = kRing - (r->next - load(r->consumer));  // half of the ring: the other port needs buffers too
  if (room < kBurst) return;
  for (; room && free_count; room--) ((uint64_t*)r->entries)[r->next++ & r->mask] = free_buffers[--free_count];
  publish(r->producer, r->next);
  if (load(r->flags) & XDP_RING_NEED_WAKEUP) recvfrom(p->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static void drain(struct port* p) {
  uint32_t before = load(p->tx.consumer);
  for (int i = 0; i < kMostKicks; i++) {
    if (sendto(p->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0) return;
    if (errno == EBUSY) continue;
    const uint32_t now = load(p->tx.consumer);
    if (errno != EAGAIN || now == before) return;
    before = now;
  }
}

int main(int argc, char** argv) {
  if (argc != 3) { fprintf(stderr, "xdp_forward IFACE IFACE\n"); return 2; }
  const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &all);
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  void* umem = mmap(NULL, (size_t)kBuffers * kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (umem == MAP_FAILED) die("umem");
  for (uint32_t i = 0; i < kBuffers; i++) free_buffers[free_count++] = (uint64_t)i * kChunk;
  struct port ports[2];
  open_port(&ports[0], argv[1], umem, -1);
  open_port(&ports[1], argv[2], umem, ports[0].fd);
  refill(&ports[0]);
  refill(&ports[1]);
  printf("ready\n");
  fflush(stdout);

  uint64_t forwarded = 0, dropped = 0;
  struct pollfd waits[2] = {{ports[0].fd, POLLIN, 0}, {ports[1].fd, POLLIN, 0}};
  for (int idle = 0; !stopping;) {
    uint32_t handled = 0;
    for (int i = 0; i < 2; i++) {
      struct port *in = &ports[i], *out = &ports[1 - i];
      complete(out);
      struct ring *rx = &in->rx, *tx = &out->tx;
      uint32_t n = load(rx->producer) - rx->next;
      if (n > kBurst) n = kBurst;
      uint32_t room = kRing - (tx->next - load(tx->consumer));
      for (uint32_t k = 0; k < n; k++) {
        const struct xdp_desc d = ((struct xdp_desc*)rx->entries)[(rx->next + k) & rx->mask];
        if (room) { ((struct xdp_desc*)tx->entries)[tx->next++ & tx->mask] = (struct xdp_desc){d.addr, d.len, 0}; room--; forwarded++; }
        else { free_buffers[free_count++] = d.addr & ~(uint64_t)(kChunk - 1); dropped++; }
      }
      if (n) { publish(rx->consumer, rx->next += n); publish(tx->producer, tx->next); handled += n; }
      if (n || load(tx->consumer) != tx->next) drain(out);
      refill(in);
    }
    if (handled) idle = 0;
    else if (++idle >= 4) poll(waits, 2, load(ports[0].tx.consumer) != ports[0].tx.next || load(ports[1].tx.consumer) != ports[1].tx.next ? 1 : 250);
  }
  printf("{\"forwarded\":%llu,\"dropped\":%llu}\n", (unsigned long long)forwarded, (unsigned long long)dropped);
  return 0;
}
