/**
 * The numbers of the two capture formats, written once: classic pcap (draft-ietf-opsawg-pcap) and pcapng
 * (draft-ietf-opsawg-pcapng, section numbers below are its).
 */

/** Classic pcap's magic as its writer's u32: read byte-swapped, the file is of the other byte order. */
export const PCAP_MICROSECONDS = 0xa1b2c3d4;
export const PCAP_NANOSECONDS = 0xa1b23c4d;
/** Alexey Kuznetsov's modified format: record headers of 24 bytes. */
export const PCAP_MODIFIED = 0xa1b2cd34;

/** Block types, 4.1–4.6 and 11.1. */
export const SECTION_HEADER = 0x0a0d0d0a;
export const INTERFACE_DESCRIPTION = 1;
export const PACKET = 2;
export const SIMPLE_PACKET = 3;
export const INTERFACE_STATISTICS = 5;
export const ENHANCED_PACKET = 6;

/** What a section header says its byte order with, 4.1. */
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** Options that any block may carry, 3.5. */
export const OPT_END = 0, OPT_COMMENT = 1;
/** Section header, 4.1. */
export const SHB_HARDWARE = 2, SHB_OS = 3, SHB_APPLICATION = 4;
/** Interface description, 4.2. */
export const IF_NAME = 2, IF_DESCRIPTION = 3, IF_MAC = 6, IF_SPEED = 8, IF_TSRESOL = 9, IF_FILTER = 11, IF_OS = 12, IF_FCSLEN = 13, IF_TSOFFSET = 14,
  IF_HARDWARE = 15;
/** Enhanced packet, 4.3. */
export const EPB_FLAGS = 2, EPB_DROPCOUNT = 4, EPB_PACKETID = 5, EPB_QUEUE = 6;
/** Interface statistics, 4.6. */
export const ISB_START = 2, ISB_END = 3, ISB_RECEIVED = 4, ISB_DROPPED = 5, ISB_ACCEPTED = 6, ISB_OSDROP = 7, ISB_DELIVERED = 8;

/** LINKTYPE_ETHERNET. */
export const ETHERNET = 1;

/** The most bytes of one frame that libpcap (MAXIMUM_SNAPLEN) and Wireshark (WTAP_MAX_PACKET_SIZE_STANDARD) read. */
export const MAX_FRAME = 262144;
