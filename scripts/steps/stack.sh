# shellcheck shell=sh disable=SC2034,SC2154,SC2119,SC2120 # sourced by step.sh, which sets dir, change and code
# The stack step: a Compose project's images, its bundle, and its containers.

name=$(arg name)
folder=$(arg folder)
state=/var/lib/provision/stacks/$name
# Containers may write below it.
trusted=$folder
# Plain lines, whatever version of Compose and whatever terminal.
COMPOSE_PROGRESS=plain COMPOSE_ANSI=never BUILDKIT_PROGRESS=plain
export COMPOSE_PROGRESS COMPOSE_ANSI BUILDKIT_PROGRESS

compose() { (cd "$folder" && docker compose --project-name "$name" "$@"); }

# images: pulled before anything that runs is touched.

images_guard() {
    arg images | while read -r image _; do
        is_there "$image" || exit 1
    done
}

# is_there IMAGE: whether the host has it, and as its tag stands for it now where that was asked for.
is_there() {
    digest=$(arg moved | while read -r full moved; do [ "$full" != "$1" ] || printf '%s' "$moved"; done)
    docker image inspect --format '{{.RepoDigests}}' "$1" >"$scratch/digests" 2>/dev/null || return 1
    [ -z "$digest" ] || grep -qF "$digest" "$scratch/digests"
}

images_apply() {
    began=$(date +%s)
    arg images | while read -r image platform; do
        is_there "$image" && continue
        pull "$image" "$platform" || {
            short=$(short_name "$image")
            # A mirror's failure is lost in that of the registry, which Docker asks next.
            if journalctl -u docker.service --since "@$began" -o cat 2>/dev/null | grep >/dev/null 'no space left on device'; then
                say "Docker's own log says: no space left on device"
                hint "free some space ('df -h', 'sudo docker system df') and run provision again"
            fi
            hint "try 'sudo docker pull $short' on the host; the stack was not touched"
            fail "$short could not be pulled"
        }
    done || exit 1
}

images_verify() {
    # A mirror may be behind the registry that was asked: what it gave is what there is.
    arg images | while read -r image _; do
        docker image inspect "$image" >/dev/null 2>&1 || exit 1
    done || fail "an image is missing"
}

# pull IMAGE [PLATFORM]: with bytes where the daemon's own interface can be asked (docker
# itself shows none without a terminal); with docker where it has credentials.
pull() {
    image=$(short_name "$1")
    say "pulling $image"
    if [ -e /root/.docker/config.json ] || ! command -v curl >/dev/null 2>&1; then
        # shellcheck disable=SC2086 # one option, or none
        docker pull ${2:+--platform $2} "$1"
        return
    fi
    curl -sS -N --unix-socket /var/run/docker.sock -X POST \
        "http://docker/images/create?fromImage=$1${2:+&platform=$2}" | pull_progress "$image"
}

# short_name IMAGE: as people write it.
short_name() {
    short=${1#docker.io/}
    printf '%s' "${short#library/}"
}

# pull_progress IMAGE: the daemon's stream of JSON, a line a layer and event, as a few lines for a person.
pull_progress() {
    awk -v image="$1" '
        function text(line, key,    rest) {
            if (!match(line, "\"" key "\":\"")) return ""
            rest = substr(line, RSTART + RLENGTH)
            sub(/"[,}].*/, "", rest)
            return rest
        }
        function number(line, key,    rest) {
            if (!match(line, "\"" key "\":[0-9]+")) return 0
            rest = substr(line, RSTART, RLENGTH)
            sub(/.*:/, "", rest)
            return rest + 0
        }
        { failure = text($0, "error"); if (failure == "") failure = text($0, "message"); last = $0 }
        failure != "" { print image ": " failure; bad = 1 }
        text($0, "status") == "Downloading" {
            layer = text($0, "id")
            done[layer] = number($0, "current")
            all[layer] = number($0, "total")
        }
        text($0, "status") == "Download complete" { layer = text($0, "id"); if (layer in all) done[layer] = all[layer] }
        {
            have = 0; want = 0
            for (layer in all) { have += done[layer]; want += all[layer] }
            if (want > 0 && (have - said >= want / 10 || (have == want && said != have))) {
                printf "%s: %.1f of %.1f MB\n", image, have / 1000000, want / 1000000
                fflush()
                said = have
            }
        }
        END { if (NR == 0) { print image ": the daemon said nothing"; bad = 1 } exit bad }
    '
}

# up: containers are what the bundle says, and work.

# services: NAME KIND COUNT, a line each; KIND is service or job (runs once and ends).
# rolling:  NAME COUNT NEEDS…, a line each: services of which one container after the
#           other is replaced, and what they need before.

up_guard() {
    # The plan has seen a container of another image than the service names.
    [ -z "$(arg outdated)" ] || [ "$phase" != guard ] || return 1
    [ "$(cat "$state/applied" 2>/dev/null)" = "$(arg hash)" ] && settled >/dev/null && [ -z "$(outside)" ] &&
        [ -z "$(of_other_images)" ]
}

# of_other_images: names of images of which a container was made when they stood for another one, by
# Compose's own label: Compose would recreate it.
of_other_images() {
    ids=$(containers | cut -f 4)
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086 # words
    docker inspect --format '{{.Config.Image}}	{{index .Config.Labels "com.docker.compose.image"}}' $ids 2>/dev/null | sort -u | while IFS=$TAB read -r image made; do
        [ -n "$made" ] || continue
        present=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null) || continue
        [ "$present" = "$made" ] || printf '%s\n' "$image"
    done
}

# outside: "NETWORK CONTAINER", a line each, of services that join a network which is there
# and are not in it.
outside() {
    arg join | while read -r network members; do
        inside=$(docker network inspect --format '{{range $id, $_ := .Containers}}{{$id}} {{end}}' "$network" 2>/dev/null) || continue
        # shellcheck disable=SC2086 # words
        for id in $(running $members); do
            case $inside in *"$id"*) ;; *) printf '%s %s\n' "$network" "$id" ;; esac
        done
    done
}

