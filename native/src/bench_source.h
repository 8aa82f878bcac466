// What stands for the NICs when the switch itself is measured: a thread of its own, on another core, that takes buffers from the
// fill rings, writes a frame into each, gives it on the RX ring, and takes frames off the TX rings again. The memory traffic is
// a NIC's: frame bytes arrive in lines that the data plane's core does not have. For the bench only: the switch never makes one.
//
// Used by bench_source.cc (beside the TypeScript data plane) and bench/reference/fabric.cc (beside the C++ loop), so that both
// are measured behind the very same source.
//
//   frame = template t (bytes 12 …), then head h over its first 12 bytes:  destination and source, stations the caller chose
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif
#include "soft_rings.h"

namespace framekeep {

// Each frame written anew; each buffer written when it is first seen, and then handed in as it is; written past the cache.
enum SourceWrites : uint32_t { kWriteEach = 0, kWriteFirst = 1, kWriteStream = 2 };

constexpr size_t kTemplateBytes = 4096, kHeadBytes = 16;  // of a head 12 bytes are used: aligned loads

struct SourcePort {
  SoftRings rings;
  uint32_t teach = 0, heads = 0;       // heads given once, before any port's others; heads in all; 0: it only takes
  const uint8_t* first_head = nullptr;
  uint32_t head = 0, body = 0;
  // What this side knows of the rings: its own indices, and the other side's as last seen.
  uint32_t rx = 0, rx_seen = 0, fill = 0, fill_seen = 0, tx = 0, tx_seen = 0, completion = 0, completion_seen = 0;
  SourcePort(uint8_t* block, uint32_t size) : rings(block, size) {}
};

struct SourceOptions {
  uint8_t* umem; size_t umem_bytes;
  uint32_t chunk_shift, headroom, writes, batch;
  uint32_t most;                       // frames that may wait on an RX ring: the longest burst that the data plane can find
  int cpu;                             // -1: wherever the scheduler puts it
};

class Source {
 public:
  // Written by the thread, read by anybody: relaxed 8-byte stores, one each time. Frames given and taken, their bytes; passes over a port that
  // could give nothing because the RX ring was full (the data plane is behind), or because there was no buffer.
  enum { kGiven, kTaken, kGivenBytes, kTakenBytes, kPasses, kRxFull, kNoBuffer, kBadAddress, kCounters };
  double counters[kCounters] = {};

  Source(SourceOptions options, std::vector<SourcePort> ports, std::vector<uint8_t> heads, std::vector<uint8_t> templates, std::vector<uint32_t> lengths)
      : o_(options), ports_(std::move(ports)), heads_(std::move(heads)), templates_(std::move(templates)), lengths_(std::move(lengths)) {
    const uint8_t* at = heads_.data();
    for (SourcePort& p : ports_) { p.first_head = at; at += size_t(p.heads) * kHeadBytes; }
    seen_.resize(o_.umem_bytes >> o_.chunk_shift);
  }
  ~Source() { Stop(); }
  int Start() {
    running_ = true;
    int e = pthread_create(&thread_, nullptr, [](void* s) -> void* { static_cast<Source*>(s)->Run(); return nullptr; }, this);
    if (e) running_ = false;
    return -e;
  }
  void Stop() {
    if (!running_) return;
    stop_.store(true, std::memory_order_relaxed);
    pthread_join(thread_, nullptr);
    running_ = false;
  }

  // ns that a cache line takes from the caller's CPU to the source's: the quickest of a few tries, as each may be disturbed. On a virtual machine
  // the host says which CPUs these are, and may say otherwise at any time: 25 to 45 ns where they share a cache, 160 to 180 where they do not (Zen 4).
  double Handover() {
    if (!running_) return 0;
    double least = 1e9;
    ball_.store(1, std::memory_order_release);
    for (uint32_t k = 0, ball = 1; k < kTries; k++) {
      timespec from, to;
      clock_gettime(CLOCK_MONOTONIC, &from);
      for (uint32_t trip = 0; trip < kTrips; trip++) {
        Await(++ball);
        ball_.store(++ball, std::memory_order_release);
      }
      clock_gettime(CLOCK_MONOTONIC, &to);
      if (k) least = std::min(least, (double(to.tv_sec - from.tv_sec) * 1e9 + double(to.tv_nsec - from.tv_nsec)) / (2 * kTrips));  // the first waits for the source
    }
    Await(2 * kTries * kTrips + 2);
    ball_.store(0, std::memory_order_release);
    return least;
  }

  double Read(int counter) const { double x; __atomic_load(&counters[counter], &x, __ATOMIC_RELAXED); return x; }

 private:
  void Count(int counter, double n) { double x = counters[counter] + n; __atomic_store(&counters[counter], &x, __ATOMIC_RELAXED); }

  static constexpr uint32_t kTries = 5, kTrips = 100;

  void Await(uint32_t x) {
    for (uint32_t spins = 0; ball_.load(std::memory_order_acquire) != x;) if (++spins == 1u << 16) { sched_yield(); spins = 0; }
  }

  // The other side of Handover.
  void Answer() {
    for (uint32_t ball = 1; ball <= 2 * kTries * kTrips + 1; ball += 2) { Await(ball); ball_.store(ball + 1, std::memory_order_release); }
    Await(0);
  }

