#!/bin/sh
# Asks the host's own Compose whether it accepts a project, before anything is changed.
#
# After the marker at the end come the project's name ("name NAME"), the length of an archive
# ("payload BYTES"), and the archive: the files that Compose reads, and no others. They lie in a
# private folder for as long as Compose reads them.
#
# Prints "place FOLDER", what Compose says as "said TEXT", and at the end "accepted", "refused" or
# "unknown WHY".
set -u
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
HOME=/root LC_ALL=C
export PATH HOME LC_ALL

name='' payload=0 place='' child=''
parse() {
    marked=
    while IFS= read -r line; do
        if [ -z "$marked" ]; then
            [ "$line" != __PARAMETERS__ ] || marked=1
            continue
        fi
        case $line in
            'name '*) name=${line#name } ;;
            'payload '*) payload=${line#payload }; break ;;
        esac
    done <"$0"
}

leave() { [ -z "$place" ] || rm -rf "$place"; }

# unpack: in memory first, which takes the files even when the disk is full.
unpack() {
    for below in /run /dev/shm /tmp; do
        place=$(mktemp -d "$below/provision-compose.XXXXXXXXXXXX" 2>/dev/null) || { place=; continue; }
        if mkdir "$place/project" && tail -c "$payload" "$0" | tar -xzf - -C "$place/project" 2>/dev/null; then return 0; fi
        leave
        place=
    done
    return 1
}

# ask: with the environment that a run has, and not that of a login.
ask() {
    cd "$place/project" || return 124
    exec timeout -k 5 60 env -i PATH="$PATH" HOME="$HOME" LC_ALL=C PWD="$place/project" COMPOSE_ANSI=never \
        docker compose --project-name "$name" config --quiet
}

check() {
    trap leave EXIT
    trap '[ -z "$child" ] || kill "$child"; exit 129' HUP INT TERM PIPE
    parse
    case $name in *[!a-z0-9_-]* | '') exit 64 ;; esac
    unpack || { printf 'unknown there is no room for its files\n'; return; }
    printf 'place %s\n' "$place/project"
    # In the background: a signal does not have to wait for Compose.
    (ask) >"$place/said" 2>&1 </dev/null &
    child=$!
    wait "$child"
    code=$? child=
    head -c 16384 "$place/said" | sed 's/^/said /'
    printf '\n'
    case $code in
        0) printf 'accepted\n' ;;
        124 | 137) printf 'unknown it has not answered within 60 seconds\n' ;;
        *) printf 'refused\n' ;;
    esac
}

check
exit 0
# shellcheck disable=SC2317 # a marker, never reached
__PARAMETERS__