# join_networks: networks of others. Compose itself joins none that may be missing.
join_networks() {
    outside | while read -r network id; do
        say "$(service_of "$id") joins $network"
        docker network connect "$network" "$id" || fail "the network $network could not be joined"
    done || exit 1
}

# containers: SERVICE, STATE, STATUS, ID, tab-separated, a line each.
containers() {
    docker ps -a --no-trunc --filter "label=com.docker.compose.project=$name" \
        --filter label=com.docker.compose.oneoff=False \
        --format '{{.Label "com.docker.compose.service"}}	{{.State}}	{{.Status}}	{{.ID}}'
}

# services: those of the bundle; where `only` names some, these alone.
only=
services() {
    arg services | while read -r service rest; do
        case " ${only:-$service} " in *" $service "*) printf '%s %s\n' "$service" "$rest" ;; esac
    done
}

# settled: 0 when everything is as it should be, 1 when it may still become so, 2 when
# it will not; and who is waited for or to blame, as "SERVICE CONTAINER WHAT", a line each. What it has
# judged is in $scratch/containers.
settled() {
    containers >"$scratch/containers"
    { services; echo --; cat "$scratch/containers"; } | awk -F'\t' '
        !listed && $0 == "--" { listed = 1; next }
        !listed { split($0, part, " "); kind[part[1]] = part[2]; want[part[1]] = part[3]; order[++n] = part[1]; next }
        {
            service = $1; state = $2; status = $3; id = $4
            if (!(service in kind)) next
            code = "?"
            if (match(status, /\([0-9]+\)/)) code = substr(status, RSTART + 1, RLENGTH - 2)
            if (state == "exited" && code == 0 && (kind[service] == "job" || kind[service] == "task")) good[service]++
            else if (kind[service] == "job" && state == "running") waiting[service] = id " is still running"
            else if (state == "exited" || state == "dead") bad[service] = id " ended with exit code " code
            else if (state == "restarting") bad[service] = id " keeps restarting (exit code " code ")"
            else if (status ~ /unhealthy/) bad[service] = id " is unhealthy"
            else if (status ~ /health: starting/) waiting[service] = id " is not yet healthy"
            else if (state == "running") good[service]++
            else waiting[service] = id " is " state
        }
        END {
            for (i = 1; i <= n; i++) {
                service = order[i]
                if (service in bad) { print service " " bad[service]; failed = 1 }
            }
            if (failed) exit 2
            for (i = 1; i <= n; i++) {
                service = order[i]
                if (good[service] + 0 < want[service] + 0) {
                    print service " " (service in waiting ? waiting[service] : "- is not there")
                    unsettled = 1
                }
            }
            if (unsettled) exit 1
        }'
}

# told REPORT: what settled says, as a phrase.
told() {
    printf '%s\n' "$1" | {
        sep=
        while read -r service _ what; do
            printf '%s%s %s' "$sep" "$service" "$what"
            sep=', '
        done
    }
}

