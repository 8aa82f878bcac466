// The fabric loop in C++, as a yardstick: what the TypeScript data plane does to a frame, and nothing else. Take a burst from each
// RX ring, learn, look up, put it on a TX ring, give buffers back; kept: flush the frame, fence, write its record, flush, fence.
// Behind the same source with the same traffic (native/src/bench_source.h).
//
// It is not a switch: no flooding, ageing, VLANs, filters, partial checksums, port states, counters by reason, recovery; its
// record has no CRC. With keeping it is limited by the flushes alone.
//
//   fabric TRAFFIC POOL pool-bytes ring-size macs writes keep flush warm-seconds seconds cpu source-cpu most-waiting near-ns slice-seconds patience
//   (the last three: fabric/options.ts)
//   prints {"busyNs":…,"mpps":…,"nsPerFrame":…,"keptMpps":…,"droppedShare":…,"burst":…,…,"nearShare":…}
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include "bench_source.h"
#include "door.h"

using namespace framekeep;

namespace {

constexpr uint32_t kBurst = 256, kChunkShift = 11, kHeadroom = 256, kMaxBatch = 1024, kNobody = ~0u;

double Now() { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return double(t.tv_sec) + double(t.tv_nsec) / 1e9; }
[[noreturn]] void Die(const char* what) { perror(what); exit(1); }

// Sixteen bytes an entry, linear probing, at most half full: as switch/fdb.ts.
struct Table {
  struct Entry { uint32_t low, high, port, seen; };
  Entry* entries; uint32_t mask, size = 0;
  explicit Table(uint32_t macs) {
    uint32_t slots = 16;
    while (slots < 2 * (macs > 8192 ? macs : 8192)) slots *= 2;
    entries = static_cast<Entry*>(calloc(slots, sizeof(Entry)));
    mask = slots - 1;
  }
  static uint32_t Home(uint32_t low, uint32_t high) {
    uint32_t h = (low ^ 0x2545f491u) * 0x85ebca6bu;
    h = (h ^ (h >> 15) ^ (high * 0x9e3779b1u)) * 0xc2b2ae35u;
    return h ^ (h >> 13);
  }
  Entry* Find(uint32_t low, uint32_t high) {
    for (uint32_t i = Home(low, high) & mask;; i = (i + 1) & mask) {
      Entry& e = entries[i];
      if (e.high == 0 || (e.high == high && e.low == low)) return &e;
    }
  }
  void Learn(uint32_t low, uint32_t high, uint32_t port, uint32_t now) {
    high |= 0x80000000u;
    Entry* e = Find(low, high);
    if (e->high) { if (e->port != port) e->port = port; if (e->seen != now) e->seen = now; return; }
    *e = {low, high, port, now};
    size++;
  }
  uint32_t Lookup(uint32_t low, uint32_t high, uint32_t now) {
    Entry* e = Find(low, high | 0x80000000u);
    return e->high && now - e->seen < 300 ? e->port : kNobody;
  }
};

struct Record { uint64_t sequence, stamp; uint32_t buffer; uint16_t offset, kept; uint32_t wire; uint8_t ingress, egress, flags, pad; };
static_assert(sizeof(Record) == 32, "as framekeep's");

// The data plane's end of a port: its own indices, and the other side's as last seen.
struct Port { SoftRings rings; uint32_t rx = 0, fill = 0, fill_seen = 0, tx = 0, tx_seen = 0, published = 0, completion = 0; };
struct Entry { uint64_t at; uint32_t len; uint8_t ingress, egress; };

struct Loop {
  std::vector<Port> ports;
  Table table;
  uint8_t* umem; Record* index; uint32_t slots;
  std::vector<uint32_t> free_, slot_buffer; std::vector<uint8_t> holds;
  uint32_t fill_target;
  bool keep, flush;
  std::vector<Entry> batch;
  uint64_t sequence = 0, received = 0, forwarded = 0, kept = 0, bursts = 0;

  void Release(uint32_t b) { if (--holds[b] == 0) free_.push_back(b); }

  void Complete(Port& p) {
    SoftRing& r = p.rings.completion;
    const uint32_t ready = r.load(r.producer) - p.completion;
    if (!ready) return;
    for (uint32_t i = 0; i < ready; i++) Release(uint32_t(r.addr(p.completion + i) >> kChunkShift));
    p.completion += ready;
    r.publish(r.consumer, p.completion);
  }

