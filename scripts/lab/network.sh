# shellcheck shell=sh
# The lab's network: a bridge on the machine, one network namespace a host.

# Idempotent, and cheap when nothing is to be done: the machine may have been
# restarted since the lab was built.
network_up() {
    if ! ip link show "$BRIDGE" >/dev/null 2>&1; then
        ip link add "$BRIDGE" type bridge
        ip address add "$GATEWAY/24" dev "$BRIDGE"
        ip -6 address add "$NET6:1/64" dev "$BRIDGE" nodad
        ip link set "$BRIDGE" up
    fi
    [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || echo 1 >/proc/sys/net/ipv4/ip_forward
    iptables_rule nat POSTROUTING -s "$NET4.0/24" ! -d "$NET4.0/24" -j MASQUERADE
    # Where the machine has a firewall or a Docker of its own, FORWARD drops.
    iptables_rule filter FORWARD -i "$BRIDGE" -j ACCEPT
    iptables_rule filter FORWARD -o "$BRIDGE" -j ACCEPT
}

network_down() {
    ip link delete "$BRIDGE" 2>/dev/null || true
    iptables -w -t nat -D POSTROUTING -s "$NET4.0/24" ! -d "$NET4.0/24" -j MASQUERADE 2>/dev/null || true
    iptables -w -D FORWARD -i "$BRIDGE" -j ACCEPT 2>/dev/null || true
    iptables -w -D FORWARD -o "$BRIDGE" -j ACCEPT 2>/dev/null || true
}

iptables_rule() {
    table=$1
    chain=$2
    shift 2
    iptables -w -t "$table" -C "$chain" "$@" 2>/dev/null || iptables -w -t "$table" -I "$chain" 1 "$@"
}

# What leaves the machine may take smaller packets than the lab's bridge.
uplink_mtu() {
    device=$(ip -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
    cat "/sys/class/net/${device:-lo}/mtu"
}

# attach_host NAME NUMBER: a fresh namespace with eth0 in it. Fresh at each boot,
# since a reboot also empties a real server's packet filter. The inside end must
# not be called host0: systemd-networkd would take it over.
attach_host() {
    detach_host "$1" "$2"
    ip netns add "$(netns "$1")"
    # The same hardware address after each reboot: the machine would go on sending
    # to the old one for half a minute.
    mac=$(printf '02:91:00:00:00:%02x' "$2")
    ip link add "provlab$2" type veth peer name eth0 address "$mac" netns "$(netns "$1")"
    ip link set "provlab$2" master "$BRIDGE" up
    mtu=$(uplink_mtu)
    [ "$mtu" -le 1500 ] || mtu=1500
    ip -n "$(netns "$1")" -batch - <<BATCH
link set lo up
link set eth0 mtu $mtu up
address add $NET4.$2/24 dev eth0
address add $NET6:$2/64 dev eth0 nodad
route add default via $GATEWAY
BATCH
    ip -n "$(netns "$1")" -6 route add default via "$NET6:1"
}

detach_host() {
    ip link delete "provlab$2" 2>/dev/null || true
    ip netns delete "$(netns "$1")" 2>/dev/null || true
}

netns() { printf 'provlab-%s' "$1"; }
