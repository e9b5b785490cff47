#!/bin/sh
# Written by provision: loads and takes away the rules for what is forwarded to
# containers. /etc/ufw/after.init calls it whenever ufw starts, stops or reloads.
PATH=/usr/sbin:/sbin:/usr/bin:/bin
chain=PROVISION-FORWARD

# hook PROGRAM: the chain is asked first of all that is forwarded, once.
hook() {
    "$1" -w -t mangle -C FORWARD -j "$chain" 2>/dev/null ||
        "$1" -w -t mangle -I FORWARD -j "$chain"
}

unhook() {
    while "$1" -w -t mangle -D FORWARD -j "$chain" 2>/dev/null; do :; done
    "$1" -w -t mangle -F "$chain" 2>/dev/null && "$1" -w -t mangle -X "$chain"
}

code=0
case $1 in
    start)
        { iptables-restore -w -n </etc/ufw/provision.rules && hook iptables; } || code=1
        # A kernel without IPv6 forwards none.
        if [ -e /proc/net/if_inet6 ]; then
            { ip6tables-restore -w -n </etc/ufw/provision6.rules && hook ip6tables; } || code=1
        fi
        ;;
    stop | flush-all)
        unhook iptables
        unhook ip6tables
        ;;
esac
exit "$code"
