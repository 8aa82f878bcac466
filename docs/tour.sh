#!/bin/sh
# The README's tour: two hosts in network namespaces, framekeep between them, killed in mid-run, read afterwards. No NIC is touched.
#
#   sudo docs/tour.sh              shows each command and what it says; removes all it made
#   TOUR=abc sudo -E docs/tour.sh  other names, so that two can run at once: namespaces abc-a and abc-b, interfaces abc0 and abc1
#
# Exit code 0: every step did what the README says. Needs root, ip, ping, curl, tshark, and a built checkout (npm run setup).
set -eu
cd "$(dirname "$0")/.."
tour=${TOUR:-tour}
pool=/dev/shm/$tour.pool
kept=${KEPT:-/dev/shm/$tour.pcapng}
switch= server= made=

tidy() {
  for pid in $switch $server; do kill -9 "$pid" 2>/dev/null || true; done
  if [ -n "$made" ]; then
    for end in a b; do ip netns del "$tour-$end" 2>/dev/null || true; done
    rm -f "$pool" "$kept" "$pool.log" "$pool.web"
  fi
}
trap tidy EXIT
trap 'exit 130' INT TERM

say() { printf '\n# %s\n' "$1"; }
show() { printf '$ %s\n' "$*"; "$@"; }
fail() { echo "tour: $1" >&2; exit 1; }
# Waits up to a minute for something to become true.
until_true() {
  n=0
  until "$@" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 600 ] || return 1; sleep 0.1; done
}

[ "$(id -u)" -eq 0 ] || fail 'network namespaces need root'
for program in ip ping curl tshark; do command -v $program >/dev/null || fail "$program is missing: apt-get install iproute2 iputils-ping curl tshark"; done
[ ! -e "$pool" ] || fail "$pool is there already: it is not overwritten"
[ ! -e "/run/netns/$tour-a" ] && [ ! -e "/run/netns/$tour-b" ] || fail "the namespaces $tour-a, $tour-b are there already (TOUR=othername)"
made=yes

say 'two hosts, each with one cable'
n=0
for end in a b; do
  show ip netns add "$tour-$end"
  show ip link add "$tour$n" type veth peer name eth0 netns "$tour-$end"
  show ip link set "$tour$n" up
  show ip -n "$tour-$end" addr add "10.9.0.$((n + 1))/24" dev eth0
  show ip -n "$tour-$end" link set eth0 up
  n=$((n + 1))
done

say 'plug both cables into a switch'
printf '$ ./cli/framekeep.mjs up xdp:%s xdp:%s --name %s --pool %s &\n' "${tour}0" "${tour}1" "$tour" "$pool"
./cli/framekeep.mjs up "xdp:${tour}0" "xdp:${tour}1" --name "$tour" --pool "$pool" --stats 0 2>"$pool.log" &
switch=$!
until_true grep -q "^xdp:${tour}1" "$pool.log" || { cat "$pool.log" >&2; fail 'the switch did not start'; }
sleep 0.2; cat "$pool.log"

say 'traffic: a ping, and a page over TCP with all offloads as Linux sets them'
show ip netns exec "$tour-a" ping -c 3 -i 0.2 10.9.0.2
ip netns exec "$tour-b" node -e 'require("http").createServer((_, reply) => reply.end("hello through framekeep\n")).listen(80, () => console.log("listening"))' >"$pool.web" &
server=$!
until_true grep -q listening "$pool.web" || fail 'the web server did not start'
show ip netns exec "$tour-a" curl -s -m 20 http://10.9.0.2/

say 'pull the plug: no handler runs, nothing is saved'
show kill -9 $switch
wait $switch 2>/dev/null || true
switch=

say 'what is left'
show ./cli/framekeep.mjs inspect "$pool"
show ./cli/framekeep.mjs export "$pool" -w "$kept"
show tshark -r "$kept" -Y 'icmp or http'

# What the README promises of it.
[ "$(tshark -r "$kept" -Y icmp 2>/dev/null | wc -l)" -eq 6 ] || fail 'six ICMP frames were expected'
[ "$(tshark -r "$kept" -Y http 2>/dev/null | wc -l)" -eq 2 ] || fail 'a request and its answer were expected'
