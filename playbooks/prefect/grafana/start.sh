#!/bin/sh
# Grafana takes the password that it is given for a new database alone, and keeps its own from
# then on. One that has changed since the last start is set here.
set -u
password=/run/secrets/grafana_password
set_by_us=/var/lib/grafana/.password-set

# changed: whether the password is newer than the one that was set last.
changed() {
    # shellcheck disable=SC3013 # dash, bash and busybox have it
    [ ! -e "$set_by_us" ] || [ "$password" -nt "$set_by_us" ]
}

if [ -e /var/lib/grafana/grafana.db ] && changed &&
    ! grafana cli --homepath "${GF_PATHS_HOME:-/usr/share/grafana}" admin reset-admin-password --password-from-stdin <"$password"; then
    echo "the admin's password could not be changed; Grafana is not started with the former one" >&2
    exit 1
fi
: >"$set_by_us"
exec /run.sh
