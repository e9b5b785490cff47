# shellcheck shell=sh disable=SC2154,SC2034 # behind stack.sh, sourced by step.sh
# One container after the other: how the stack step replaces those of a service with
# `deploy: {update_config: {order: start-first}}`. Compose's own `up` stops a container
# before its successor starts.

# roll SERVICE COUNT NEEDS…: one container after the other is replaced: a new one is
# started, and only when it is well an old one is stopped. When a new one is not well it is
# taken away, and the old ones serve on.
roll() {
    service=$1 want=$2
    shift 2
    serving=$(running "$service")
    [ -n "$serving" ] || return 0
    if has_unnamed_volume "$serving"; then
        notice "$service keeps data in a volume without a name, which only one container after the other can have: it is stopped for a moment; give the volume a name, or leave update_config out"
        return 0
    fi
    # What does not run serves nobody.
    for id in $(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$name" \
        --filter "label=com.docker.compose.service=$service" --filter label=com.docker.compose.oneoff=False); do
        case $serving in *"$id"*) ;; *) docker rm -f "$id" >/dev/null ;; esac
    done
    # Compose does not say it as long as something is down that the service needs.
    needed=
    if is_stopped "$@"; then
        bring_up_needs "$@"
        needed=yes
    fi
    if ! outdated "$service" >"$scratch/outdated"; then
        bring_up_needs "$@"
        needed=yes
        outdated "$service" >"$scratch/outdated" || {
            cat "$scratch/dry"
            fail "Compose does not say which containers of $service it would replace"
        }
    fi
    old=0 fresh=0
    for id in $serving; do
        if grep -q "$id" "$scratch/outdated"; then old=$((old + 1)); else fresh=$((fresh + 1)); fi
    done
    [ "$old" -gt 0 ] || [ "$fresh" -ne "$want" ] || return 0
    [ -n "$needed" ] || bring_up_needs "$@"
    say "$service: $old to replace, $fresh as it should be, $want wanted"
    while [ "$fresh" -lt "$want" ]; do
        start_one "$service"
        fresh=$((fresh + 1))
        retire_first_of "$scratch/outdated" || :
    done
    while retire_first_of "$scratch/outdated"; do :; done
    for id in $(running "$service"); do
        [ "$fresh" -gt "$want" ] || break
        retire "$id"
        fresh=$((fresh - 1))
    done
}

# has_unnamed_volume IDS: whether one of these containers has a volume that Docker made for it alone. Compose
# hands it on to the container that takes its place; a container beside it would get an empty one.
has_unnamed_volume() {
    # shellcheck disable=SC2086 # words
    docker inspect --format '{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}' $1 2>/dev/null |
        grep >/dev/null -x '[0-9a-f]\{64\}'
}

# is_stopped SERVICE…: whether stop_stale has stopped a container of one of these.
is_stopped() {
    [ -s "$scratch/stale" ] || return 1
    for each; do
        ! grep -q " $each\$" "$scratch/stale" || return 0
    done
    return 1
}

