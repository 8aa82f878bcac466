// The CRC of an index record, without the kept bytes and without the final inversion (docs/format.md).
#pragma once
#include "crc32c.h"
#include "layout.h"
#include "record.h"

namespace framekeep {

// seed: the state after pool uuid and lane number.
template <class Crc> inline uint32_t RecordCrc(uint32_t seed, uint32_t slot, const RecordWords& words) {
  const uint64_t* w = words.w;
  uint32_t c = Crc::Half(seed, slot);
  if (Planted(kSequenceFirst)) return Crc::Word(c, w[0]);
  c = Crc::Word(c, w[0]); c = Crc::Word(c, w[1]); c = Crc::Word(c, w[2]);
  return Crc::Half(c, static_cast<uint32_t>(w[3]));
}

}  // namespace framekeep
