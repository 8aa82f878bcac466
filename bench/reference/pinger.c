// Times through a switch, by raw sockets: no measuring program of its own on the far side but the kernel.
//
//   pinger echo IP COUNT GAP_US   ICMP echo requests (RFC 792), one at a time, GAP_US between them; the other host's kernel answers.
//                                 prints {"p50":µs,"p99":…,"p999":…,"max":…,"lost":n}
//   pinger send IFACE             a broadcast frame of EtherType 0x88B5 each half millisecond, until SIGTERM
//   pinger first IFACE            prints CLOCK_MONOTONIC, ns, when the first such frame comes in, and ends
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ETHERTYPE 0x88B5               // IEEE 802 local experimental

static void die(const char* what) { perror(what); exit(1); }
static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec; }

static uint16_t checksum(const uint16_t* p, size_t words) {
  uint32_t sum = 0;
  while (words--) sum += *p++;
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~(sum + (sum >> 16));
}

static int by_size(const void* a, const void* b) { return (*(const uint32_t*)a > *(const uint32_t*)b) - (*(const uint32_t*)a < *(const uint32_t*)b); }

static int echo(const char* ip, size_t count, uint64_t gap) {
  const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
  struct sockaddr_in to = {.sin_family = AF_INET};
  if (fd < 0 || inet_pton(AF_INET, ip, &to.sin_addr) != 1 || connect(fd, (struct sockaddr*)&to, sizeof to)) die("echo");
  const struct timeval patience = {0, 200000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  uint32_t* times = malloc(count * sizeof *times);
  if (!times) die("malloc");
  const uint16_t id = (uint16_t)getpid();
  size_t n = 0, lost = 0;
  for (size_t i = 0; i < count; i++) {
    union { struct icmphdr head; uint16_t words[24]; } packet = {.head = {.type = ICMP_ECHO, .un.echo = {id, (uint16_t)i}}};
    memcpy(&packet.words[4], &i, sizeof i);
    packet.head.checksum = checksum(packet.words, 24);
    const uint64_t from = now();
    if (send(fd, &packet, sizeof packet, 0) < 0) { lost++; continue; }
    for (;;) {
      union { struct iphdr ip; uint8_t bytes[2048]; } answer;
      const ssize_t length = recv(fd, &answer, sizeof answer, 0);
      if (length < 0) { lost++; break; }
      const struct icmphdr* head = (const struct icmphdr*)(answer.bytes + answer.ip.ihl * 4);
      if (length < (ssize_t)(answer.ip.ihl * 4 + sizeof *head) || head->type != ICMP_ECHOREPLY || head->un.echo.id != id || head->un.echo.sequence != (uint16_t)i) continue;
      const uint64_t took = now() - from;
      times[n++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
      break;
    }
    if (gap) { const struct timespec t = {0, (long)gap * 1000}; nanosleep(&t, NULL); }
  }
  if (!n) { fprintf(stderr, "no answer from %s\n", ip); return 1; }
  qsort(times, n, sizeof *times, by_size);
  printf("{\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f,\"lost\":%zu}\n", times[n / 2] / 1e3, times[(size_t)((double)n * 0.99)] / 1e3, times[(size_t)((double)n * 0.999)] / 1e3, times[n - 1] / 1e3, lost);
  return 0;
}

static int packet_socket(const char* name) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE));
  const struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE), .sll_ifindex = (int)if_nametoindex(name)};
  if (fd < 0 || bind(fd, (const struct sockaddr*)&at, sizeof at)) die(name);
  return fd;
}

int main(int argc, char** argv) {
  if (argc == 5 && !strcmp(argv[1], "echo")) return echo(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
  if (argc != 3) { fprintf(stderr, "see the head of pinger.c\n"); return 2; }
  const int fd = packet_socket(argv[2]);
  uint8_t frame[2048] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, ETHERTYPE >> 8, ETHERTYPE & 0xff};
  if (!strcmp(argv[1], "first")) {
    printf("ready\n");
    fflush(stdout);
    if (recv(fd, frame, sizeof frame, 0) < 0) die("recv");
    printf("%llu\n", (unsigned long long)now());
    return 0;
  }
  for (const struct timespec t = {0, 500000};; nanosleep(&t, NULL)) {
    if (send(fd, frame, 60, 0) < 0 && errno != ENOBUFS && errno != ENETDOWN) die("send");
  }
}
