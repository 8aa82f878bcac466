/**
 * Makes an interface send every frame with VLAN tags and take them off what it receives, as a VLAN sub-interface does, also on a
 * kernel without any (CONFIG_VLAN_8021Q): two BPF programs at its tc hooks (tcx, Linux 6.6). bpf_skb_vlan_push leaves the outer tag
 * where vlan_dev_hard_start_xmit does, beside the frame (__vlan_hwaccel_put_tag, linux/if_vlan.h); an inner one goes into it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Namespace } from './namespaces.js';

/** Outer tag first. @returns when frames are tagged; and ends that */
export async function sendTagged(ns: Namespace, name: string, tags: readonly { readonly type: 0x8100 | 0x88a8; readonly tci: number }[]): Promise<() => Promise<void>> {
  const child = spawn('ip', ['netns', 'exec', ns.name, 'python3', '-c', LOADER, name, ...tags.flatMap(({ type, tci }) => [String(type), String(tci)])], { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = once(child, 'exit');
  const [said] = await Promise.race([once(child.stdout, 'data'), gone.then(() => ['it ended'])]);
  if (String(said).trim() !== 'ready') throw new Error(`no tagged frames from ${name}: ${said}`);
  return async () => { child.stdin.end(); await gone; };
}

// bpf(2), linux/bpf.h: commands 5 (PROG_LOAD) and 28 (LINK_CREATE), type 3 (SCHED_CLS), attach types 46 and 47 (TCX_INGRESS, TCX_EGRESS),
// helpers 18 and 19 (skb_vlan_push, skb_vlan_pop). Links end with the process, which ends with its standard input.
const LOADER = `
import ctypes, os, platform, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
number = {'x86_64': 321}.get(platform.machine(), 280)
def bpf(command, attr):
    attr = ctypes.create_string_buffer(attr, 128)
    fd = libc.syscall(number, command, attr, 128)
    if fd < 0: sys.exit(os.strerror(ctypes.get_errno()))
    return fd
insn = lambda code, registers, imm: struct.pack('=BBhi', code, registers, 0, imm)
def attach(calls, at):
    code = insn(0xbf, 0x16, 0) + b''.join(calls) + insn(0xb7, 0, 0) + insn(0x95, 0, 0)
    text, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b'Dual BSD/GPL')
    program = bpf(5, struct.pack('=IIQQ', 3, len(code) // 8, ctypes.addressof(text), ctypes.addressof(licence)))
    return bpf(28, struct.pack('=IIII', program, socket.if_nametoindex(sys.argv[1]), at, 0))
tags = list(zip(*[map(int, sys.argv[2:])] * 2))
push = [insn(0xbf, 0x61, 0) + insn(0xb7, 2, socket.htons(t)) + insn(0xb7, 3, tci) + insn(0x85, 0, 18) for t, tci in reversed(tags)]
attach(push, 47)
attach([insn(0xbf, 0x61, 0) + insn(0x85, 0, 19) for _ in tags], 46)
print('ready', flush=True)
sys.stdin.read()
`;
