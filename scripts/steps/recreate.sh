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

# check_networks: a network that gets other options is recreated, which Docker refuses while a container is in
# it. Fails for a container outside this project, before anything is touched; lists those that a person has
# started with `docker compose run` in $scratch/guests.
check_networks() {
    : >"$scratch/guests"
    for network in $(redefined_networks); do
        docker ps -aq --no-trunc --filter "network=$network" |
            xargs -r docker inspect --format '{{.ID}} {{slice .Name 1}} {{index .Config.Labels "com.docker.compose.oneoff"}} {{index .Config.Labels "com.docker.compose.project"}}' >"$scratch/members"
        others=$(awk -v own="$name" '$NF != own { print $2 }' "$scratch/members" | joined)
        if [ -n "$others" ]; then
            hint "take it out of the network and run provision again, on the host: sudo docker network disconnect $network ${others%%,*}"
            hint "or leave the network's options as they were"
            fail "the network $network cannot get other options while a container outside this project is in it: $others; nothing of the stack was restarted"
        fi
        awk -v network="$network" '$3 == "True" { print $1, network }' "$scratch/members" >>"$scratch/guests"
    done
}

# disconnect_guests: until the networks have been recreated, or this shell ends.
disconnect_guests() {
    trap connect_guests EXIT
    while read -r id network; do docker network disconnect --force "$network" "$id"; done <"$scratch/guests"
}

# connect_guests: into the networks that they have left.
connect_guests() {
    trap - EXIT
    while read -r id network; do
        docker network connect "$network" "$id" ||
            notice "a container of 'docker compose run' could not join the network $network again: $id"
    done <"$scratch/guests"
    : >"$scratch/guests"
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

# remove_network NETWORK: removes a network that Compose has kept with its old options; its services are
# recreated.
remove_network() {
    created=$(docker network inspect --format '{{.Created.UTC.Format "2006-01-02T15:04:05.000000000"}}' "$1" 2>/dev/null) || return 0
    expr "$created" '<' "$began" >/dev/null || return 0
    say "recreating the network $1: its options have changed"
    docker ps -aq --no-trunc --filter "network=$1" >"$scratch/members"
    xargs -r docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' <"$scratch/members" >>"$scratch/recreate"
    xargs -r docker stop <"$scratch/members" >/dev/null
    while read -r id; do docker network disconnect --force "$1" "$id" 2>/dev/null; done <"$scratch/members"
    docker network rm "$1" >/dev/null || {
        hint "'docker network inspect $1' on the host shows what is in it; then run provision again"
        fail "the network $1 could not be removed"
    }
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

# rejoin_others: the same for containers outside this project. They are restarted; one whose partner has been
# recreated has to be recreated by its owner, who is told so.
rejoin_others() {
    docker ps -q --no-trunc | xargs -r docker inspect \
        --format '{{.ID}} {{.State.StartedAt}} {{.HostConfig.NetworkMode}} {{slice .Name 1}} {{index .Config.Labels "com.docker.compose.project"}}' 2>/dev/null |
        while read -r id started mode container project; do
            case $mode in container:*) ;; *) continue ;; esac
            [ "$project" != "$name" ] || continue
            of=${mode#container:}
            if since=$(docker inspect --format '{{.State.StartedAt}}' "$of" 2>/dev/null); then
                expr "${started%Z}" '<' "${since%Z}" >/dev/null || continue
                say "restarting $container, which is in the network of $(service_of "$of")"
                docker restart "$id" >/dev/null
            elif grep -qF "$of" "$scratch/began-with"; then
                notice "$container was in the network of a container of $name that has been recreated, and has no network now: recreate it as well"
            fi
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
