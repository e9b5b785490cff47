# shellcheck shell=sh disable=SC2154,SC2034,SC2317 # added to stack.sh, sourced by step.sh
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

bundle_apply() {
    staging=$state/staging
    rm -rf "$staging"
    mkdir -p "$staging" "$folder"
    chmod 0700 "$state"
    # What stays from the present bundle, and over it what is new.
    arg manifest | while read -r _ _ path; do
        if [ -f "$folder/$path" ]; then
            mkdir -p "$(dirname "$staging/$path")"
            cp -a "$folder/$path" "$staging/$path"
        fi
    done
    number=0
    while IFS=$TAB read -r mode _ sum path; do
        number=$((number + 1))
        [ "$sum" != - ] || continue
        path=${path#"$folder/"}
        mkdir -p "$(dirname "$staging/$path")"
        rm -rf "${staging:?}/$path"
        cp "$change/files/$number" "$staging/$path"
        chmod "$mode" "$staging/$path"
    done <"$change/files/list"
    accepted=yes
    complaints=$(cd "$staging" && docker compose --project-name "$name" config --quiet 2>&1) || accepted=no
    rm -rf "$staging"
    # Its files have the names that they have here, not those of a folder that is gone.
    [ -z "$complaints" ] || printf '%s\n' "$complaints" | grep -v '^$' | sed "s|$staging/||g"
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
        cp -p "$state/manifest" "$state/previous.manifest"
        cp -p "$state/applied" "$state/previous.applied"
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

# previous_bundle: the bundle that ran before is in the folder again, as if there had been no other.
# Fails where none is kept, or a file of it could not be put back.
previous_bundle() {
    [ -e "$state/previous.manifest" ] || return 1
    # What the newer one has besides goes.
    {
        [ ! -e "$state/seeds" ] || cut -d' ' -f2- "$state/seeds"
        cut -d' ' -f3- "$state/previous.manifest"
    } >"$scratch/stays"
    cut -d' ' -f3- "$state/manifest" | grep -vxF -f "$scratch/stays" >"$scratch/goes"
    while read -r path; do
        path=$folder/$path
        (keep() { :; } && remove_file) || return 1
    done <"$scratch/goes"
    (cd "$state/previous" && find . -type f) >"$scratch/returns"
    while read -r path; do
        source=$state/previous/${path#./} path=$folder/${path#./}
        mode=$(stat -c %a "$source") owner=$(stat -c %u:%g "$source") sum=$(sha256 "$source")
        (keep() { :; } && place_file "$source") || return 1
    done <"$scratch/returns"
    cp -p "$state/previous.manifest" "$state/manifest"
    mv -f "$state/previous.applied" "$state/applied"
    rm -f "$state/previous.manifest"
}

bundle_verify() {
    files_placed || fail "the files in $folder are not as sent"
}
