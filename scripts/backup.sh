# shellcheck shell=sh disable=SC2154,SC2030,SC2031 # dump.sh sets what is not set here; no more of it is wanted
# Runs on the host, behind dump.sh: tells which backups there are, or whether one can be
# restored. Changes nothing.
#
# Behind the marker at the end stand parameters, a line each ("verb list"):
#
#   list    a line for each backup, and whether it is whole as far as BUDGET bytes go
#   check   what is to be known of FILE before it is restored
#
# What it answers is a word and its values, separated by tabs.
set -u
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

verb='' project='' folder='' backups='' backup='' postgres='' role='' databases='' file='' budget=0
parse() {
    marked=
    while IFS= read -r line; do
        if [ -z "$marked" ]; then
            [ "$line" != __PARAMETERS__ ] || marked=1
            continue
        fi
        value=${line#* }
        case $line in
            'verb '*) verb=$value ;;
            'project '*) project=$value ;;
            'folder '*) folder=$value ;;
            'backups '*) backups=$value ;;
            'backup '*) backup=$value ;;
            'postgres '*) postgres=$value ;;
            'role '*) role=$value ;;
            'databases '*) databases=$value ;;
            'file '*) file=$value ;;
            'budget '*) budget=$value ;;
        esac
    done <"$0"
}

compose() { (cd "$folder" && docker compose --project-name "$project" "$@"); }

# state SERVICE: of its container; nothing where there is none.
state() {
    docker ps -a --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1" \
        --filter label=com.docker.compose.oneoff=False --format '{{.State}}' 2>/dev/null | head -n 1
}

answer() {
    word=$1
    shift
    printf '%s' "$word"
    for each in "$@"; do printf '\t%s' "$each"; done
    printf '\n'
}

# sql DATABASE QUERY
sql() { psql_as "$superuser" "$1" -At -F "$(printf '\t')" -c "$2" </dev/null 2>/dev/null; }

list() {
    [ -d "$backups" ] || answer no-folder
    answer now "$(date +%s)"
    answer state "$(state "$backup")"
    read=0
    last=
    # Those of one file under several names stand together, the newest files first.
    # shellcheck disable=SC2086 # names of databases, without blanks
    files "$backups" $databases | sort -t "$(printf '\t')" -k3,3nr -k4,4n -k1,1 |
        while IFS="$(printf '\t')" read -r name size seconds inode; do
            if [ "$inode" != "$last" ]; then
                last=$inode verdict=unread
                if [ $((read + size)) -le "$budget" ]; then
                    read=$((read + size))
                    examine "$backups/$name"
                fi
            fi
            answer file "$name" "$size" "$seconds" "$inode" "$verdict"
        done
}

check() {
    answer state "$(state "$postgres")"
    [ -f "$backups/$file" ] || {
        answer gone
        return
    }
    examine "$backups/$file"
    answer dump "$verdict" "$from" "$unpacked"
    [ "$verdict" = whole ] || return 0
    sum=$(sha256sum <"$backups/$file")
    answer sum "${sum%% *}"
    find_superuser "$role" || {
        answer no-superuser
        return
    }
    answer server "$(sql postgres 'SHOW server_version')"
    # Whether it lets us in is another question: one may be there and broken.
    answer present "$(sql postgres "SELECT pg_database_size(oid) FROM pg_database WHERE datname = '$databases'")"
    room=$(compose exec -T "$postgres" df -Pk "$(sql postgres 'SHOW data_directory')" </dev/null 2>/dev/null | tail -n 1)
    # shellcheck disable=SC2086 # its columns
    set -- $room
    answer free "$((${4:-0} * 1024))"
}

parse
case $databases in *[!A-Za-z0-9_\ -]*) exit 64 ;; esac
case $verb in
    list) list ;;
    check) check ;;
    *) exit 64 ;;
esac
exit 0
# shellcheck disable=SC2317 # a marker, never reached
__PARAMETERS__