  void Receive(uint32_t id, uint32_t now) {
    Port& p = ports[id];
    SoftRing& r = p.rings.rx;
    uint32_t n = r.load(r.producer) - p.rx;
    if (!n) return;
    if (n > kBurst) n = kBurst;
    bursts++;
    for (uint32_t i = 0; i < n; i++) __builtin_prefetch(umem + r.desc(p.rx + i).addr);
    for (uint32_t i = 0; i < n; i++) {
      const Descriptor d = r.desc(p.rx + i);
      uint32_t w[3];
      memcpy(w, umem + d.addr, 12);
      const uint32_t b = uint32_t(d.addr >> kChunkShift);
      table.Learn((w[1] >> 16) | (w[2] << 16), w[2] >> 16, id, now);
      const uint32_t to = table.Lookup(w[0], w[1] & 0xffff, now);
      uint8_t held = 0;
      if (to != kNobody && to != id) {
        Port& out = ports[to];
        SoftRing& t = out.rings.tx;
        if (t.size == out.tx - out.tx_seen) out.tx_seen = t.load(t.consumer);
        if (t.size != out.tx - out.tx_seen) { t.desc(out.tx++) = {d.addr, d.len, 0}; held = 1; forwarded++; }
      }
      if (keep) {
        if (batch.size() == kMaxBatch) Commit();
        batch.push_back({d.addr, d.len, uint8_t(id), uint8_t(to)});
        held++;
      }
      if (held) holds[b] = held; else free_.push_back(b);
    }
    received += n;
    p.rx += n;
    r.publish(r.consumer, p.rx);
  }

  void Commit() {
    if (batch.empty()) return;
    if (flush) {
      for (const Entry& e : batch) DoorFlush<kClwb>(umem + e.at, e.len);
      DoorFence();
    }
    timespec t; clock_gettime(CLOCK_REALTIME, &t);
    const uint64_t stamp = uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
    for (const Entry& e : batch) {
      const auto slot = uint32_t(sequence % slots), b = uint32_t(e.at >> kChunkShift);
      index[slot] = {sequence++, stamp, b, uint16_t(e.at & ((1u << kChunkShift) - 1)), uint16_t(e.len), e.len, e.ingress, e.egress, 0, 0};
      if (flush && (slot & 1 || &e == &batch.back())) DoorFlushLine<kClwb>(&index[slot]);
      const uint32_t old = slot_buffer[slot];
      slot_buffer[slot] = b;
      if (old != kNobody) evicted_.push_back(old);
    }
    if (flush) DoorFence();
    for (uint32_t b : evicted_) Release(b);
    evicted_.clear();
    kept += batch.size();
    batch.clear();
  }
  std::vector<uint32_t> evicted_;
  std::vector<double> turns;   // ns a frame, of the turns that had any

  void Refill(Port& p) {
    SoftRing& r = p.rings.fill;
    const uint32_t want = fill_target < r.size ? fill_target : r.size;
    if (r.size - (p.fill - p.fill_seen) < r.size - want / 2) p.fill_seen = r.load(r.consumer);
    uint32_t have = p.fill - p.fill_seen, n = want > have ? want - have : 0;
    if (n > free_.size()) n = uint32_t(free_.size());
    if (!n) return;
    for (; n; n--) { r.addr(p.fill++) = uint64_t(free_.back()) << kChunkShift; free_.pop_back(); }
    r.publish(r.producer, p.fill);
  }

  double Run(double seconds) {
    const double from = Now(), until = from + seconds;
    double now = from;
    do {
      const uint64_t before = received;
      for (uint32_t id = 0; id < ports.size(); id++) { Complete(ports[id]); Receive(id, uint32_t(now)); }
      for (Port& p : ports) {
        if (p.tx == p.published) continue;
        p.rings.tx.publish(p.rings.tx.producer, p.tx);
        p.published = p.tx;
      }
      Commit();
      for (Port& p : ports) Refill(p);
      const double began = now;
      now = Now();
      if (received != before && turns.size() < turns.capacity()) turns.push_back((now - began) * 1e9 / double(received - before));
    } while (now < until);
    return now - from;
  }
};

enum { kReceived, kForwarded, kKept, kBursts, kPasses, kRxFull, kNoBuffer, kTotals };
using Totals = std::array<double, kTotals>;

Totals Read(const Loop& l, const Source& s) {
  return {double(l.received), double(l.forwarded), double(l.kept), double(l.bursts), s.Read(Source::kPasses), s.Read(Source::kRxFull), s.Read(Source::kNoBuffer)};
}

std::vector<uint8_t> ReadAll(const char* path) {
  FILE* f = fopen(path, "rb");
  if (!f) Die(path);
  std::vector<uint8_t> all;
  uint8_t part[65536];
  for (size_t n; (n = fread(part, 1, sizeof part, f));) all.insert(all.end(), part, part + n);
  fclose(f);
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 17) { fprintf(stderr, "see the head of fabric.cc for its arguments\n"); return 2; }
  const auto arg = [&](int i) { return strtoull(argv[i], nullptr, 10); };
  const uint64_t pool_bytes = arg(3);
  const auto ring_size = uint32_t(arg(4)), macs = uint32_t(arg(5)), writes = uint32_t(arg(6)), most = uint32_t(arg(13));
  const double warm = atof(argv[9]), seconds = atof(argv[10]), near_ns = atof(argv[14]), slice_seconds = atof(argv[15]), patience = atof(argv[16]) * seconds;
  const int cpu = atoi(argv[11]), source_cpu = atoi(argv[12]);
  if (cpu >= 0) { cpu_set_t set; CPU_ZERO(&set); CPU_SET(cpu, &set); if (sched_setaffinity(0, sizeof set, &set)) Die("sched_setaffinity"); }

