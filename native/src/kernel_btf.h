// Where a kernel function that XDP programs may call (a kfunc) has its number, and whether a driver has one: what a loader
// library would find out. BTF as Documentation/bpf/btf.rst and linux/btf.h have it, netdev family as in linux/netdev.h.
#pragma once
#include <cstddef>
#include <cstdint>

namespace framekeep {

// Type id of the function `name` in BTF, host byte order; 0: not there, or not BTF as it is known (version 1, kinds to ENUM64).
// Never looks beyond `bytes`, whatever they hold.
uint32_t BtfFunction(const uint8_t* btf, size_t bytes, const char* name);

// The same in the running kernel (/sys/kernel/btf/vmlinux); 0 where that cannot be read.
uint32_t KernelFunction(const char* name);

// What the kernel tells of an interface of this namespace by its netdev family (linux/netdev.h). false: it does not (before Linux
// 6.3, for metadata 6.6), or there is no such interface.
enum NetdevAttribute : uint16_t { kXdpFeatures = 3, kXdpMetadata = 5 };  // NETDEV_A_DEV_XDP_FEATURES, NETDEV_A_DEV_XDP_RX_METADATA_FEATURES
bool NetdevFeatures(uint32_t ifindex, NetdevAttribute attribute, uint64_t* features);

constexpr uint64_t kXdpMetadataVlanTag = 4;           // NETDEV_XDP_RX_METADATA_VLAN_TAG, Linux 6.8
constexpr uint64_t kXdpZeroCopy = 8;                  // NETDEV_XDP_ACT_XSK_ZEROCOPY

}  // namespace framekeep
