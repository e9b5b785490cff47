#!/bin/sh
# Runs on the host: begin one, follow one, cancel one, look back at them.
#
# Behind the marker at the end stand parameters, a line each ("verb start"),
# and behind "payload BYTES", the last of them, a tar archive of that length.
#
#   start    takes the lease, unpacks the payload, starts the runner, then follows
#   follow   prints the journal of a run from a line on, until the run ends
#   cancel   asks a run to stop between two changes
#   prove    tells a run that waits for it that a new connection has come in
#   list     a line a run
#   show     what there is of a run
#
# While following, a line ":" now and then finds out whether anybody still listens.
set -u
umask 077
base=/var/lib/provision
TAB=$(printf '\t')

verb='' run='' holder='' from=1 payload=0
parse() {
    marked=
    while IFS= read -r line; do
        if [ -z "$marked" ]; then
            [ "$line" != __PARAMETERS__ ] || marked=1
            continue
        fi
        value=${line#* }
        case $line in
            'verb '*) verb=$value ;;
            'run '*) run=$value ;;
            'holder '*) holder=$value ;;
            'from '*) from=$value ;;
            'payload '*) payload=$value; break ;;
        esac
    done <"$0"
}

unit_alive() {
    case $(systemctl is-active "provision-run-$1.service" 2>/dev/null) in
        active | activating | deactivating | reloading) return 0 ;;
    esac
    return 1
}

# take_lease: at most one run at a time. A lease binds while its run lives: not when
# the runner is gone, whatever time is left, but also past its time when it was not
# renewed (a machine that slept, a full disk).
# The lock on descriptor 9 is held until the run's unit stands.
take_lease() {
    mkdir -p "$base/runs"
    exec 9>"$base/lock"
    flock -w 10 9 || return 1
    now=$(date +%s)
    if [ -e "$base/lease" ]; then
        other='' by=''
        while read -r key value; do
            case $key in
                run) other=$value ;;
                holder) by=$value ;;
            esac
        done <"$base/lease"
        if unit_alive "$other"; then
            printf 'busy %s %s\n' "$other" "$by"
            return 1
        fi
    fi
    printf 'run %s\nholder %s\nsince %s\nuntil %s\n' "$run" "$holder" "$now" "$((now + 60))" >"$base/lease.new"
    mv -f "$base/lease.new" "$base/lease"
}

start() {
    dir=$base/runs/$run
    take_lease || exit 75
    # What a run that died has left: it was sent for that run alone.
    rm -rf "$base/way-back" /etc/systemd/system/provision-run-*.service \
        /etc/systemd/system/multi-user.target.wants/provision-run-*.service
    rm -rf "$base"/runs/*/changes "$base"/runs/*/steps "$base"/runs/*/room "$base"/runs/*/mark /run/provision
    if ! mkdir "$dir" || ! tail -c "$payload" "$0" | tar -xzf - -C "$dir"; then
        rm -rf "$dir" "$base/lease"
        printf 'unpack-failed\n'
        exit 74
    fi
    printf '%s\n' "$holder" >"$dir/holder"
    : >"$dir/journal"
    if ! systemd-run --quiet --collect --unit="provision-run-$run" \
        --description="provision run $run" --property=TimeoutStopSec=60 \
        --property="ExecStopPost=-/bin/sh -c '[ ! -e $base/way-back/armed ] || exec /bin/sh $base/way-back/step.sh $base/way-back left armed'" \
        sh "$dir/runner.sh" "$dir" >&2; then
        rm -rf "$dir" "$base/lease"
        printf 'start-failed\n'
        exit 74
    fi
    exec 9>&-
    forget_old
    follow
}

# forget_old: the journals of the last thirty runs are kept.
forget_old() {
    # shellcheck disable=SC2012 # ids are digits, dashes and letters
    ls -1r "$base/runs" | tail -n +31 | while IFS= read -r old; do
        rm -rf "$base/runs/${old:?}"
    done
}

must_be_there() {
    dir=$base/runs/$run
    [ -f "$dir/journal" ] || {
        printf 'no-run\n'
        exit 66
    }
}

# follow: a shell can go on reading a file that grows; a line that is still being written is put together.
follow() {
    must_be_there
    printf 'following %s\n' "$run"
    number=0 part='' idle=0
    exec 3<"$dir/journal"
    while :; do
        while IFS= read -r line <&3; do
            line=$part$line part=
            number=$((number + 1))
            [ "$number" -lt "$from" ] || printf '%s\n' "$line" || exit 0
            idle=0
            case ${line#* } in
                'run completed'* | 'run failed'* | 'run cancelled'*) exit 0 ;;
            esac
        done
        part=$part$line
        idle=$((idle + 1))
        if [ $((idle % 10)) -eq 0 ]; then
            printf ':\n' || exit 0
            if ! unit_alive "$run"; then
                # Its last words may stand there by now.
                if [ "${gone:-}" = 1 ]; then
                    printf 'died\n'
                    exit 0
                fi
                gone=1
            fi
        fi
        sleep 0.1
    done
}

list() {
    for dir in "$base"/runs/*/; do
        [ -f "$dir/journal" ] || continue
        dir=${dir%/}
        run=${dir##*/} by=''
        [ ! -r "$dir/holder" ] || read -r by <"$dir/holder"
        first=$(head -n 1 "$dir/journal")
        last=$(grep '^[0-9]* run ' "$dir/journal" | tail -n 1)
        state=${last#* run }
        state=${state%% *}
        if [ "$state" = start ]; then
            state=died
            ! unit_alive "$run" || state=running
        fi
        printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$run" "$state" "${first%% *}" "${last%% *}" \
            "$(grep -c '^[0-9]* change applied ' "$dir/journal")" "$by"
    done
}

show() {
    must_be_there
    state=ended
    ! unit_alive "$run" || state=alive
    printf 'state%s%s\n' "$TAB" "$state"
    if [ -d "$dir/kept" ]; then
        find "$dir/kept" -type f | while IFS= read -r path; do printf 'kept%s%s\n' "$TAB" "$path"; done
    fi
    printf 'journal\n'
    cat "$dir/journal"
}

parse
case $run in
    *[!0-9a-z-]* | '') [ "$verb" = list ] || exit 64 ;;
esac
case $verb in
    start) start ;;
    follow) follow ;;
    cancel)
        [ -d "$base/runs/$run" ] || exit 66
        : >"$base/runs/$run/cancel"
        ;;
    prove)
        [ -e "$base/runs/$run/awaits" ] || exit 66
        : >"$base/runs/$run/proven"
        ;;
    list) list ;;
    show) show ;;
    *) exit 64 ;;
esac
exit 0
# shellcheck disable=SC2317 # a marker, never reached
__PARAMETERS__
