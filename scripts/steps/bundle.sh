# shellcheck shell=sh disable=SC2154 # added to stack.sh, sourced by step.sh
# The files of a stack: how the stack step puts them in place.

# is_seed PATH: a file to which a container may write is sent where there is none.
is_seed() {
    [ -n "$(arg seeds)" ] || return 1
    arg seeds | cut -d' ' -f2- | grep -qxF -- "${1#"$folder"/}"
}

# bundle: what was sent takes its place, after Compose itself has accepted it as a whole.

bundle_guard() {
    files_placed && [ "$(cat "$state/manifest" 2>/dev/null)" = "$(arg manifest)" ]
}

# stage: the bundle as it will be, put together in $staging: what stays of the present one, and over
# it what is new.
stage() {
    mkdir -p "$staging" || return 1
    arg manifest | while read -r _ _ path; do
        [ -f "$folder/$path" ] || continue
        { mkdir -p "$(dirname "$staging/$path")" && cp -a "$folder/$path" "$staging/$path"; } || exit 1
    done || return 1
    number=0
    while IFS=$TAB read -r mode _ sum path; do
        number=$((number + 1))
        [ "$sum" != - ] || continue
        path=${path#"$folder/"}
        mkdir -p "$(dirname "$staging/$path")" && rm -rf "${staging:?}/$path" || return 1
        { cp "$change/files/$number" "$staging/$path" && chmod "$mode" "$staging/$path"; } || return 1
    done <"$change/files/list"
}

# own_names: what a program says of $staging, with the names that the files have for a person: that
# folder is gone when it is read.
own_names() {
    staging=$staging folder=$folder awk '
        function without(line, part, by,    out, at) {
            out = ""
            while ((at = index(line, part)) > 0) {
                out = out substr(line, 1, at - 1) by
                line = substr(line, at + length(part))
            }
            return out line
        }
        NF { print without(without($0, ENVIRON["staging"] "/", ""), ENVIRON["staging"], ENVIRON["folder"]) }'
}

bundle_apply() {
    staging=$state/staging
    rm -rf "$staging"
    mkdir -p "$state" "$folder"
    chmod 0700 "$state"
    accepted=yes staged=yes
    stage >"$scratch/said" 2>&1 || staged=no
    if [ "$staged" = yes ]; then
        (cd "$staging" && docker compose --project-name "$name" config --quiet) >"$scratch/said" 2>&1 || accepted=no
    fi
    rm -rf "$staging"
    own_names <"$scratch/said"
    if [ "$staged" = no ]; then
        hint "look at the space on the host ('df -h', 'sudo docker system df') and run provision again"
        fail "the files could not be put together on the host; nothing of the stack was changed"
    fi
    if [ "$accepted" = no ]; then
        hint "the lines above are from 'docker compose config' on the host; fix the file and run provision again"
        fail "Compose does not accept the project; nothing of the stack was changed"
    fi
    # The present bundle stays at hand until another one has taken its place.
    if [ -e "$state/manifest" ] && [ -e "$state/applied" ]; then
        rm -rf "$state/previous.new"
        mkdir -p "$state/previous.new"
        while read -r _ _ path; do
            [ -f "$folder/$path" ] || continue
            # The way back leaves the application's data alone.
            ! is_seed "$folder/$path" || continue
            mkdir -p "$(dirname "$state/previous.new/$path")"
            cp -a "$folder/$path" "$state/previous.new/$path"
        done <"$state/manifest"
        rm -rf "$state/previous"
        mv "$state/previous.new" "$state/previous"
    fi
    rm -f "$state/applied" "$scratch/turned"
    place_files
    arg manifest >"$state/manifest"
    arg origin >"$state/origin"
    printf '%s' "$folder" >"$state/folder"
    remember_seeds
    drop_turned
}

# remember_seeds: what has been sent once stays known, also when it is no longer part of the bundle.
remember_seeds() {
    arg seeds >"$scratch/seeds"
    [ -s "$scratch/seeds" ] || [ -e "$state/seeds" ] || return 0
    # The first sum of a path is that of what was sent.
    cat "$state/seeds" "$scratch/seeds" 2>/dev/null | awk '{ path = substr($0, index($0, " ") + 1) } !(path in seen) { seen[path] = 1; print }' >"$state/seeds.new"
    mv -f "$state/seeds.new" "$state/seeds"
}

# drop_turned: a container that mounts what was a folder and is a file now, or the reverse, cannot
# start again as it is: it is taken away, and Compose makes another one.
drop_turned() {
    [ -s "$scratch/turned" ] || return 0
    docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$name" | while read -r id; do
        docker inspect --format '{{range .Mounts}}{{println .Source}}{{end}}' "$id" | grep -qxFf "$scratch/turned" || continue
        say "recreating $(service_of "$id"): a file that it mounts was a folder, or the reverse"
        docker rm -f "$id" >/dev/null
    done
}

bundle_verify() {
    files_placed || fail "the files in $folder are not as sent"
}
