// What a tap with IFF_VNET_HDR has before each frame (struct virtio_net_hdr, linux/virtio_net.h; virtio 1.2, 5.1.6): what the
// sender's stack left to its NIC. A segment of up to 64 KiB that is still to be cut passes as one frame, and a checksum that is
// still to be completed says where it stands.
//
//   buffer:  … │ header 10 │ 2 │ field 2 │ 2 │ frame …        16 bytes, which the kernel takes as the header's size (TUNSETVNETHDRSZ)
//
// `field` is ours: the checksum field as the sender left it, the pseudo-header's sum. The data plane completes it in the frame
// (checksum.cc), so that what is kept verifies. The receiving stack is given the old one, since the header asks for completion.
#pragma once
#include <cstdint>
#include <cstring>

namespace framekeep {

struct VnetHeader {
  uint8_t flags, gso_type;
  uint16_t header_length, gso_size, checksum_start, checksum_offset;   // host byte order
  uint16_t unused, field, unused2;
};
static_assert(sizeof(VnetHeader) == 16, "TUNSETVNETHDRSZ");

constexpr uint32_t kVnetHeader = sizeof(VnetHeader);
constexpr uint8_t kNeedsChecksum = 1;    // VIRTIO_NET_HDR_F_NEEDS_CSUM

inline VnetHeader* HeaderOf(uint8_t* frame) { return reinterpret_cast<VnetHeader*>(frame - kVnetHeader); }
inline uint32_t FieldAt(const VnetHeader& h) { return uint32_t(h.checksum_start) + h.checksum_offset; }

}  // namespace framekeep
