# shellcheck shell=sh disable=SC2154 # added to stack.sh, sourced by step.sh
# The files of a stack: how the stack step puts them in place.

# seed_paths: files to which a container may write are sent where there are none.
seed_paths() {
    arg seeds | FOLDER=$folder awk '{ print ENVIRON["FOLDER"] "/" substr($0, index($0, " ") + 1) }'
}

# copy_files FROM TO: those regular files in a folder whose names are on standard input, into another one.
copy_files() {
    (
        cd "$1" 2>/dev/null || exit 0
        while IFS= read -r path; do
            [ ! -f "./$path" ] || printf './%s\n' "$path"
        done | each cp -a --parents -t "$2"
    )
}

# stage: the bundle as it is to be, below $staging.
stage() {
    # What stays from the present bundle, and over it what is new.
    arg manifest | cut -d' ' -f3- | copy_files "$folder" "$staging"
    awk -F '\t' '$3 != "-" { print $4 }' "$change/files/list" 2>/dev/null | (
        cd "$staging" || exit 1
        while IFS= read -r path; do printf '.%s\n' "${path#"$folder"}"; done >"$scratch/staged"
        sed 's|/[^/]*$||' "$scratch/staged" | sort -u | each mkdir -p
        each rm -rf <"$scratch/staged"
    )
    # A name for what lies beside the journal costs no program and no room; a copy is for other disks.
    number=0
    while IFS=$TAB read -r _ _ sum path; do
        number=$((number + 1))
        [ "$sum" = - ] || printf '%s\n' "$change/files/$number" "$staging/${path#"$folder/"}"
    done <"$change/files/list" >"$scratch/staged"
    if ! perl -e 'while (defined($from = <STDIN>)) { $to = <STDIN>; chomp($from, $to); link($from, $to) or exit 1 }' <"$scratch/staged" 2>/dev/null; then
        while IFS= read -r from && IFS= read -r to; do [ -e "$to" ] || cp "$from" "$to"; done <"$scratch/staged"
    fi
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
    stage
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
        # The way back leaves the application's data alone.
        seed_paths >"$scratch/seed_paths"
        cut -d' ' -f3- "$state/manifest" | FOLDER=$folder awk '
            FILENAME == ARGV[1] { seed[$0] = 1; next }
            !((ENVIRON["FOLDER"] "/" $0) in seed)' "$scratch/seed_paths" - | copy_files "$folder" "$state/previous.new"
        rm -rf "$state/previous"
        mv "$state/previous.new" "$state/previous"
    fi
    rm -f "$state/applied" "$scratch/turned"
    place_files
    arg manifest >"$state/manifest"
    arg expected >"$state/expected"
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
