#!/bin/bash
# The official image's contract: at the first start PGADMIN_CONFIG_* become settings,
# PGADMIN_DEFAULT_EMAIL with PGADMIN_DEFAULT_PASSWORD (or its _FILE) becomes the user, and
# the servers, preferences and passwords that are mounted become that user's. Without
# the official image's mail server.
set -euo pipefail

die() {
    echo >&2 "$*"
    exit 1
}

# file_env NAME: from the file that NAME_FILE names, if there is one.
file_env() {
    local name=$1 file="$1_FILE"
    if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
        die "error: both $name and $file are set (but are exclusive)"
    fi
    if [ -n "${!file:-}" ]; then
        export "$name=$(<"${!file}")"
    fi
    unset "$file"
}

setup() { /venv/bin/python3 /pgadmin4/setup.py "$@"; }

load_servers() {
    local owner=(--user "${PGADMIN_DEFAULT_EMAIL:-}")
    [ "${PGADMIN_CONFIG_SERVER_MODE:-}" != False ] || owner=()
    setup load-servers "${PGADMIN_SERVER_JSON_FILE:-/pgadmin4/servers.json}" "${owner[@]}" "$@"
}

file_env PGADMIN_CONFIG_CONFIG_DATABASE_URI
file_env PGADMIN_DEFAULT_PASSWORD

settings=${PGADMIN_CUSTOM_CONFIG_DISTRO_FILE:-/pgadmin4/config_distro.py}
export CONFIG_DISTRO_FILE_PATH=$settings
if [ ! -s "$settings" ]; then
    {
        echo "CA_FILE = '/etc/ssl/certs/ca-certificates.crt'"
        echo "LOG_FILE = '/dev/null'"
        echo "DEFAULT_BINARY_PATHS = {'pg': '/usr/local/pgsql-17', 'pg-17': '/usr/local/pgsql-17'}"
        for name in $(compgen -e | grep '^PGADMIN_CONFIG_'); do
            printf '%s = %s\n' "${name#PGADMIN_CONFIG_}" "${!name}"
        done
    } >"$settings"
fi

cd /pgadmin4
if [ ! -f /var/lib/pgadmin/pgadmin4.db ]; then
    if [ -z "${PGADMIN_DEFAULT_EMAIL:-}" ] || [ -z "${PGADMIN_DEFAULT_PASSWORD:-}" ]; then
        die 'You need to define the PGADMIN_DEFAULT_EMAIL and PGADMIN_DEFAULT_PASSWORD or PGADMIN_DEFAULT_PASSWORD_FILE environment variables.'
    fi
    checks="{'CHECK_EMAIL_DELIVERABILITY': ${PGADMIN_CONFIG_CHECK_EMAIL_DELIVERABILITY:-False}"
    checks="$checks, 'ALLOW_SPECIAL_EMAIL_DOMAINS': ${PGADMIN_CONFIG_ALLOW_SPECIAL_EMAIL_DOMAINS:-[]}"
    checks="$checks, 'GLOBALLY_DELIVERABLE': ${PGADMIN_CONFIG_GLOBALLY_DELIVERABLE:-True}}"
    valid=$(cd pgadmin/utils && /venv/bin/python3 -c \
        "import sys, validation_utils as v; print(v.validate_email(sys.argv[1], $checks))" "$PGADMIN_DEFAULT_EMAIL")
    case $valid in
    *False*) die "'$PGADMIN_DEFAULT_EMAIL' does not appear to be a valid email address. Please reset the PGADMIN_DEFAULT_EMAIL environment variable and try again." ;;
    esac
    export PGADMIN_SETUP_EMAIL=$PGADMIN_DEFAULT_EMAIL PGADMIN_SETUP_PASSWORD=$PGADMIN_DEFAULT_PASSWORD
    # Importing the program makes its database.
    /venv/bin/python3 run_pgadmin.py

    if [ -f "${PGADMIN_SERVER_JSON_FILE:-/pgadmin4/servers.json}" ]; then
        load_servers
    fi
    preferences=${PGADMIN_PREFERENCES_JSON_FILE:-/pgadmin4/preferences.json}
    if [ -f "$preferences" ]; then
        setup set-prefs "$PGADMIN_DEFAULT_EMAIL" --input-file "$preferences"
    fi
    if [ -f "${PGPASS_FILE:-}" ]; then
        home=/var/lib/pgadmin
        [ "${PGADMIN_CONFIG_SERVER_MODE:-}" = False ] || home=$home/storage/${PGADMIN_DEFAULT_EMAIL//@/_}
        mkdir -p "$home"
        install -m 600 "$PGPASS_FILE" "$home/.pgpass"
    fi
elif [ "${PGADMIN_REPLACE_SERVERS_ON_STARTUP:-}" = True ] && [ -f "${PGADMIN_SERVER_JSON_FILE:-/pgadmin4/servers.json}" ]; then
    load_servers --replace
fi

timeout=$(/venv/bin/python3 -c 'import config; print(config.SESSION_EXPIRATION_TIME * 60 * 60 * 24)')
port=80 tls=()
if [ -n "${PGADMIN_ENABLE_TLS:-}" ]; then
    port=443 tls=(--keyfile /certs/server.key --certfile /certs/server.cert)
fi
bind=${PGADMIN_LISTEN_ADDRESS:-[::]}:${PGADMIN_LISTEN_PORT:-$port}
[ -z "${PGADMIN_ENABLE_SOCK:-}" ] || bind=unix:/run/pgadmin/pgadmin.sock

# One worker: pgAdmin's sessions live in its process.
exec /venv/bin/gunicorn --limit-request-line "${GUNICORN_LIMIT_REQUEST_LINE:-8190}" --timeout "$timeout" \
    --bind "$bind" -w 1 --threads "${GUNICORN_THREADS:-25}" --access-logfile "${GUNICORN_ACCESS_LOGFILE:--}" \
    "${tls[@]}" -c gunicorn_config.py run_pgadmin:app
