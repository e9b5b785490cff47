# shellcheck shell=sh disable=SC2154,SC2034 # behind stack.sh, sourced by step.sh
# Containers that Compose leaves as they are although what they were made with has changed. Before
# 2.31 it does not look at the networks of a service, before 2.32 not at its volumes, and no version
# looks at the content of its configs and secrets. What depends on the version is not asked: a container
# that Compose has recreated is younger than the start.

# unnoticed: the services that use other networks, volumes, configs or secrets than those of the last
# start, by the record of both; none where the last one left no such record.
unnoticed() { differing 4 service; }

# redefined_networks: the networks that have other options than at the last start.
redefined_networks() { differing 3 network; }

# differing FIELD KIND: the names of that kind whose field differs from the previous record.
differing() {
    [ -e "$state/definitions" ] || return 0
    arg definitions | awk -v field="$1" -v kind="$2" '
        !now { if ($1 == kind) before[$2] = $field; if ($1 == "service") known = 1; next }
        known && $1 == kind && $2 in before && before[$2] != $field { print $2 }
    ' now= "$state/definitions" now=1 -
}

# of_before SERVICE…: "ID SERVICE" of the containers of these that are older than this start.
of_before() {
    [ $# -gt 0 ] || return 0
    containers | while IFS=$TAB read -r service _ _ id; do
        case " $* " in *" $service "*) ;; *) continue ;; esac
        created=$(docker inspect --format '{{.Created}}' "$id" 2>/dev/null) || continue
        ! expr "${created%Z}" '<' "$began" >/dev/null || printf '%s %s\n' "$id" "$service"
    done
}

# recreate_unnoticed: networks first, as a network with containers in it cannot be removed.
recreate_unnoticed() {
    : >"$scratch/recreate"
    for network in $(redefined_networks); do
        remove_network "$network"
    done
    # shellcheck disable=SC2046 # names
    of_before $(unnoticed) | cut -d' ' -f2 >>"$scratch/recreate"
    recreate_listed
}

# recreate_listed: the containers of the services that $scratch/recreate names.
recreate_listed() {
    [ -s "$scratch/recreate" ] || return 0
    say "recreating $(sort -u "$scratch/recreate" | joined)"
    # shellcheck disable=SC2046 # names
    compose up --detach --no-build --no-deps --force-recreate $(sort -u "$scratch/recreate") ||
        fail "the containers of $(sort -u "$scratch/recreate" | joined) could not be recreated"
}

# remove_network NETWORK: one that Compose has kept with its former options, and that only this project
# uses; the services that were in it are recreated.
remove_network() {
    created=$(docker network inspect --format '{{.Created.UTC.Format "2006-01-02T15:04:05.000000000"}}' "$1" 2>/dev/null) || return 0
    expr "$created" '<' "$began" >/dev/null || return 0
    docker ps -aq --no-trunc --filter "network=$1" >"$scratch/members"
    others=$(xargs -r docker inspect --format '{{slice .Name 1}} {{index .Config.Labels "com.docker.compose.project"}}' <"$scratch/members" |
        awk -v own="$name" '$2 != own { print $1 }' | joined)
    if [ -n "$others" ]; then
        say "the network $1 keeps its former options: $others, which this project did not make, is in it"
        return 0
    fi
    say "recreating the network $1: its options have changed"
    xargs -r docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' <"$scratch/members" >>"$scratch/recreate"
    xargs -r docker stop <"$scratch/members" >/dev/null
    while read -r id; do docker network disconnect --force "$1" "$id" 2>/dev/null; done <"$scratch/members"
    docker network rm "$1" >/dev/null || fail "the network $1 could not be removed"
}

# rejoin: a container in the namespace of another one loses it, and with it its network, when that one is
# restarted or recreated. It is restarted or recreated as well, and so is what is in its own.
rejoin() {
    for _ in 1 2 3 4 5 6 7 8; do
        lost_namespaces >"$scratch/apart"
        [ -s "$scratch/apart" ] || return 0
        while read -r how id service of; do
            [ "$how" = restart ] || continue
            say "restarting $service: it is in the network of $of, which was started after it"
            docker restart "$id" >/dev/null
        done <"$scratch/apart"
        sed -n 's/^recreate [^ ]* \([^ ]*\).*/\1/p' "$scratch/apart" >"$scratch/recreate"
        recreate_listed
    done
}

# lost_namespaces: "restart|recreate ID SERVICE OF", a line each, of containers that should run.
lost_namespaces() {
    ids=$(containers | cut -f 4)
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086 # words
    docker inspect --format '{{.ID}} {{.State.StartedAt}} {{.State.Status}}/{{.State.ExitCode}} {{.HostConfig.NetworkMode}} {{.HostConfig.PidMode}} {{.HostConfig.IpcMode}}' $ids |
        while read -r id started status modes; do
            # What has ended well has nothing to lose.
            [ "$status" != exited/0 ] || continue
            for mode in $modes; do
                case $mode in container:*) ;; *) continue ;; esac
                of=${mode#container:}
                if ! since=$(docker inspect --format '{{.State.StartedAt}}' "$of" 2>/dev/null); then
                    echo "recreate $id $(service_of "$id")"
                elif expr "${started%Z}" '<' "${since%Z}" >/dev/null; then
                    echo "restart $id $(service_of "$id") $(service_of "$of")"
                else
                    continue
                fi
                break
            done
        done
}
