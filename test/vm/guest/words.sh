# What the scenarios' scripts are made of. Sourced by the guest's shell (busybox), as process 1.
export PATH=/bin HOME=/tmp NO_COLOR=1 FRAMEKEEP_RUN=/run/framekeep

ip() { /bin/ip "$@"; }  # not the shell's own, which knows neither namespaces nor veth

# Where this machine's words go out: virtio serial ports, by name. A write returns when the host has it.
mkdir /run/port
for port in /sys/class/virtio-ports/*; do ln -s "/dev/${port##*/}" "/run/port/$(cat "$port/name")"; done
say() { echo "$(cut -d' ' -f1 /proc/uptime) $*" >/run/port/said; }

framekeep() { node /framekeep/cli/framekeep.mjs "$@"; }

# result NAME COMMAND…: its output, its errors and its exit code, for `send`.
mkdir /run/results
result() {
  local name=$1; shift
  "$@" >"/run/results/$name" 2>"/run/results/$name.err"
  echo $? >"/run/results/$name.code"
}
# send PORT: all results so far.
send() { tar -C /run/results -c . >"/run/port/$1"; say "sent $1"; }

# Two hosts with N cables; the switches' ends are s1 … sN. Addresses: 10.N.0.1 sends, 10.N.0.2 receives.
hosts() {
  ip netns add a; ip netns add b
  local n
  for n in $(seq "$1"); do
    ip link add "s$n" type veth peer name e0 netns a; ip link add "r$n" type veth peer name e0 netns b
    ip -n a link set e0 name "e$n"; ip -n b link set e0 name "e$n"
    ip -n a link set "e$n" address "02:00:00:00:0$n:0a"; ip -n b link set "e$n" address "02:00:00:00:0$n:0b"
    for host in a b; do
      ip netns exec $host sysctl -qw "net.ipv6.conf.e$n.disable_ipv6=1"
      ip -n $host addr add "10.$n.0.$([ $host = a ] && echo 1 || echo 2)/24" dev "e$n"
      ip -n $host link set "e$n" up
    done
    ip -n a neigh replace "10.$n.0.2" lladdr "02:00:00:00:0$n:0b" dev "e$n"
    ip link set "s$n" up; ip link set "r$n" up
  done
}

# up N POOL OPTIONS…: switch N in the background, its words on port switchN; `opened N` waits until it is open.
up() {
  local n=$1 pool=$2; shift 2
  mkfifo "/run/up$n"
  tee "/run/switch$n" <"/run/up$n" >"/run/port/switch$n" &
  framekeep up "xdp:s$n" "xdp:r$n" --pool "$pool" --name "vm$n" --json --stats 2 "$@" >"/run/up$n" 2>"/run/port/errors$n" &
}
opened() { while ! grep -q '"type":"started"' "/run/switch$1" 2>/dev/null; do usleep 300000; done; say "switch $1 is open"; }

# Acknowledgement: what host b received, whole frames, out of the machine one by one. It was forwarded, so it was kept.
acknowledge() { ip netns exec b tcpdump -i "e$1" -n -Q in -U --immediate-mode -Z root -w "/run/port/acks$1" 2>/dev/null udp port 9999 & }
# traffic LABEL N…: numbered datagrams over those cables until the power goes.
traffic() { ip netns exec a node /framekeep/test/vm/guest/sender.mjs "$@" & }
