# shellcheck shell=sh disable=SC2154 # after stack.sh, sourced by step.sh
# Whether what runs keeps running: a container that has just been started says little, and one that
# ends every few seconds is running in between.

# seen: of containers that run or are started again, SERVICE, ID, RESTARTS, SECONDS since the start,
# HEALTH ("-" without a health check), a line each.
seen() {
    now=$(date +%s)
    ids=$(containers | awk -F'\t' '$2 == "running" || $2 == "restarting" { print $4 }')
    [ -n "$ids" ] || return 0
    # Not .Id: with it docker reads its own JSON, where a container without a health check has no Health.
    # shellcheck disable=SC2086 # words
    docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}} {{.ID}} {{.RestartCount}} {{.State.StartedAt}} {{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}}' \
        $ids 2>/dev/null | while read -r service id restarts started rest; do
        # GNU's date reads Docker's times, busybox' only without the T and the rest of a second.
        day=${started%T*} clock=${started#*T}
        started=$(date -u -d "$day ${clock%%[.Z]*}" +%s) || continue
        printf '%s %s %s %s %s\n' "$service" "$id" "$restarts" $((now - started)) "$rest"
    done
}

# loops: of what is in $scratch/seen, services of which a container has been started again three
# times within a while, as settled says who is to blame. One that only waits for another has that while.
loops() {
    touch "$scratch/restarts"
    now=$(date +%s)
    while read -r service id restarts _; do
        services | grep >/dev/null "^$service job " && continue
        first=$(sed -n "s/^$id //p" "$scratch/restarts")
        [ -n "$first" ] || { first="$restarts $now" && printf '%s %s\n' "$id" "$first" >>"$scratch/restarts"; }
        times=$((restarts - ${first% *})) seconds=$((now - ${first#* }))
        if [ "$times" -lt 3 ] || [ "$seconds" -lt $((2 * $(arg watch 5))) ]; then continue; fi
        printf '%s %s keeps ending: it was started again %s times in %s s\n' "$service" "$id" "$times" "$seconds"
    done <"$scratch/seen"
}

# young: of what is in $scratch/seen, services without a health check that have not run long enough.
young() {
    while read -r service _ _ seconds health; do
        if [ "$health" != - ] || [ "$seconds" -gt "$(arg watch 5)" ]; then continue; fi
        services | grep >/dev/null -x "$service service [0-9]*" || continue
        printf '%s\n' "$service"
    done <"$scratch/seen" | sort -u
}

# joined: lines, with commas between them.
joined() { awk '{ printf "%s%s", (NR > 1 ? ", " : ""), $0 }'; }

# outcome: how services stand at the end of a start, in a line for a person.
outcome() {
    healthy=$(services | while read -r service _; do ! containers | grep >/dev/null "^$service${TAB}.*(healthy)" || echo "$service"; done | joined)
    runs=$(services | while read -r service _; do
        containers | grep "^$service${TAB}running" | grep >/dev/null '(healthy)\|(health: ' ||
            ! containers | grep >/dev/null "^$service${TAB}running" || echo "$service"
    done | joined)
    completed=$(services | while read -r service _; do ! containers | grep >/dev/null "^$service${TAB}exited${TAB}Exited (0)" || echo "$service"; done | joined)
    text=
    [ -z "$healthy" ] || text="healthy: $healthy"
    [ -z "$runs" ] || text="$text${text:+; }running for $(arg watch 5) s, no health check: $runs"
    [ -z "$completed" ] || text="$text${text:+; }completed: $completed"
    [ -z "$text" ] || result "$text"
}
