# shellcheck shell=sh disable=SC2154 # added to stack.sh, sourced by step.sh
# The files of a stack: how the stack step puts them in place.

# seed_paths: files to which a container may write are sent where there are none.
seed_paths() {
    arg seeds | FOLDER=$folder awk '{ print ENVIRON["FOLDER"] "/" substr($0, index($0, " ") + 1) }'
}

# name_files link|symlink: each file on standard input gets the name on the line after it, in a folder
# that is made for it: by one program, whatever their number.
name_files() {
    perl -e '
        my ($kind, %made) = shift;
        sub make {
            my ($folder) = @_;
            return 1 if $folder eq "" || $made{$folder} || -d $folder;
            return make($folder =~ m{^(.*)/} ? $1 : "") && mkdir($folder) && ($made{$folder} = 1);
        }
        while (defined(my $from = <STDIN>)) {
            my $to = <STDIN>;
            chomp($from, $to);
            next if $kind eq "link" && !-f $from;
            make($to =~ m{^(.*)/} ? $1 : "") or exit 1;
            ($kind eq "link" ? link($from, $to) : symlink($from, $to)) or exit 1;
        }' "$1" 2>/dev/null
}

# stage: the bundle as it is to be, below $staging, which is in memory: links to what stays of the present
# bundle, and to what is new.
stage() {
    {
        echo --list
        cat "$change/files/list" 2>/dev/null
        echo --manifest
        arg manifest
    } | CHANGE=$change FOLDER=$folder STAGING=$staging awk -F '\t' '
        function stage(from, name) { print from; print ENVIRON["STAGING"] "/" name }
        /^--/ { section = $0; next }
        section == "--list" { number++; if ($3 != "-") sent[$4] = ENVIRON["CHANGE"] "/files/" number; next }
        {
            name = substr($0, index($0, " ") + 1)
            name = substr(name, index(name, " ") + 1)
            path = ENVIRON["FOLDER"] "/" name
            stage((path in sent) ? sent[path] : path, name)
            delete sent[path]
        }
        END { for (path in sent) stage(sent[path], substr(path, length(ENVIRON["FOLDER"]) + 2)) }' >"$scratch/names"
    name_files symlink <"$scratch/names" && return
    while IFS= read -r from && IFS= read -r to; do
        mkdir -p "${to%/*}"
        ln -sf "$from" "$to"
    done <"$scratch/names"
}

# keep_previous: the present bundle stays at hand until another one has taken its place. What is replaced
# is replaced by another file, so that a second name keeps it as it is; on another disk, a copy does.
keep_previous() {
    rm -rf "$state/previous.new"
    mkdir -p "$state/previous.new"
    seed_paths >"$scratch/seed_paths"
    # The way back leaves the application's data alone.
    cut -d' ' -f3- "$state/manifest" | FOLDER=$folder awk '
        FILENAME == ARGV[1] { seed[$0] = 1; next }
        !((ENVIRON["FOLDER"] "/" $0) in seed)' "$scratch/seed_paths" - >"$scratch/names"
    if ! FOLDER=$folder TO=$state/previous.new awk '{
            print ENVIRON["FOLDER"] "/" $0
            print ENVIRON["TO"] "/" $0
        }' "$scratch/names" | name_files link; then
        rm -rf "$state/previous.new"
        mkdir -p "$state/previous.new"
        (
            cd "$folder" 2>/dev/null || exit 0
            while IFS= read -r path; do
                [ ! -f "./$path" ] || printf './%s\n' "$path"
            done <"$scratch/names" | each cp -a --parents -t "$state/previous.new"
        )
    fi
    # Removing thousands of files takes a while: that is done with the rest of this run, when it is forgotten.
    rm -rf "$dir/previous"
    [ ! -e "$state/previous" ] || mv "$state/previous" "$dir/previous"
    mv "$state/previous.new" "$state/previous"
}

# bundle: what was sent takes its place, after Compose itself has accepted it as a whole.

bundle_guard() {
    # The list first: where it is another one, the files need not be looked into.
    arg manifest | cmp -s - "$state/manifest" && files_placed
}

bundle_apply() {
    staging=$scratch/staging
    rm -rf "$staging"
    mkdir -p "$state" "$staging" "$folder"
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
    if [ -e "$state/manifest" ] && [ -e "$state/applied" ]; then
        keep_previous
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
