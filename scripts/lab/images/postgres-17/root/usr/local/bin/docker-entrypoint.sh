#!/bin/bash
# The official image's contract: on an empty PGDATA a cluster is made as
# POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS and
# POSTGRES_HOST_AUTH_METHOD say (each also as NAME_FILE), the scripts in
# /docker-entrypoint-initdb.d run once, and then the server, as postgres.
set -Eeo pipefail

file_env() {
    local name=$1 file="$1_FILE" default=${2:-}
    if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
        echo >&2 "error: both $name and $file are set (but are exclusive)"
        exit 1
    fi
    if [ -n "${!file:-}" ]; then
        export "$name=$(<"${!file}")"
    else
        export "$name=${!name:-$default}"
    fi
    unset "$file"
}

sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" "$@"; }

run_scripts() {
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        [ -e "$script" ] || continue
        echo "running $script"
        # shellcheck source=/dev/null
        case $script in
        *.sh) if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
        *.sql) sql --dbname "$POSTGRES_DB" -f "$script" ;;
        *.sql.gz) gunzip -c "$script" | sql --dbname "$POSTGRES_DB" ;;
        *.sql.xz) xzcat "$script" | sql --dbname "$POSTGRES_DB" ;;
        *.sql.zst) zstd -dc "$script" | sql --dbname "$POSTGRES_DB" ;;
        *) echo "ignoring $script" ;;
        esac
    done
}

make_cluster() {
    if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        echo >&2 'Error: Database is uninitialized and superuser password is not specified.'
        echo >&2 '       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser.'
        exit 1
    fi
    # POSTGRES_INITDB_ARGS holds several arguments.
    # shellcheck disable=SC2086
    initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        ${POSTGRES_INITDB_WALDIR:+--waldir="$POSTGRES_INITDB_WALDIR"} $POSTGRES_INITDB_ARGS
    local auth=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "$@" 2>/dev/null || echo scram-sha-256)}
    printf '\nhost all all all %s\n' "$auth" >>"$PGDATA/pg_hba.conf"

    # Over the local socket alone: nobody meets a half-made database.
    PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
    if [ "$POSTGRES_DB" != postgres ]; then
        sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
    fi
    export PGPASSWORD=$POSTGRES_PASSWORD
    unset PGHOST PGHOSTADDR
    run_scripts
    PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    echo 'PostgreSQL init process complete; ready for start up.'
}

if [ "${1:0:1}" = - ]; then
    set -- postgres "$@"
fi

if [ "$1" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$PGDATA"
        find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
        find /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
        exec gosu postgres "${BASH_SOURCE[0]}" "$@"
    fi
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA" || :
    file_env POSTGRES_PASSWORD
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "$POSTGRES_USER"
    file_env POSTGRES_INITDB_ARGS
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        shift
        make_cluster "$@"
        set -- postgres "$@"
    fi
fi

exec "$@"
