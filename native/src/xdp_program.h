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
//     if (bpf_xdp_adjust_meta(ctx, -8) == 0) *(u64 *)(long)ctx->data_meta = bpf_ktime_get_ns();
//     return XDP_REDIRECT;
//   }
//
//   chunk of the UMEM:  | headroom … | stamp u64 | frame …          stamp at descriptor.addr − 8, host byte order,
//                                    ^ addr − 8  ^ addr              nanoseconds of CLOCK_MONOTONIC (bpf-helpers(7))
//
// A driver without metadata (bpf_xdp_adjust_meta fails) redirects unstamped: what lies at addr − 8 is then whatever was
// there before, and it is the reader who tells a stale stamp by its going backwards or lying in the future.
// The stamp is written after the redirect was settled, so that frames which go on to the kernel carry no metadata: GRO
// does not merge frames whose metadata differ (skb_metadata_differs, linux/skbuff.h).
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
constexpr bpf_insn Load32(uint8_t dst, uint8_t src, int16_t off) { return I(BPF_LDX | BPF_MEM | BPF_W, dst, src, off, 0); }
constexpr bpf_insn Store32(uint8_t dst, int16_t off, uint8_t src) { return I(BPF_STX | BPF_MEM | BPF_W, dst, src, off, 0); }
constexpr bpf_insn Store64(uint8_t dst, int16_t off, uint8_t src) { return I(BPF_STX | BPF_MEM | BPF_DW, dst, src, off, 0); }
constexpr bpf_insn AtomicAdd64(uint8_t dst, uint8_t src) { return I(BPF_STX | BPF_XADD | BPF_DW, dst, src, 0, BPF_ADD); }
constexpr bpf_insn MapFd(uint8_t dst, int fd) { return I(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd); }
constexpr bpf_insn UpperHalf() { return I(0, 0, 0, 0, 0); }  // of the 64-bit immediate before it
constexpr bpf_insn JumpImm(uint8_t op, uint8_t dst, int32_t imm, int16_t by) { return I(uint8_t(BPF_JMP | op | BPF_K), dst, 0, by, imm); }
constexpr bpf_insn JumpReg(uint8_t op, uint8_t dst, uint8_t src, int16_t by) { return I(uint8_t(BPF_JMP | op | BPF_X), dst, src, by, 0); }
constexpr bpf_insn Call(int32_t helper) { return I(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
constexpr bpf_insn Exit() { return I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

// r0 result, r1–r5 arguments (lost in a call), r6–r9 kept over calls, r10 the frame pointer
enum : uint8_t { r0 = 0, r1 = 1, r2 = 2, r3 = 3, context = 6, queue = 7, stack = 10 };

}  // namespace xdp_program

constexpr uint32_t kXdpInstructions = 34;
struct XdpProgram { bpf_insn code[kXdpInstructions]; };

// sockets: fd of an XSKMAP by queue number. passed: fd of an ARRAY of u64, queues + 1 long, the last for any queue beyond.
inline XdpProgram MakeXdpProgram(int sockets, int passed, uint32_t queues) {
  using namespace xdp_program;
  return {{
      /*  0 */ Move(context, r1),                                     // arguments do not survive calls: keep the context
      /*  1 */ Load32(queue, context, offsetof(xdp_md, rx_queue_index)),
      /*  2 */ MapFd(r1, sockets), UpperHalf(),                       // bpf_redirect_map(sockets,
      /*  4 */ Move(r2, queue),                                       //     this frame's queue,
      /*  5 */ MoveImm(r3, XDP_PASS),                                 //     what to return where the slot is empty)
      /*  6 */ Call(BPF_FUNC_redirect_map),
      /*  7 */ JumpImm(BPF_JNE, r0, XDP_REDIRECT, 13),                // empty: go to 21 and count
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
  }};
}

}  // namespace framekeep
