# shellcheck shell=sh disable=SC2154 # sourced by step.sh, which sets dir, change, action and scratch
# Changes that make networks on the host: a new network of Docker's may cover the address that a
# person connects from, the gateway or a name server. They are made under watch. As soon as the way
# to one of these leads into a new network, and also when no new connection gets in, ACTION_back
# undoes the change. All of it runs on the host, so a connection that breaks does not matter.

# routes: what the kernel knows, without what changes by itself and with each container.
routes() {
    {
        ip -4 route show table main
        ip -6 route show table main
    } 2>/dev/null | sed '/^fe80/d; s/ expires [0-9]*sec//; s/ dead//; s/ linkdown//; s/ pref [a-z]*//; s/ *$//' | sort
}

# bridges: the names of all bridges.
bridges() { ip -o link show type bridge 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/\1/'; }

# device_to ADDRESS: the interface that leads there.
device_to() { ip route get "$1" 2>/dev/null | sed -n '1s/.* dev \([^ ]*\).*/\1/p'; }

# holder_of ADDRESS: the interface that has it.
holder_of() { ip -o address show to "$1" 2>/dev/null | sed -n '1s/^[0-9]*: *\([^ ]*\).*/\1/p'; }

# needed: addresses that must stay reachable, as "ADDRESS WHAT", a line each.
needed() {
    client=$(arg client)
    [ -z "$client" ] || printf '%s the address that you connect from\n' "$client"
    ip -4 route show default 2>/dev/null | sed -n 's/.* via \([^ ]*\).*/\1 the gateway/p'
    sed -n 's/^nameserver[[:space:]]*\([^[:space:]%]*\).*/\1 a name server/p' \
        /etc/resolv.conf /run/systemd/resolve/resolv.conf 2>/dev/null | grep -v '^127\.\|^::1 ' | sort -u
}

# ways: the same, each with the interface that leads there: "ADDRESS INTERFACE WHAT".
ways() {
    needed | while read -r address what; do
        device=$(device_to "$address")
        [ -z "$device" ] || printf '%s %s %s\n' "$address" "$device" "$what"
    done
}

# lost_way: the first of those that now leads into a bridge and did not before, in words.
lost_way() {
    bridges >"$scratch/bridges-now"
    while read -r address before what; do
        device=$(device_to "$address")
        # Docker gives its bridge the first address of a network, perhaps this very one.
        [ "$device" != lo ] || device=$(holder_of "$address")
        # Also one that was there before: a restart gives docker0 another network.
        { [ "$device" != "$before" ] && grep -qxF "$device" "$scratch/bridges-now"; } || continue
        network=$(ip route show dev "$device" proto kernel | sed -n '1s/ .*//p')
        printf '%s (%s) lies in the new network %s' "$address" "$what" "$network"
        return
    done <"$scratch/ways"
    return 1
}

# watch PID: until the change has been made. PID leads the processes that make it.
watch() {
    limit=$(arg revert_after 90)
    asked=''
    while :; do
        # Looked at first: what is seen below is at least as new.
        kill -0 "$1" 2>/dev/null && alive=yes || alive=
        routes >"$scratch/routes-now"
        cmp -s "$scratch/routes" "$scratch/routes-now" || changed
        if [ -n "$asked" ] && [ -e "$dir/proven" ]; then
            rm -f "$dir/awaits" "$dir/proven"
            asked=
        fi
        if [ ! -e "$scratch/lost" ] && [ -n "$asked" ] && [ $(($(date +%s) - asked)) -ge "$limit" ]; then
            printf 'no new connection from the laptop succeeded within %s seconds\n' "$limit" >"$scratch/lost"
        fi
        if [ -e "$scratch/lost" ]; then
            rm -f "$dir/awaits"
            "${action}_back" "$1"
            return
        fi
        [ -n "$alive$asked" ] || return
        sleep 0.3
    done
}

# changed: there are other routes than before.
changed() {
    if why=$(lost_way); then
        printf '%s\n' "$why" >"$scratch/lost"
        return
    fi
    mv "$scratch/routes-now" "$scratch/routes"
    [ -z "$asked" ] && [ "$(arg way)" = new-connection ] || return
    rm -f "$dir/proven"
    : >"$dir/awaits"
    asked=$(date +%s)
    printf 'await: new-connection\n'
}

# network_database: where dockerd remembers its networks, the one of its bridge among them.
network_database() {
    root=$(sed -n 's/.*"data-root"[[:space:]]*:[[:space:]]*"\(\/[^"]*\)".*/\1/p' /etc/docker/daemon.json 2>/dev/null | tail -n 1)
    printf '%s\n' "${root:-/var/lib/docker}/network/files/local-kv.db"
}

# under_watch NNN: makes the change; ends the phase where it was undone or did not succeed.
under_watch() {
    rm -f "$scratch/lost" "$dir/awaits"
    ways >"$scratch/ways"
    routes >"$scratch/routes"
    bridges >"$scratch/bridges"
    rm -f "$scratch/network-database"
    cp -p "$(network_database)" "$scratch/network-database" 2>/dev/null
    docker network ls -q --no-trunc >"$scratch/networks" 2>/dev/null
    # A session of its own, so that all of it can be ended.
    setsid sh "$dir/step.sh" "$dir" make "$1" &
    making=$!
    trap 'kill -s TERM -- "-$making"; exit 143' TERM
    watch "$making" &
    watching=$!
    wait "$making"
    made=$?
    wait "$watching"
    [ ! -e "$scratch/lost" ] || {
        hint "give Docker other networks in [steps.docker.daemon], such as bip = \"10.200.0.1/24\" and default-address-pools = [{ base = \"10.201.0.0/16\", size = 24 }], or the Compose project's network another subnet"
        fail "$(back_is): $(cat "$scratch/lost")"
    }
    [ "$made" -eq 0 ] || exit "$made"
}

# back_is: what ACTION_back has done.
back_is() {
    case $action in
        up) printf 'the new networks of the stack were removed again, and the containers in them' ;;
        daemon) printf 'the former daemon.json is back' ;;
        *) printf 'Docker was stopped again' ;;
    esac
}