# wait_until_settled: bounded; what is bad must be bad three times in a row, and what
# is good must stay so (a container that dies at once was running for a moment).
wait_until_settled() {
    limit=$(arg wait 300)
    waited=0 said='' good=0 bad=0
    rm -f "$scratch/restarts"
    while :; do
        report=$(settled)
        verdict=$?
        seen >"$scratch/seen"
        looping=$(loops)
        [ -z "$looping" ] || { report=$looping && blame && fail "the stack is not healthy: $(told "$report")"; }
        case $verdict in
            0)
                good=$((good + 1)) bad=0
                watching=$(young | joined)
                [ "$good" -lt 3 ] || [ -n "$watching" ] || return 0
                if [ -n "$watching" ] && [ "$watching" != "$said" ]; then
                    say "watching for $(arg watch 10) s, as there is no health check: $watching"
                    said=$watching
                fi
                ;;
            2) bad=$((bad + 1)) good=0; [ "$bad" -lt 3 ] || { blame; fail "the stack is not healthy: $(told "$report")"; } ;;
            *)
                good=0 bad=0
                [ "$report" = "$said" ] || say "waiting: $(told "$report")"
                said=$report
                ;;
        esac
        if [ "$waited" -ge "$limit" ]; then
            hint "to wait longer, raise 'wait' in [steps.stack], now $limit seconds"
            blame
            fail "the stack is not healthy after $limit seconds${report:+: $(told "$report")}"
        fi
        sleep 1
        waited=$((waited + 1))
    done
}

# newly_bad REPORT SINCE: without the containers that had ended before a start (UTC, as Docker
# writes times): they were stopped, and have not come to be started again.
newly_bad() {
    printf '%s\n' "$1" | while read -r service id what; do
        case $what in
            'ended '*)
                finished=$(docker inspect --format '{{.State.FinishedAt}}' "$id") &&
                    expr "${finished%Z}" '<' "$2" >/dev/null && continue
                ;;
        esac
        printf '%s %s %s\n' "$service" "$id" "$what"
    done
}

# blame: of the services in $report, their containers' last words, and where to look further.
blame() {
    printf '%s\n' "$report" | while read -r service id what; do
        [ "${id:--}" != - ] || continue
        say "service $service: container $(printf %.12s "$id") $what; its last lines:"
        docker logs --tail 12 "$id" >"$scratch/logs" 2>&1
        while IFS= read -r line; do say "  $service | $line"; done <"$scratch/logs"
        ! grep >/dev/null 'ermission denied' "$scratch/logs" ||
            hint "if that is a file of the stack: a secret one belongs to root and has the mode 0600; 'permissions' in [steps.stack] gives it to the user of $service, such as permissions = [{ path = \"FILE\", owner = \"999\" }]"
        case $what in
            *health*)
                say "its health check last said:"
                docker inspect --format '{{range .State.Health.Log}}{{printf "%d: %s\n" .ExitCode .Output}}{{end}}' "$id" |
                    grep -v '^$' | uniq | tail -n 2 | while IFS= read -r line; do say "  $service | exit code $line"; done
                ;;
        esac
        hint "more details, on the host: sudo docker compose -p $name logs $service"
    done
    if [ -d "$state/previous" ]; then
        hint "the bundle that ran before is kept; back to it, on the host: sudo sh -c 'cp -a --remove-destination $state/previous/. $folder && cd $folder && docker compose -p $name up -d --remove-orphans'"
    fi
}

# restart_waiting: containers that have ended so often that Docker lets them wait for up to a minute.
# Compose does not start them either, and what has been fixed since would not show.
restart_waiting() {
    docker ps -q --no-trunc --filter "label=com.docker.compose.project=$name" --filter status=restarting |
        while read -r id; do
            say "restarting $(service_of "$id"): Docker was waiting to start it again"
            docker restart "$id" >/dev/null
        done
}

# restart_stale [SERVICE…]: Compose looks at its own file alone. A container that mounts
# files of the bundle which are newer than its start has old ones: a file that was replaced
# stays the former one inside, and programs read their settings when they start.
restart_stale() {
    for id in $(stale newer_in "$@"); do
        say "restarting $(service_of "$id"): files that it mounts have changed"
        docker restart "$id" >/dev/null
    done
}

