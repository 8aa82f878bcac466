// The Internet checksum of some bytes (RFC 1071).
#pragma once
#include <cstddef>
#include <cstdint>

namespace framekeep {

// Complemented, as it stands in a header. At most 64 KiB.
uint16_t InternetChecksum(const uint8_t* p, size_t n);

}  // namespace framekeep
