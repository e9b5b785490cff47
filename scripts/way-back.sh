# shellcheck shell=sh disable=SC2154 # sourced by step.sh, which sets dir, change, step, action and scratch
# Changes that make networks on the host: a new network of Docker's may cover the address that a
# person connects from, the gateway or a name server. They are made under watch. As soon as the way
# to one of these leads into a new network, and also when no new connection gets in, ACTION_back
# undoes the change. All of it runs on the host, so a connection that breaks does not matter.
#
# What ACTION_back needs is on disk, with a unit that starts at boot: when the host goes down while a
# proof is awaited, the change is undone as soon as it is up again. Networks of Docker's are back by then.

memory=/var/lib/provision/way-back
units=/etc/systemd/system

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

# is_dockers BRIDGE: whether Docker gives such names by itself. `br-lan` is another one.
is_dockers() {
    case $1 in
        docker0 | docker_gwbridge) return 0 ;;
        br-*[!0-9a-f]* | br-?????????????*) return 1 ;;
        br-????????????) return 0 ;;
    esac
    return 1
}

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
    done <"$memory/ways"
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
        cmp -s "$memory/routes" "$scratch/routes-now" || changed
        if [ -n "$asked" ] && [ -e "$dir/proven" ]; then
            rm -f "$dir/awaits" "$dir/proven"
            asked=
        fi
        if [ ! -e "$scratch/lost" ] && [ -n "$asked" ] && [ $(($(date +%s) - asked)) -ge "$limit" ]; then
            printf 'no new connection from the laptop succeeded within %s seconds\n' "$limit" >"$scratch/lost"
        fi
        if [ -e "$scratch/lost" ]; then
            # First: it may be interrupted in turn.
            cp "$scratch/lost" "$memory/undoing"
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
    mv "$scratch/routes-now" "$memory/routes"
    [ -z "$asked" ] && [ "$(arg way)" = new-connection ] || return
    rm -f "$dir/proven"
    : >"$dir/awaits"
    sync "$dir/awaits" "$dir" 2>/dev/null &
    asked=$(date +%s)
    await_proof
}

# network_database: where dockerd remembers its networks, the one of its bridge among them.
network_database() {
    root=$(sed -n 's/.*"data-root"[[:space:]]*:[[:space:]]*"\(\/[^"]*\)".*/\1/p' /etc/docker/daemon.json 2>/dev/null | tail -n 1)
    printf '%s\n' "${root:-/var/lib/docker}/network/files/local-kv.db"
}

# under_watch NNN: makes the change; ends the phase where it was undone or did not succeed.
under_watch() {
    rm -f "$scratch/lost" "$dir/awaits"
    arm "$1" || {
        forget
        hint "see whether a disk is full: df -h"
        fail "the way back could not be prepared in $memory; nothing was changed"
    }
    # A session of its own, so that all of it can be ended.
    setsid sh "$dir/step.sh" "$dir" make "$1" &
    making=$!
    trap interrupted TERM
    watch "$making" &
    watching=$!
    wait "$making"
    made=$?
    wait "$watching"
    [ -e "$scratch/lost" ] || [ "$made" -lt 128 ] || interrupted
    undone=$(back_is)
    forget
    [ ! -e "$scratch/lost" ] || {
        way_out
        fail "$undone: $(cat "$scratch/lost")"
    }
    [ "$made" -eq 0 ] || exit "$made"
}

# interrupted: the change took too long, or the host goes down. In the first case only what awaits a
# proof is undone, as soon as the run has ended.
interrupted() {
    kill -s TERM -- "-$making" 2>/dev/null
    if [ "$(systemctl is-system-running 2>/dev/null)" != stopping ]; then
        if [ -e "$dir/awaits" ]; then echo 'the change took too long' >"$scratch/lost"; else forget; fi
    fi
    exit 143
}

way_out() {
    case $(cat "$scratch/lost" 2>/dev/null) in
        'no new connection'*)
            hint "if no network of Docker's is in the way: a rule such as 'ufw limit' may refuse many connections in a short time; wait a minute and run provision again"
            ;;
    esac
    hint "give Docker other networks in [steps.docker.daemon], such as bip = \"10.200.0.1/24\" and default-address-pools = [{ base = \"10.201.0.0/16\", size = 24 }], or the Compose project's network another subnet"
}

# back_is: what ACTION_back has done.
back_is() {
    case $action in
        up) printf 'the new networks of the stack were removed again, and the containers in them%s' "$(cat "$memory/came-back" 2>/dev/null)" ;;
        daemon) printf 'the former daemon.json is back' ;;
        *) printf 'Docker was stopped again' ;;
    esac
}

