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

// XDP metadata kfuncs that the driver of an interface of this namespace answers, as bits of enum netdev_xdp_rx_metadata
// (linux/netdev.h); 0: none, or a kernel that does not tell (before Linux 6.6).
uint64_t XdpMetadata(uint32_t ifindex);

constexpr uint64_t kXdpMetadataVlanTag = 4;           // NETDEV_XDP_RX_METADATA_VLAN_TAG, Linux 6.8

}  // namespace framekeep