  // Traffic, as fabric/reference.ts wrote it.
  const std::vector<uint8_t> file = ReadAll(argv[1]);
  const auto* words = reinterpret_cast<const uint32_t*>(file.data());
  const uint32_t n = words[0], bodies = words[1];
  const uint32_t *counts = words + 2, *lengths = counts + 2 * n;
  const uint8_t* heads = reinterpret_cast<const uint8_t*>(lengths + bodies);
  size_t head_bytes = 0;
  for (uint32_t i = 0; i < n; i++) head_bytes += counts[2 * i + 1] * kHeadBytes;

  // Pool: index, then buffers at 2 MiB, so that both are laid out as framekeep's.
  const auto count = uint32_t(pool_bytes / ((1u << kChunkShift) + sizeof(Record)));
  const uint32_t reserve = count / 8 > 32768 ? 32768 : count / 8, slots = (count - reserve) & ~1u;
  const size_t index_bytes = (size_t(slots) * sizeof(Record) + (2 << 20) - 1) >> 21 << 21, umem_bytes = size_t(count) << kChunkShift;
  const int fd = open(argv[2], O_RDWR | O_CREAT, 0600);
  if (fd < 0 || posix_fallocate(fd, 0, off_t(index_bytes + umem_bytes))) Die(argv[2]);
  void* pool = mmap(nullptr, index_bytes + umem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (pool == MAP_FAILED) Die("mmap");

  Loop loop{{}, Table(macs), static_cast<uint8_t*>(pool) + index_bytes, static_cast<Record*>(pool), slots, {}, {}, {}, 0, arg(7) != 0, arg(8) != 0, {}, 0, 0, 0, 0, 0, {}, {}};
  loop.slot_buffer.assign(slots, kNobody);
  loop.holds.assign(count, 0);
  loop.free_.reserve(count);
  for (uint32_t b = 0; b < count; b++) loop.free_.push_back(b);
  loop.fill_target = reserve / 4 / (n < 3 ? 3 : n);
  loop.batch.reserve(kMaxBatch);
  loop.evicted_.reserve(kMaxBatch);
  loop.turns.reserve(1 << 20);
  // Every page mapped: what a run of minutes sees, not its first lap through the pool.
  for (size_t at = 0; at < index_bytes + umem_bytes; at += 4096) (void)*static_cast<volatile uint8_t*>(static_cast<uint8_t*>(pool) + at);

  std::vector<SourcePort> ends;
  for (uint32_t i = 0; i < n; i++) {
    auto* block = static_cast<uint8_t*>(mmap(nullptr, SoftRings::Bytes(ring_size), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (block == MAP_FAILED) Die("mmap");
    loop.ports.push_back({SoftRings(block, ring_size)});
    SourcePort end(block, ring_size);
    end.teach = counts[2 * i]; end.heads = counts[2 * i + 1];
    ends.push_back(end);
  }
  for (Port& p : loop.ports) loop.Refill(p);
  const uint8_t* templates = heads + head_bytes;
  Source source({loop.umem, umem_bytes, kChunkShift, kHeadroom, writes, most < 64 ? most : 64, most, source_cpu}, ends,
                std::vector<uint8_t>(heads, templates), std::vector<uint8_t>(templates, templates + bodies * kTemplateBytes), std::vector<uint32_t>(lengths, lengths + bodies));
  if (source.Start()) Die("pthread_create");

  loop.Run(warm);
  while (loop.table.size < macs) loop.Run(0.05);
  double took = 0, spent = 0, near = 0;
  Totals sum{};
  loop.turns.clear();
  for (double was = source.Handover(); took < seconds;) {
    const Totals before = Read(loop, source);
    const size_t turns_before = loop.turns.size();
    const double slice = loop.Run(slice_seconds);
    const Totals after = Read(loop, source);
    const double is = source.Handover();
    const bool is_near = std::max(was, is) < near_ns;
    if (is_near || spent > patience) {
      for (int i = 0; i < kTotals; i++) sum[i] += after[i] - before[i];
      took += slice;
    } else loop.turns.resize(turns_before);
    if (is_near) near += slice;
    spent += slice;
    was = is;
  }
  const double f = sum[kForwarded], r = sum[kReceived];
  if (f == 0) { fprintf(stderr, "no frame came through: is the machine busy with something else?\n"); return 1; }
  uint32_t givers = 0;
  for (const SourcePort& e : ends) givers += e.heads > e.teach;
  const double looks = sum[kPasses] * givers;
  std::sort(loop.turns.begin(), loop.turns.end());
  printf("{\"busyNs\":%.3f,\"mpps\":%.6f,\"nsPerFrame\":%.3f,\"keptMpps\":%.6f,\"droppedShare\":%.6f,\"burst\":%.2f,\"rxFullShare\":%.4f,\"noBufferShare\":%.4f,\"nearShare\":%.4f}\n",
         loop.turns[loop.turns.size() / 2], f / took / 1e6, took * 1e9 / f, sum[kKept] / took / 1e6, (r - f) / r, r / sum[kBursts], sum[kRxFull] / looks, sum[kNoBuffer] / looks, near / spent);
  source.Stop();
  return 0;
}
