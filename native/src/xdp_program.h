// The XDP program that hands frames to AF_XDP sockets, as instructions: no compiler, no object file, no loader library.
//
// In C it would read:
//
//   int framekeep_xdp(struct xdp_md *ctx) {
//     if (bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS) != XDP_REDIRECT) {  // no socket on this queue
//       u32 q = min(ctx->rx_queue_index, queues);
//       u64 *n = bpf_map_lookup_elem(&passed, &q);
//       if (n) __sync_fetch_and_add(n, 1);
//       return XDP_PASS;
//     }
//     #ifdef TAGS                                                          // only where the driver has this function
//     __be16 proto; u16 tci;
//     if (bpf_xdp_metadata_rx_vlan_tag(ctx, &proto, &tci) == 0 && bpf_xdp_adjust_head(ctx, -4) == 0) {
//       u8 *data = (u8 *)(long)ctx->data;
//       memmove(data, data + 4, 12);                                       // both addresses
//       *(__be16 *)(data + 12) = proto; *(__be16 *)(data + 14) = htons(tci);
//     }
//     #endif
//     if (bpf_xdp_adjust_meta(ctx, -8) == 0) *(u64 *)(long)ctx->data_meta = bpf_ktime_get_ns();
//     return XDP_REDIRECT;
//   }
//
//   chunk of the UMEM:  | headroom … | stamp u64 | frame …          stamp at descriptor.addr − 8, host byte order,
//                                    ^ addr − 8  ^ addr              nanoseconds of CLOCK_MONOTONIC (bpf-helpers(7))
//
// A driver without metadata (bpf_xdp_adjust_meta fails) redirects unstamped: what lies at addr − 8 is then whatever was
// there before, and it is the reader who tells a stale stamp by its going backwards or lying in the future.
// Tag and stamp are written after the redirect was settled: frames which go on to the kernel are as they came. With metadata
// GRO would not merge them (skb_metadata_differs, linux/skbuff.h), and a tag that the kernel has beside the frame it would have twice.
//
// Licence of the program, told to the kernel: "Dual BSD/GPL" (bpf_ktime_get_ns is for GPL-compatible programs only).
#pragma once
#include <linux/bpf.h>
#include <cstddef>
#include <cstdint>