# drop_halves: Compose makes a container anew under another name, which begins with the former
# one's id. When it was killed at that, both are there, and the name is in its way.
drop_halves() {
    docker ps -a --no-trunc --filter "label=com.docker.compose.project=$name" --filter status=created \
        --format '{{.ID}}	{{.Names}}' | while IFS=$TAB read -r id container; do
        former=${container%%_*}
        case $former in *[!0-9a-f]*) continue ;; esac
        { [ ${#former} -eq 12 ] && docker inspect "$former" >/dev/null 2>&1; } || continue
        docker rm "$id" >/dev/null
    done
}

# stop_stale: containers that mount files with secrets which are newer than their start. Compose
# starts them again, each behind those that it waits for: who asks with the new password
# comes behind who wants it.
stop_stale() {
    rm -f "$scratch/stale"
    for id in $(stale newer_secret); do
        service=$(service_of "$id")
        # One of those that are replaced one after the other is outdated, and serves until then.
        ! arg rolling | grep >/dev/null "^$service " || continue
        say "stopping $service: secrets that it reads have changed"
        printf '%s %s\n' "$id" "$service" >>"$scratch/stale"
    done
    [ -s "$scratch/stale" ] || return 0
    cut -d' ' -f1 "$scratch/stale" | xargs docker stop >/dev/null || fail "a container with previous secrets could not be stopped"
}

# running [SERVICE…]: the ids of containers that run, of these services or of all.
running() {
    if [ $# -eq 0 ]; then
        docker ps -q --no-trunc --filter "label=com.docker.compose.project=$name"
        return
    fi
    for each; do
        docker ps -q --no-trunc --filter "label=com.docker.compose.project=$name" \
            --filter "label=com.docker.compose.service=$each" --filter label=com.docker.compose.oneoff=False
    done
}

service_of() { docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' "$1"; }

# stale WHAT [SERVICE…]: the ids of running containers, of these services or of all, that mount files which
# are newer than their start; WHAT is newer_in, for those of the bundle, or newer_secret.
stale() {
    what=$1
    shift
    ids=$(running "$@")
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086 # words
    docker inspect --format '{{.ID}}	{{.State.StartedAt}}	{{range .Mounts}}{{if eq .Type "bind"}}{{.Source}}:{{end}}{{end}}' $ids 2>/dev/null |
        while IFS=$TAB read -r id started sources; do
            { [ -n "$sources" ] && touch -d "$started" "$scratch/started"; } || continue
            ! "$what" "$sources" || printf '%s\n' "$id"
        done
}

# newer_in SOURCES: whether a file of the bundle that lies in one of them is newer than the stamp.
newer_in() {
    while read -r _ _ path; do
        # shellcheck disable=SC3013 # dash, bash and busybox have it
        [ "$folder/$path" -nt "$scratch/started" ] || continue
        part=$folder/$path
        while [ "$part" != "$folder" ]; do
            case :$1 in *":$part:"*) return 0 ;; esac
            part=${part%/*}
        done
        case :$1 in *":$folder:"*) return 0 ;; esac
    done <"$state/manifest"
    return 1
}

# newer_secret SOURCES: the same of files with secrets.
newer_secret() {
    secrets=/etc/provision/secrets/$name
    for path in "$secrets"/*; do
        # shellcheck disable=SC3013 # dash, bash and busybox have it
        case :$1 in *":$path:"*) [ ! "$path" -nt "$scratch/started" ] || return 0 ;; esac
    done
    return 1
}

# remove_unwanted: containers of services that a profile has switched off since the last start. To Compose
# they are no orphans, and it lets them run. What a person has started by its profile is left alone.
remove_unwanted() {
    compose config --services >"$scratch/wanted" || return 0
    containers | while IFS=$TAB read -r service _ _ id; do
        ! grep -qxF "$service" "$scratch/wanted" || continue
        ! grep >/dev/null 2>&1 '^service ' "$state/definitions" || grep -q "^service $service " "$state/definitions" || continue
        say "$service is no longer part of the project; its container is removed"
        docker stop "$id" >/dev/null
        docker rm -f "$id" >/dev/null
    done
}

up_apply() {
    # What is started anew is proven anew.
    rm -f "$state/proven"
    began=$(date -u +%Y-%m-%dT%H:%M:%S.%N)
    running >"$scratch/began-with"
    check_networks
    disconnect_guests
    stop_stale
    drop_halves
    arg rolling >"$scratch/rolling"
    # Nothing below may eat the list.
    while read -r line <&3; do
        # shellcheck disable=SC2086 # words
        roll $line </dev/null
    done 3<"$scratch/rolling"
    # What a container refuses to start with is told by Compose; what it does afterwards, by us.
    set -- up --detach --remove-orphans
    [ "$(arg build no)" = no ] || set -- "$@" --build
    # As fine as Docker's own times: what was stopped in the same second ended before.
    starting=$(date -u +%Y-%m-%dT%H:%M:%S.%N)
    if ! compose "$@"; then
        report=$(settled)
        # What only waits is not what it failed for, nor what had ended before.
        if [ $? -eq 2 ]; then report=$(newly_bad "$report" "$starting"); else report=; fi
        blame
        fail "the stack did not start${report:+: $(told "$report")}"
    fi
    recreate_unnoticed
    connect_guests
    remove_unwanted
    join_networks
    restart_waiting
    restart_stale
    rejoin
    rejoin_others
    wait_until_settled
    outcome
    arg definitions >"$state/definitions"
    printf '%s\n' "$(arg hash)" >"$state/applied"
}

# up_before: what runs before a start, as "CONTAINER SERVICE" lines. It is the bundle in the folder, or,
# where that is newer, the one before.
up_before() {
    docker ps --no-trunc --filter "label=com.docker.compose.project=$name" --filter label=com.docker.compose.oneoff=False \
        --format '{{.ID}} {{.Label "com.docker.compose.service"}}' >"$memory/ran"
    [ ! -e "$state/applied" ] || : >"$memory/applied"
}

# up_back PID: the networks that the start has made go, and the containers in them; what ran before
# runs again.
up_back() {
    [ -z "$1" ] || kill -s KILL -- "-$1" 2>/dev/null
    systemctl start docker.service 2>/dev/null
    # The daemon may still be making what it was asked to: its route is there before its network is.
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        docker network ls -q --no-trunc --filter "label=com.docker.compose.project=$name" |
            grep -vxF -f "$memory/networks" >"$scratch/new"
        [ -s "$scratch/new" ] || lost_way >/dev/null || break
        while read -r network; do
            docker ps -aq --filter "network=$network" | xargs -r docker rm -f >/dev/null
            docker network rm "$network" >/dev/null
        done <"$scratch/new"
        sleep 0.5
    done
    drop_halves
    [ -s "$memory/ran" ] || return 0
    while read -r id _; do docker start "$id" >/dev/null 2>&1; done <"$memory/ran"
    bring_back
    tell_back
}

# bring_back: containers that Compose had replaced are made again by the bundle that they ran with.
bring_back() {
    running >"$scratch/runs"
    ! cut -d' ' -f1 "$memory/ran" | grep >/dev/null -vxF -f "$scratch/runs" || {
        [ -e "$memory/applied" ] || previous_bundle || return
        say "starting what ran before again"
        (cd "$folder" && timeout 90 docker compose --project-name "$name" up --detach --no-build --remove-orphans </dev/null 2>&1)
    }
}

# tell_back: of the services that ran before, which run again, in words for the failure that follows.
tell_back() {
    down=$(cut -d' ' -f2 "$memory/ran" | sort | uniq -c | while read -r count service; do
        [ "$(running "$service" | grep -c .)" -ge "$count" ] || printf '%s\n' "$service"
    done | joined)
    if [ -z "$down" ]; then
        printf '; what ran before runs again (%s)' "$(cut -d' ' -f2 "$memory/ran" | sort -u | joined)" >"$memory/came-back"
        return
    fi
    printf '; these services ran before and are down now: %s' "$down" >"$memory/came-back"
    from=
    [ -e "$memory/applied" ] || [ ! -d "$state/previous" ] || from="cp -a --remove-destination $state/previous/. $folder && "
    hint "to start them as they ran before, on the host: sudo sh -c '${from}cd $folder && docker compose -p $name up -d'"
}

up_verify() {
    up_guard || fail "the stack is not as it should be: $(told "$(settled)")"
}

# proof: a service of the project that says whether all of it works.

proof_guard() { [ "$(cat "$state/proven" 2>/dev/null)" = "$(arg hash)" ]; }

proof_apply() {
    rm -f "$state/proven"
    service=$(arg service)
    # Its network and what it waits for are the stack's; only itself it starts.
    if ! compose --profile "$service" run --rm -T --no-deps --quiet-pull "$service" </dev/null 2>&1; then
        hint "more details, on the host: sudo docker compose -p $name ps; sudo docker compose -p $name logs"
        hint "to repeat it, on the host: cd $folder && sudo docker compose --profile $service run --rm $service"
        fail "$name runs, and does not work as it should; the lines above say what"
    fi
    printf '%s\n' "$(arg hash)" >"$state/proven"
}

proof_verify() { proof_guard || fail "nothing is proven"; }
