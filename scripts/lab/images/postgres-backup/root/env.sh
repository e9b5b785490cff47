#!/bin/bash
# Sourced by the others: where the databases are and who asks, from the environment or
# from the files that it names. The image's own **None** stands for unset.
set -Eeo pipefail

die() {
    echo >&2 "$*"
    exit 1
}

given() { [ -n "${!1:-}" ] && [ "${!1}" != '**None**' ]; }

# from_env_or_file NAME: its value, or the content of the file that NAME_FILE names.
from_env_or_file() {
    local file="$1_FILE"
    if given "$file"; then
        [ -r "${!file}" ] || die "Missing $file file."
        cat "${!file}"
    else
        given "$1" || die "You need to set the $1 or $file environment variable."
        printf '%s\n' "${!1}"
    fi
}

given POSTGRES_HOST || die 'You need to set the POSTGRES_HOST environment variable.'
POSTGRES_DBS=$(from_env_or_file POSTGRES_DB | tr ',' ' ')
PGUSER=$(from_env_or_file POSTGRES_USER)
if given POSTGRES_PASSFILE_STORE && ! given POSTGRES_PASSWORD_FILE; then
    [ -r "$POSTGRES_PASSFILE_STORE" ] || die 'Missing POSTGRES_PASSWORD_FILE or POSTGRES_PASSFILE_STORE file.'
    export PGPASSFILE=$POSTGRES_PASSFILE_STORE
else
    PGPASSWORD=$(from_env_or_file POSTGRES_PASSWORD)
    export PGPASSWORD
fi
export POSTGRES_DBS PGUSER PGHOST=$POSTGRES_HOST PGPORT=$POSTGRES_PORT

if [ ! -d "$BACKUP_DIR" ] || [ ! -w "$BACKUP_DIR" ] || [ ! -x "$BACKUP_DIR" ]; then
    die 'BACKUP_DIR points to a file or folder with insufficient permissions.'
fi
