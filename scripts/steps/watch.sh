# shellcheck shell=sh disable=SC2154 # after stack.sh, sourced by step.sh
# Whether what runs keeps running: a container that has just been started says little, and one that
# ends every few seconds is running in between.

# seen: of what is in $scratch/containers, those that run or are started again: SERVICE, ID, RESTARTS,
# SECONDS since the start, HEALTH ("-" without a health check), a line each.
seen() {
    ids=$(awk -F'\t' '$2 == "running" || $2 == "restarting" { print $4 }' "$scratch/containers")
    [ -n "$ids" ] || return 0
    # Not .Id: with it docker reads its own JSON, where a container without a health check has no Health.
    # shellcheck disable=SC2086 # words
    docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}} {{.ID}} {{.RestartCount}} {{.State.StartedAt}} {{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}}' \
        $ids 2>/dev/null | awk -v now="$(date +%s)" '
        # Days since 1970: years begin in March, so that the day more of a leap year is the last one.
        function days(year, month, day) {
            if (month <= 2) { year--; month += 12 }
            return 365 * year + int(year / 4) - int(year / 100) + int(year / 400) + int((153 * month - 457) / 5) + day - 719469
        }
        {
            # 2026-01-01T12:00:00.123456789Z
            split($4, t, /[-T:.Z]/)
            started = days(t[1] + 0, t[2] + 0, t[3]) * 86400 + t[4] * 3600 + t[5] * 60 + t[6]
            printf "%s %s %s %.0f %s\n", $1, $2, $3, now - started, $5
        }'
}

# loops: of what is in $scratch/seen, services of which a container has been started again three
# times within a while, as settled says who is to blame. One that only waits for another has that while.
loops() {
    touch "$scratch/restarts"
    { services; echo --; cat "$scratch/restarts"; echo --; cat "$scratch/seen"; } |
        awk -v now="$(date +%s)" -v watch="$(arg watch 5)" -v restarts="$scratch/restarts" '
        $0 == "--" { section++; next }
        !section { job[$1] = $2 == "job"; next }
        section == 1 { first[$1] = $2; since[$1] = $3; next }
        job[$1] { next }
        !($2 in first) { first[$2] = $3; since[$2] = now; print $2, $3, now >>restarts }
        $3 - first[$2] >= 3 && now - since[$2] >= 2 * watch {
            printf "%s %s keeps ending: it was started again %d times in %d s\n", $1, $2, $3 - first[$2], now - since[$2]
        }'
}

# young: of what is in $scratch/seen, services without a health check that have not run long enough.
young() {
    { services; echo --; cat "$scratch/seen"; } | awk -v watch="$(arg watch 5)" '
        $0 == "--" { listed = 1; next }
        !listed { service[$1] = $2 == "service"; next }
        service[$1] && $5 == "-" && $4 <= watch { print $1 }' | sort -u
}

# joined: lines, with commas between them.
joined() { awk '{ printf "%s%s", (NR > 1 ? ", " : ""), $0 }'; }

# outcome: how services stand at the end of a start, in a line for a person.
outcome() {
    text=$({ services; echo --; containers; } | awk -F'\t' -v watch="$(arg watch 5)" '
        !listed && $0 == "--" { listed = 1; next }
        !listed { split($0, part, " "); order[++n] = part[1]; next }
        $3 ~ /\(healthy\)/ { healthy[$1] = 1 }
        $2 == "running" { runs[$1] = 1 }
        $2 == "running" && $3 ~ /\((healthy\)|health: )/ { checked[$1] = 1 }
        $2 == "exited" && $3 ~ /^Exited \(0\)/ { completed[$1] = 1 }
        function add(list, service) { return list (list == "" ? "" : ", ") service }
        function tell(what, list) { if (list != "") { printf "%s%s: %s", sep, what, list; sep = "; " } }
        END {
            for (i = 1; i <= n; i++) {
                if (order[i] in healthy) well = add(well, order[i])
                if ((order[i] in runs) && !(order[i] in checked)) up = add(up, order[i])
                if (order[i] in completed) ended = add(ended, order[i])
            }
            tell("healthy", well)
            tell("running for " watch " s, no health check", up)
            tell("completed", ended)
        }')
    [ -z "$text" ] || result "$text"
}