# bring_up_needs SERVICE…: what $service needs, and well.
bring_up_needs() {
    [ $# -gt 0 ] || return 0
    compose up --detach "$@" || {
        only="$*" report=$(settled)
        blame
        still_serves
        fail "what $service needs did not start${report:+: $(told "$report")}"
    }
    restart_stale "$@"
    only="$*"
    if ! (wait_until_settled); then
        still_serves
        exit 1
    fi
    only=
}

# outdated SERVICE: the ids of its running containers that are not what the bundle says.
# Not with --no-deps, here and below: by it Compose takes each container for outdated.
outdated() {
    # As many as there are: of those that are too many it would say that they go, and no more.
    compose --dry-run up --detach --scale "$1=$(running "$1" | grep -c .)" "$1" >"$scratch/dry" 2>&1 || return 1
    sed -n 's/.*Container \([^ ]*\)  *Recreat[eding]*[ .]*$/\1/p' "$scratch/dry" | sort -u >"$scratch/names"
    { stale newer_in "$1"; stale newer_secret "$1"; } >"$scratch/older"
    ! unnoticed | grep >/dev/null -xF "$1" || of_before "$1" | cut -d' ' -f1 >>"$scratch/older"
    for id in $(running "$1"); do
        if grep -qxF "$(docker inspect --format '{{slice .Name 1}}' "$id")" "$scratch/names" ||
            grep -qxF "$id" "$scratch/older"; then
            printf '%s\n' "$id"
        fi
    done
}

# start_one SERVICE: one container more, and well.
start_one() {
    before=$(running "$1")
    # Not `up`, which would run again what it needs and has run.
    compose create --no-recreate --no-build --scale "$1=$(($(printf '%s\n' "$before" | grep -c .) + 1))" "$1" ||
        { still_serves; fail "a new container of $1 could not be created"; }
    new=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$name" --filter status=created \
        --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False | head -n 1)
    docker start "${new:-none}" >/dev/null || {
        [ -z "$new" ] || docker rm -f "$new" >/dev/null
        still_serves
        fail "a new container of $1 did not start"
    }
    join_networks
    waited=0
    while :; do
        status=$(docker inspect --format '{{.State.Status}} {{.RestartCount}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$new" 2>/dev/null) || status='gone 9'
        case $status in
            'running '*' healthy') break ;;
            # Without a health check: it runs, and has not ended for a while.
            'running 0 ') [ "$waited" -lt 5 ] || break ;;
            'running 0 starting' | 'running 1 starting') ;;
            'running '*' starting' | 'running '*' unhealthy' | restarting* | exited* | dead* | gone*) waited=$(arg wait 300) ;;
        esac
        if [ "$waited" -ge "$(arg wait 300)" ]; then
            case $status in
                *unhealthy) what='is unhealthy' ;;
                exited* | dead*) what='has ended' ;;
                restarting* | 'running '[1-9]*) what='keeps ending and starting again' ;;
                *) what='is not well' ;;
            esac
            report="$1 $new $what"
            blame
            docker rm -f "$new" >/dev/null 2>&1
            still_serves
            fail "a new container of $1 $what and was removed"
        fi
        sleep 1
        waited=$((waited + 1))
    done
    # Who spreads requests asks Docker's DNS again within this time.
    sleep 3
    say "$1: a new container serves"
}

# still_serves: what has become of $service, for a person who reads of a failure.
still_serves() {
    count=$(running "$service" | grep -c .)
    [ "$count" -eq 0 ] || notice "$service keeps serving: $count of its containers run, none was stopped before its replacement was healthy"
}

# retire_first_of FILE: the container in its first line.
retire_first_of() {
    read -r id <"$1" || return 1
    sed -i 1d "$1"
    retire "$id"
}

# retire ID: gets no new connection, ends what it has begun, and is stopped.
retire() {
    refuse_new "$1"
    docker stop "$1" >/dev/null
    docker rm -f "$1" >/dev/null
    say "$service: an old container is gone"
}

# refuse_new ID: new connections are refused at its door, so that whoever spreads requests
# turns to the next one before anything was sent; at a mere stop, what is in the queue of the
# socket would be lost. Then a moment for what is under way; the rest is the program's own.
refuse_new() {
    pid=$(docker inspect --format '{{.State.Pid}}' "$1") || return 0
    [ "${pid:-0}" -gt 0 ] || return 0
    # Never in the host's own network.
    [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] || return 0
    for tables in iptables ip6tables; do
        nsenter -t "$pid" -n "$tables" -w 5 -I INPUT ! -i lo -p tcp --syn -j REJECT --reject-with tcp-reset >/dev/null 2>&1 || :
    done
    waited=0
    while [ "$waited" -lt 5 ] && has_visitors "$pid"; do
        sleep 1
        waited=$((waited + 1))
    done
}

# has_visitors PID: whether somebody is connected to a port that it listens on.
has_visitors() {
    cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null | awk '
        { n = split($2, local, ":"); port = local[n] }
        $4 == "0A" { listens[port] = 1 }
        $4 == "01" { open[port] = 1 }
        END { for (port in open) if (port in listens) exit 0; exit 1 }'
}
