# shellcheck shell=sh disable=SC2154,SC2034,SC2317 # added to stack.sh, sourced by step.sh
# The files of a stack: how the stack step puts them in place.

# is_seed PATH: a file to which a container may write is sent where there is none.
is_seed() {
    [ -n "$(arg seeds)" ] || return 1
    arg seeds | cut -d' ' -f2- | grep >/dev/null -xF -- "${1#"$folder"/}"
}

# folders: MODE, OWNER, KIND and PATH, tab-separated, a line each: those that are made or given other
# permissions. KIND is seed where a container may write: such a one is the application's once it is there.

rights_of() {
    arg folders | while IFS=$TAB read -r mode owner _ path; do
        [ "$path" != "$1" ] || { printf '%s %s' "$mode" "$owner"; break; }
    done
}

folders_placed() {
    arg folders | while IFS=$TAB read -r mode owner kind path; do
        [ -d "$folder/$path" ] && [ ! -L "$folder/$path" ] || exit 1
        [ "$kind" != seed ] || continue
        case $owner in [0-9]*) owned='%a %u:%g' ;; *) owned='%a %U:%G' ;; esac
        [ "$(stat -c "$owned" "$folder/$path")" = "$mode $owner" ] || exit 1
    done
}

place_folders() {
    arg folders >"$scratch/folders"
    while IFS=$TAB read -r mode owner kind path; do
        (place_folder) || exit 1
    done <"$scratch/folders"
}

# place_folder: makes $path with $mode and $owner, or gives them to it; in a shell of its own.
place_folder() {
    enter "$folder/$path/." || {
        hint "look at the folders of $folder/$path on the host: one of them is a link, or cannot be made"
        fail "the folder $folder/$path could not be entered"
    }
    [ "$kind" != seed ] || return 0
    # It has the bit for its group from the folder above it.
    { chmod u-s,g-s . && chmod "$mode" . && chown "$owner" .; } ||
        fail "$folder/$path could not be given the permissions $mode $owner"
}

# bundle: what was sent takes its place, after Compose itself has accepted it as a whole.

bundle_guard() { files_placed && folders_placed && bundle_recorded; }

# bundle_recorded: whether it is written down what was sent, which is the last that is done.
bundle_recorded() {
    [ "$(cat "$state/manifest" 2>/dev/null)" = "$(arg manifest)" ] &&
        [ "$(cat "$state/folders" 2>/dev/null)" = "$(arg known_folders)" ]
}

# stage: the bundle as it will be, put together in $staging: what stays of the present one, and over
# it what is new.
stage() {
    mkdir -p "$staging" || return 1
    arg manifest | while read -r _ _ path; do
        [ -f "$folder/$path" ] || continue
        { mkdir -p "$(dirname "$staging/$path")" && cp -a "$folder/$path" "$staging/$path"; } || exit 1
    done || return 1
    # Where the manifest alone differs, nothing is sent.
    [ -e "$change/files/list" ] || return 0
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
        # The way back does not touch permissions either.
        (cd "$state/previous.new" && find . -depth -type d) | while IFS= read -r path; do
            [ ! -d "$folder/$path" ] || chmod --reference="$folder/$path" "$state/previous.new/$path"
            [ ! -d "$folder/$path" ] || chown --reference="$folder/$path" "$state/previous.new/$path"
        done
        rm -rf "$state/previous"
        mv "$state/previous.new" "$state/previous"
        cp -p "$state/manifest" "$state/previous.manifest"
        cp -p "$state/applied" "$state/previous.applied"
    fi
    # What interrupts nothing needs no start: the one before counts for it.
    keeps=$(arg keeps)
    rm -f "$scratch/turned"
    [ -n "$keeps" ] || rm -f "$state/applied"
    place_files
    place_folders
    [ -z "$keeps" ] || keep_applied
    arg manifest >"$state/manifest"
    arg known_folders >"$state/folders"
    arg origin >"$state/origin"
    printf '%s' "$folder" >"$state/folder"
    remember_seeds
    drop_turned
}

# keep_applied: the last start counts for what is there now, too; further lines stay.
keep_applied() {
    [ -s "$state/applied" ] || return 0
    { printf '%s\n' "$keeps"; tail -n +2 "$state/applied"; } >"$state/applied.new" &&
        mv -f "$state/applied.new" "$state/applied"
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
        docker inspect --format '{{range .Mounts}}{{println .Source}}{{end}}' "$id" | grep >/dev/null -xFf "$scratch/turned" || continue
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
    folders_placed || fail "the folders in $folder do not have the permissions that were sent"
    # Where no file differs, a refusal of Compose would pass for done.
    bundle_recorded || fail "the record of what was sent to $folder could not be written"
}