# arm NNN: notes what is there, for a change that has to be undone, perhaps after a reboot.
arm() {
    forget
    (umask 077 && mkdir -p "$memory/steps" "$memory/changes/armed" "$memory/scratch" "$dir/kept") || return 1
    ways >"$memory/ways"
    routes >"$memory/routes"
    bridges >"$memory/bridges"
    cp -p "$(network_database)" "$memory/network-database" 2>/dev/null
    docker network ls -q --no-trunc >"$memory/networks" 2>/dev/null
    ! command -v "${action}_before" >/dev/null || "${action}_before" || return 1
    { cp "$dir/step.sh" "$dir/way-back.sh" "$memory/" && { [ ! -e "$dir/mark" ] || cp -p "$dir/mark" "$memory/"; } && cp "$dir/steps/$step.sh" "$memory/steps/" &&
        cp -a "$change/arg" "$memory/changes/armed/" && ln -s "$dir/kept" "$memory/kept" &&
        printf 'armed %s %s\n' "$step" "$action" >"$memory/changes/list" &&
        grep "^$1 " "$dir/changes/list" | cut -d' ' -f 1,5 >"$memory/change" &&
        printf '%s\n' "$dir" >"$memory/run" && mkdir -p "$units/multi-user.target.wants"; } || return 1
    # Called like the run's own, which has ended then: whoever looks sees that the run goes on.
    unit=provision-run-${dir##*/}.service
    cat >"$units/$unit" <<UNIT || return 1
[Unit]
Description=provision run ${dir##*/}: undo what was not proven when this host went down
ConditionPathExists=$memory/armed
Before=docker.service ssh.service sshd.service

[Service]
# Not oneshot, which would hold up the boot.
Type=exec
ExecStart=/bin/sh $memory/step.sh $memory booted armed

[Install]
WantedBy=multi-user.target
UNIT
    ln -sf "../$unit" "$units/multi-user.target.wants/$unit" && : >"$memory/armed" || return 1
    find "$memory" "$units/$unit" -type f -exec sync {} + 2>/dev/null
    return 0
}

# forget: nothing is under watch. systemd reads the unit at a boot, or when packages make it read its units
# again: then the target would hold on to it.
forget() {
    rm -f "$memory/armed" "$units"/provision-run-*.service "$units"/multi-user.target.wants/provision-run-*.service
    case $(systemctl show -p Wants multi-user.target 2>/dev/null) in *provision-run-*) systemctl daemon-reload ;; esac
    rm -rf "$memory"
}

# pending booted|left: what to do with a change whose run has ended in the middle of it: by a reboot, or
# because it was killed. Undone is what awaits a proof, and what leads a way into a new network.
pending() {
    [ -e "$memory/armed" ] || return 0
    read -r run <"$memory/run"
    read -r number id <"$memory/change"
    scratch=$memory/scratch
    case $1 in
        booted) take_lease && ended='this host went down' ;;
        # It goes on after the boot.
        *) [ "$(systemctl is-system-running 2>/dev/null)" != stopping ] && ended='the run was killed' || return 0 ;;
    esac
    if [ -e "$memory/undoing" ]; then
        why=$(cat "$memory/undoing")
    elif [ -e "$run/awaits" ]; then
        why="$ended before a new connection from the laptop had succeeded"
    else
        wait_for_docker
        why=$(lost_way) || why=
    fi
    rm -f "$run/awaits" "$run/proven"
    if [ -n "$why" ]; then
        printf '%s\n' "$why" | tee "$memory/undoing" >"$scratch/lost"
        [ ! -s "$run/journal" ] || [ -z "$(tail -c 1 "$run/journal")" ] || echo >>"$run/journal"
        { "${action}_back" ''; way_out; record error "$(back_is): $why"; } 2>&1 | tell "$number"
        printf 'change failed %s apply 1 %s\nrun failed\n' "$number" "$id" | tell
        rm -rf "$run/changes" "$run/steps" "$run/step.sh" "$run/room" "$run/mark"
    fi
    grep -qx "run ${run##*/}" "$memory/../lease" 2>/dev/null && rm -f "$memory/../lease"
    forget
}

# tell [NNN]: lines, into the journal of the run: records, or what a change says.
tell() {
    while IFS= read -r line; do
        [ -z "${1-}" ] || line=$(as_record "$1")
        printf '%s000 %s\n' "$(date +%s)" "$line"
    done >>"$run/journal"
}

# as_record NNN: $line as the runner writes it.
as_record() {
    kind=output
    if [ -n "$run_mark" ] && [ "${line#"$run_mark"}" != "$line" ]; then
        line=${line#"$run_mark"}
        kind=${line%%: *} line=${line#*: }
    fi
    printf '%s %s %s' "$kind" "$1" "$line"
}

# take_lease: the run goes on, for whoever looks.
take_lease() {
    now=$(date +%s)
    printf 'run %s\nholder %s\nsince %s\nuntil %s\n' "${run##*/}" "$(cat "$run/holder" 2>/dev/null)" "$now" $((now + 600)) >"$memory/../lease"
}

# wait_for_docker: until it has started, where it does so at boot.
wait_for_docker() {
    waited=0
    while [ "$waited" -lt 120 ]; do
        case $(systemctl is-active docker.service 2>/dev/null) in active | failed) return ;; esac
        systemctl list-jobs --no-legend docker.service 2>/dev/null | grep -q docker || return 0
        sleep 1
        waited=$((waited + 1))
    done
}