  void Run() {
    if (o_.cpu >= 0) { cpu_set_t set; CPU_ZERO(&set); CPU_SET(o_.cpu, &set); sched_setaffinity(0, sizeof set, &set); }
    size_t teaching = 0;
    for (SourcePort& p : ports_) teaching += p.teach;
    uint32_t idle = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      if (ball_.load(std::memory_order_relaxed)) Answer();
      const double before = counters[kGiven] + counters[kTaken];
      for (SourcePort& p : ports_) {
        Take(p);
        if (!p.heads) continue;
        if (!teaching) { if (p.heads > p.teach) Give(p, o_.batch, p.heads); }
        else if (p.head < p.teach) teaching -= Give(p, p.teach - p.head < o_.batch ? p.teach - p.head : o_.batch, p.teach);
      }
      Count(kPasses, 1);
      // Where another process wants this CPU it may have it: a thread that only spins would be put aside when it has work.
      if (before != counters[kGiven] + counters[kTaken]) idle = 0;
      else if (++idle == 256) { sched_yield(); idle = 0; }
    }
  }

  // Sent frames: their buffers go back by the completion ring.
  void Take(SourcePort& p) {
    SoftRings& r = p.rings;
    if (p.tx_seen == p.tx) p.tx_seen = r.tx.load(r.tx.producer);
    uint32_t n = p.tx_seen - p.tx;
    if (!n) return;
    if (r.completion.size - (p.completion - p.completion_seen) < n) p.completion_seen = r.completion.load(r.completion.consumer);
    const uint32_t room = r.completion.size - (p.completion - p.completion_seen);
    if (room < n) n = room;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
      const Descriptor& d = r.tx.desc(p.tx + i);
      r.completion.addr(p.completion + i) = d.addr;
      bytes += d.len;
    }
    p.tx += n; p.completion += n;
    r.completion.publish(r.completion.producer, p.completion);
    r.tx.publish(r.tx.consumer, p.tx);
    Count(kTaken, n); Count(kTakenBytes, double(bytes));
  }

  // At most n frames on the RX ring. Heads go round from `teach` to `end`.
  uint32_t Give(SourcePort& p, uint32_t n, uint32_t end) {
    SoftRings& r = p.rings;
    if (o_.most - (p.rx - p.rx_seen) < n) p.rx_seen = r.rx.load(r.rx.consumer);
    const uint32_t room = o_.most - (p.rx - p.rx_seen);
    if (!room) { Count(kRxFull, 1); return 0; }
    if (room < n) n = room;
    if (p.fill_seen - p.fill < n) p.fill_seen = r.fill.load(r.fill.producer);
    const uint32_t free = p.fill_seen - p.fill;
    if (!free) { Count(kNoBuffer, 1); return 0; }
    if (free < n) n = free;
    if (o_.writes == kWriteEach) {
      // A NIC's writes overlap; a core's stores wait for their lines one after the other unless they were asked for.
      for (uint32_t i = 0; i < n; i++) FetchForWriting(o_.umem + Base(r.fill.addr(p.fill + i)) + o_.headroom);
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
      const uint64_t base = Base(r.fill.addr(p.fill + i)), at = base + o_.headroom;
      if (base + (uint64_t(1) << o_.chunk_shift) > o_.umem_bytes) { Count(kBadAddress, 1); r.rx.desc(p.rx + i) = {0, 0, 0}; continue; }
      const uint32_t len = lengths_[p.body];
      // What is taught is never found written: only then may a buffer move from port to port with its frame.
      uint8_t& seen = seen_[base >> o_.chunk_shift];
      if (o_.writes != kWriteFirst || !seen || p.head < p.teach) {
        Write(o_.umem + at, templates_.data() + size_t(p.body) * kTemplateBytes, p.first_head + size_t(p.head) * kHeadBytes, len);
        seen = p.head >= p.teach;
      }
      r.rx.desc(p.rx + i) = {at, len, 0};
      bytes += len;
      if (++p.body == lengths_.size()) p.body = 0;
      if (++p.head == end && end == p.heads) p.head = p.teach;
    }
    p.fill += n; p.rx += n;
    if (o_.writes == kWriteStream) __atomic_thread_fence(__ATOMIC_SEQ_CST);
    r.rx.publish(r.rx.producer, p.rx);
    r.fill.publish(r.fill.consumer, p.fill);
    Count(kGiven, n); Count(kGivenBytes, double(bytes));
    return n;
  }

  uint64_t Base(uint64_t address) const { return address >> o_.chunk_shift << o_.chunk_shift; }

  void Write(uint8_t* to, const uint8_t* body, const uint8_t* head, uint32_t len) {
#if defined(__x86_64__)
    if (o_.writes == kWriteStream) {  // whole lines, so that none is read first; frames begin at a multiple of 64
      alignas(16) uint8_t line[64];
      memcpy(line, body, 64); memcpy(line, head, 12);
      for (int k = 0; k < 4; k++) _mm_stream_si128(reinterpret_cast<__m128i*>(to) + k, _mm_load_si128(reinterpret_cast<const __m128i*>(line) + k));
      for (uint32_t k = 64; k < len; k += 16) _mm_stream_si128(reinterpret_cast<__m128i*>(to + k), _mm_loadu_si128(reinterpret_cast<const __m128i*>(body + k)));
      return;
    }
#endif
    if (len <= 64) memcpy(to, body, 64); else memcpy(to, body, len);
    memcpy(to, head, 12);
  }

  SourceOptions o_;
  std::vector<SourcePort> ports_;
  std::vector<uint8_t> heads_, templates_;
  std::vector<uint32_t> lengths_;
  std::vector<uint8_t> seen_;          // kWriteFirst: by buffer
  pthread_t thread_;
  std::atomic<bool> stop_{false};
  alignas(128) std::atomic<uint32_t> ball_{0};   // odd: on the source's side; 0: nobody plays
  alignas(128) uint32_t behind_the_ball_ = 0;
  bool running_ = false;
};

}  // namespace framekeep
