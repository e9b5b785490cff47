#!/bin/sh
# shellcheck disable=SC2317 # functions are called by their names
# Written by provision: loads and takes away the rules for what is forwarded to
# containers. /etc/ufw/before.init and after.init call it whenever ufw starts, stops or reloads.
#
# A reload of ufw is a stop and a start, and in between every port is open. So a guard
# stands in for ufw from the moment before it stops until it has started again, or for
# 15 seconds: a stop alone is meant. `ufw disable` opens at once.
PATH=/usr/sbin:/sbin:/usr/bin:/bin
chain=PROVISION-FORWARD
guard=PROVISION-GUARD
input=PROVISION-INPUT
timer=provision-guard

# hook PROGRAM PLACE CHAIN: the chain is asked first there, once.
hook() {
    "$1" -w -t mangle -C "$2" -j "$3" 2>/dev/null || "$1" -w -t mangle -I "$2" -j "$3"
}

# unhook PROGRAM PLACE CHAIN
unhook() {
    while "$1" -w -t mangle -D "$2" -j "$3" 2>/dev/null; do :; done
}

# both FUNCTION: for IPv4 and IPv6. A kernel without IPv6 has nothing to rule.
both() {
    code=0
    "$1" iptables /etc/ufw/provision.rules || code=1
    [ ! -e /proc/net/if_inet6 ] || "$1" ip6tables /etc/ufw/provision6.rules || code=1
    return "$code"
}

load() { { "$1-restore" -w -n <"$2" && hook "$1" FORWARD "$chain" && hook "$1" INPUT "$input"; } || close "$1"; }

# close PROGRAM: rules that do not load let nothing in to containers.
close() {
    "$1" -w -t mangle -N "$chain" 2>/dev/null
    "$1" -w -t mangle -F "$chain"
    "$1" -w -t mangle -A "$chain" -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
    # A bridge whose name goes on otherwise, such as br-lan, is not Docker's.
    for bridge in lo docker0 docker_gwbridge; do "$1" -w -t mangle -A "$chain" -i "$bridge" -j RETURN; done
    for digit in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do "$1" -w -t mangle -A "$chain" -i "br-$digit+" -j RETURN; done
    "$1" -w -t mangle -A "$chain" -m conntrack --ctstate DNAT -j DROP
    for bridge in docker0 docker_gwbridge br-+; do "$1" -w -t mangle -A "$chain" -o "$bridge" -j DROP; done
    hook "$1" FORWARD "$chain"
    return 1
}

stand_in() {
    ! "$1" -w -t mangle -n -L "$guard" >/dev/null 2>&1 || hook "$1" INPUT "$guard"
}

step_back() { unhook "$1" INPUT "$guard"; }

take_away() {
    step_back "$1"
    unhook "$1" FORWARD "$chain"
    unhook "$1" INPUT "$input"
    for each in "$chain" "$guard" "$input"; do
        "$1" -w -t mangle -F "$each" 2>/dev/null && "$1" -w -t mangle -X "$each"
    done
    return 0
}

stands_in() { iptables -w -t mangle -C INPUT -j "$guard" 2>/dev/null; }

# is_switched_off: whether one of the programs that called is `ufw disable` or `ufw reset`.
# ufw.conf does not tell: a reload writes ENABLED=no in between as well.
is_switched_off() {
    process=$PPID
    while [ "${process:-0}" -gt 1 ]; do
        case $(cat "/proc/$process/comm"; tr '\0' '\n' <"/proc/$process/cmdline") in
            ufw*disable* | ufw*reset*) return 0 ;;
        esac
        process=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status")
    done 2>/dev/null
    return 1
}

# is_loaded: whether ufw has started again. What a stop leaves of its chains is empty.
is_loaded() { iptables -w -S ufw-before-input 2>/dev/null | grep -q '^-A'; }

case $1 in
    before-stop)
        # Without its end there is no guard. The script itself may be gone by then.
        systemctl stop "$timer.timer" 2>/dev/null
        if ! is_switched_off && systemd-run --quiet --collect --unit="$timer" --on-active=15 --timer-property=AccuracySec=1s \
            /bin/sh -c "$(cat "$0")" "$0" lift 2>/dev/null; then
            both stand_in
        else
            both step_back
        fi
        ;;
    start)
        both load
        code=$?
        both step_back
        systemctl --no-block stop "$timer.timer" 2>/dev/null
        exit "$code"
        ;;
    stop) stands_in || both take_away ;;
    lift) if is_loaded; then both step_back; else both take_away; fi ;;
    flush-all)
        systemctl --no-block stop "$timer.timer" 2>/dev/null
        both take_away
        ;;
esac
exit 0