namespace framekeep {

constexpr uint32_t kXdpStampBytes = 8;

namespace xdp_program {

constexpr bpf_insn I(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm) { return {code, dst, src, off, imm}; }
constexpr bpf_insn Move(uint8_t dst, uint8_t src) { return I(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
constexpr bpf_insn MoveImm(uint8_t dst, int32_t imm) { return I(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
constexpr bpf_insn AddImm(uint8_t dst, int32_t imm) { return I(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm); }
constexpr bpf_insn Load16(uint8_t dst, uint8_t src, int16_t off) { return I(BPF_LDX | BPF_MEM | BPF_H, dst, src, off, 0); }
constexpr bpf_insn Load32(uint8_t dst, uint8_t src, int16_t off) { return I(BPF_LDX | BPF_MEM | BPF_W, dst, src, off, 0); }
constexpr bpf_insn Store16(uint8_t dst, int16_t off, uint8_t src) { return I(BPF_STX | BPF_MEM | BPF_H, dst, src, off, 0); }
constexpr bpf_insn StoreImm32(uint8_t dst, int16_t off, int32_t imm) { return I(BPF_ST | BPF_MEM | BPF_W, dst, 0, off, imm); }
constexpr bpf_insn BigEndian16(uint8_t dst) { return I(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 16); }
constexpr bpf_insn Store32(uint8_t dst, int16_t off, uint8_t src) { return I(BPF_STX | BPF_MEM | BPF_W, dst, src, off, 0); }
constexpr bpf_insn Store64(uint8_t dst, int16_t off, uint8_t src) { return I(BPF_STX | BPF_MEM | BPF_DW, dst, src, off, 0); }
constexpr bpf_insn AtomicAdd64(uint8_t dst, uint8_t src) { return I(BPF_STX | BPF_XADD | BPF_DW, dst, src, 0, BPF_ADD); }
constexpr bpf_insn MapFd(uint8_t dst, int fd) { return I(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd); }
constexpr bpf_insn UpperHalf() { return I(0, 0, 0, 0, 0); }  // of the 64-bit immediate before it
constexpr bpf_insn JumpImm(uint8_t op, uint8_t dst, int32_t imm, int16_t by) { return I(uint8_t(BPF_JMP | op | BPF_K), dst, 0, by, imm); }
constexpr bpf_insn JumpReg(uint8_t op, uint8_t dst, uint8_t src, int16_t by) { return I(uint8_t(BPF_JMP | op | BPF_X), dst, src, by, 0); }
constexpr bpf_insn Call(int32_t helper) { return I(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
constexpr bpf_insn CallKernel(uint32_t function) { return I(BPF_JMP | BPF_CALL, 0, 2 /* BPF_PSEUDO_KFUNC_CALL, Linux 5.13 */, 0, int32_t(function)); }
constexpr bpf_insn Exit() { return I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

// r0 result, r1–r5 arguments (lost in a call), r6–r9 kept over calls, r10 the frame pointer
enum : uint8_t { r0 = 0, r1 = 1, r2 = 2, r3 = 3, context = 6, queue = 7, stack = 10 };

}  // namespace xdp_program

struct XdpProgram { bpf_insn code[64]; uint32_t count = 0; };

// sockets: fd of an XSKMAP by queue number. passed: fd of an ARRAY of u64, queues + 1 long, the last for any queue beyond.
// vlanTag: BTF id of bpf_xdp_metadata_rx_vlan_tag, for a program bound to its device; 0: without TAGS.
inline XdpProgram MakeXdpProgram(int sockets, int passed, uint32_t queues, uint32_t vlanTag = 0) {
  using namespace xdp_program;
  const bpf_insn tag[] = {
      /*  0 */ StoreImm32(stack, -4, 0),                              // proto at −4, tci at −2
      /*  1 */ Move(r1, context),                                     // bpf_xdp_metadata_rx_vlan_tag(context,
      /*  2 */ Move(r2, stack),                                       //
      /*  3 */ AddImm(r2, -4),                                        //     &proto, big-endian,
      /*  4 */ Move(r3, stack),                                       //
      /*  5 */ AddImm(r3, -2),                                        //     &tci, host byte order)
      /*  6 */ CallKernel(vlanTag),
      /*  7 */ JumpImm(BPF_JNE, r0, 0, 20),                           // no tag beside this frame: go to 28
      /*  8 */ Move(r1, context),                                     // bpf_xdp_adjust_head(context,
      /*  9 */ MoveImm(r2, -4),                                       //     −4): room for the tag
      /* 10 */ Call(BPF_FUNC_xdp_adjust_head),
      /* 11 */ JumpImm(BPF_JNE, r0, 0, 16),                           // no headroom: go to 28 (never: XDP_PACKET_HEADROOM)
      /* 12 */ Load32(r1, context, offsetof(xdp_md, data)),
      /* 13 */ Load32(r2, context, offsetof(xdp_md, data_end)),       // show the verifier that the room is there:
      /* 14 */ Move(r3, r1),                                          //
      /* 15 */ AddImm(r3, 16),                                        //
      /* 16 */ JumpReg(BPF_JGT, r3, r2, 11),                          //     data + 16 > data_end: go to 28 (never: 14 + 4)
      /* 17 */ Load32(r2, r1, 4), Store32(r1, 0, r2),                 // both addresses go four bytes down
      /* 19 */ Load32(r2, r1, 8), Store32(r1, 4, r2),                 //
      /* 21 */ Load32(r2, r1, 12), Store32(r1, 8, r2),                //
      /* 23 */ Load16(r2, stack, -4), Store16(r1, 12, r2),            // IEEE 802.1Q: the tag's Ethertype,
      /* 25 */ Load16(r2, stack, -2), BigEndian16(r2), Store16(r1, 14, r2),  // priority, DEI and VLAN
  };
  const int16_t tagLength = vlanTag ? sizeof tag / sizeof *tag : 0;
  const bpf_insn redirect[] = {
      /*  0 */ Move(context, r1),                                     // arguments do not survive calls: keep the context
      /*  1 */ Load32(queue, context, offsetof(xdp_md, rx_queue_index)),
      /*  2 */ MapFd(r1, sockets), UpperHalf(),                       // bpf_redirect_map(sockets,
      /*  4 */ Move(r2, queue),                                       //     this frame's queue,
      /*  5 */ MoveImm(r3, XDP_PASS),                                 //     what to return where the slot is empty)
      /*  6 */ Call(BPF_FUNC_redirect_map),
      /*  7 */ JumpImm(BPF_JNE, r0, XDP_REDIRECT, int16_t(13 + tagLength)),  // empty: go to 21 and count
  };
  const bpf_insn rest[] = {                                           // numbered as it is without `tag` before it
      /*  8 */ Move(r1, context),                                     // bpf_xdp_adjust_meta(context,
      /*  9 */ MoveImm(r2, -int32_t(kXdpStampBytes)),                 //     −8): room before the frame
      /* 10 */ Call(BPF_FUNC_xdp_adjust_meta),
      /* 11 */ JumpImm(BPF_JNE, r0, 0, 7),                            // a driver without metadata: go to 19, no stamp
      /* 12 */ Call(BPF_FUNC_ktime_get_ns),                           // r0 = CLOCK_MONOTONIC, nanoseconds
      /* 13 */ Load32(r1, context, offsetof(xdp_md, data_meta)),      // show the verifier that the room is there:
      /* 14 */ Load32(r2, context, offsetof(xdp_md, data)),           //
      /* 15 */ Move(r3, r1),                                          //
      /* 16 */ AddImm(r3, kXdpStampBytes),                            //
      /* 17 */ JumpReg(BPF_JGT, r3, r2, 1),                           //     data_meta + 8 > data: go to 19 (never taken)
      /* 18 */ Store64(r1, 0, r0),                                    // the stamp
      /* 19 */ MoveImm(r0, XDP_REDIRECT),
      /* 20 */ Exit(),
      /* 21 */ JumpImm(BPF_JLE, queue, int32_t(queues), 1),           // key = min(queue, queues)
      /* 22 */ MoveImm(queue, int32_t(queues)),                       //
      /* 23 */ Store32(stack, -4, queue),                             //
      /* 24 */ MapFd(r1, passed), UpperHalf(),                        // bpf_map_lookup_elem(passed,
      /* 26 */ Move(r2, stack),                                       //     &key)
      /* 27 */ AddImm(r2, -4),                                        //
      /* 28 */ Call(BPF_FUNC_map_lookup_elem),
      /* 29 */ JumpImm(BPF_JEQ, r0, 0, 2),                            // the verifier asks; an array slot is always there
      /* 30 */ MoveImm(r1, 1),
      /* 31 */ AtomicAdd64(r0, r1),                                   // several CPUs may serve one queue's overflow slot
      /* 32 */ MoveImm(r0, XDP_PASS),
      /* 33 */ Exit(),
  };
  XdpProgram program;
  for (const bpf_insn& one : redirect) program.code[program.count++] = one;
  for (int16_t i = 0; i < tagLength; i++) program.code[program.count++] = tag[i];
  for (const bpf_insn& one : rest) program.code[program.count++] = one;
  return program;
}

}  // namespace framekeep
