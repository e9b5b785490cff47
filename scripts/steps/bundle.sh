# shellcheck shell=sh disable=SC2154,SC2034,SC2317 # added to stack.sh, sourced by step.sh
# The files of a stack: how the stack step puts them in place.

# seed_paths: files to which a container may write are sent where there are none.
seed_paths() {
    arg seeds | FOLDER=$folder awk '{ print ENVIRON["FOLDER"] "/" substr($0, index($0, " ") + 1) }'
}

# folders: MODE, OWNER, KIND and PATH, tab-separated, a line each: those that are made or given other
# permissions. KIND is seed where a container may write: such a one is the application's once it is there.

rights() { arg folders | cut -f1,2,4; }

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
    mkdir -p "$staging" || return 1
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
        END { for (path in sent) stage(sent[path], substr(path, length(ENVIRON["FOLDER"]) + 2)) }' >"$scratch/names" || return 1
    name_files symlink <"$scratch/names" && return
    while IFS= read -r from && IFS= read -r to; do
        { mkdir -p "${to%/*}" && ln -sf "$from" "$to"; } || return 1
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
    unshare_rights
    keep_rights
    # Removing thousands of files takes a while: that is done with the rest of this run, when it is forgotten.
    rm -rf "$dir/previous"
    [ ! -e "$state/previous" ] || mv "$state/previous" "$dir/previous"
    mv "$state/previous.new" "$state/previous"
    cp -p "$state/manifest" "$state/previous.manifest"
    cp -p "$state/applied" "$state/previous.applied"
}

# unshare_rights: a file that gets other permissions only stays the same file, so that the previous bundle
# needs one of its own.
unshare_rights() {
    [ -e "$change/files/list" ] || return 0
    cut -f1,2,4 "$change/files/list" >"$scratch/wanted"
    cut -f3 "$scratch/wanted" | each stat -c "%a$TAB%U:%G$TAB%n" 2>/dev/null | awk -F "$TAB" '
        FILENAME == ARGV[1] { wanted[$3] = $1 " " $2; next }
        ($3 in wanted) && wanted[$3] != $1 " " $2 { print $3 }' "$scratch/wanted" - |
        while read -r path; do
            own=$state/previous.new/${path#"$folder/"}
            [ ! -f "$own" ] || cp -a --remove-destination "$path" "$own"
        done
}

# keep_rights: the way back does not touch the permissions of folders either.
keep_rights() {
    (cd "$state/previous.new" && find . -type d -print0) |
        (cd "$folder" && xargs -0 -r stat -L -c "%f$TAB%a$TAB%u:%g$TAB%n" --) 2>/dev/null |
        while IFS=$TAB read -r kind mode owner path; do
            # Some may be no folders any more; most are as they have just been made.
            case $kind in 4???) ;; *) continue ;; esac
            [ "$mode $owner" != '755 0:0' ] || continue
            chown "$owner" "$state/previous.new/$path"
            chmod "$mode" "$state/previous.new/$path"
        done
}

# bundle: what was sent takes its place, after Compose itself has accepted it as a whole.

# The record first: where it is another one, the files need not be looked into.
bundle_guard() { bundle_recorded && files_placed && folders_placed; }

# bundle_recorded: whether it is written down what was sent, which is the last that is done.
bundle_recorded() {
    cmp -s "$change/arg/manifest" "$state/manifest" && [ "$(cat "$state/folder" 2>/dev/null)" = "$folder" ] &&
        [ "$(cat "$state/folders" 2>/dev/null)" = "$(arg known_folders)" ]
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
    staging=$scratch/staging
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
    if [ -e "$state/manifest" ] && [ -e "$state/applied" ]; then
        keep_previous
    fi
    # What interrupts nothing needs no start: the one before counts for it.
    keeps=$(arg keeps)
    rm -f "$scratch/turned"
    [ -n "$keeps" ] || rm -f "$state/applied"
    place_files
    place_folders
    [ -z "$keeps" ] || keep_applied
    arg expected >"$state/expected"
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
