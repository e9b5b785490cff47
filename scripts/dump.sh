# shellcheck shell=sh disable=SC2034,SC2154 # in front of backup.sh and steps/backup.sh, which read what is set here
# Backups of a database: files of postgres-backup-local, each a plain SQL dump, gzipped.

# examine FILE: reads it to its end. Sets
#   verdict  whole; cut (what gzip wrote is not all there); unfinished (the dump itself ends
#            too early); foreign (no gzipped SQL dump); cluster (of pg_dumpall)
#   from     the version of the Postgres that it is from
#   unpacked its size in bytes, as SQL
examine() {
    verdict=foreign from='' unpacked=0
    [ "$(head -c 2 "$1" | od -An -tx1 | tr -d ' \n')" = 1f8b ] || return 0
    room=$(mktemp -d "${scratch:-/run}/dump.XXXXXX") || return 1
    mkfifo "$room/all"
    wc -c <"$room/all" >"$room/count" &
    { gzip -dc <"$1" 2>/dev/null; echo $? >"$room/code"; } | tee "$room/all" | tail -c 4096 >"$room/tail"
    wait "$!"
    gzip -dc <"$1" 2>/dev/null | head -c 4096 >"$room/head"
    read -r unpacked <"$room/count"
    read -r code <"$room/code"
    from=$(sed -n 's/^-- Dumped from database version \([0-9][0-9.]*\).*/\1/p' "$room/head" | head -n 1)
    if grep -q '^-- PostgreSQL database cluster dump' "$room/head"; then
        verdict=cluster
    elif [ "$code" -ne 0 ]; then
        verdict='cut'
    elif ! grep -q '^-- PostgreSQL database dump' "$room/head"; then
        verdict=foreign
    elif ! grep -q '^-- PostgreSQL database dump complete' "$room/tail"; then
        verdict=unfinished
    else
        verdict=whole
    fi
    rm -rf "$room"
}

# psql_as USER DATABASE ARGUMENT...: over the container's own socket, which lets every role
# in, so that there is no password. Wants `compose` and $postgres.
psql_as() {
    user=$1 database=$2
    shift 2
    compose exec -T "$postgres" psql -X --quiet --no-password -v ON_ERROR_STOP=1 -U "$user" -d "$database" "$@"
}

# find_superuser ROLE: sets $superuser. In a volume from elsewhere it may have the role's own name.
find_superuser() {
    for superuser in postgres "$1"; do
        answer=$(psql_as "$superuser" postgres -At -c 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user' \
            </dev/null 2>/dev/null)
        [ "$answer" != t ] || return 0
    done
    superuser=
    return 1
}

# files FOLDER DATABASE...: NAME, SIZE, SECONDS SINCE 1970 and INODE of each backup, separated by tabs.
files() {
    (
        cd "$1" 2>/dev/null || exit 0
        shift
        for db in "$@"; do
            find . -type f -name "$db-*.gz" -exec stat -c '%n	%s	%Y	%i' {} +
        done | sed 's|^[.]/||'
    )
}
