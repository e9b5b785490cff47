#!/bin/sh
# Runs what lies in /docker-entrypoint.d, then the command, as the official image does.
set -eu

if [ "${1:-}" = nginx ] || [ "${1:-}" = nginx-debug ]; then
    for script in /docker-entrypoint.d/*; do
        # shellcheck source=/dev/null
        case $script in
        *.envsh) if [ -x "$script" ]; then . "$script"; fi ;;
        *.sh) if [ -x "$script" ]; then "$script"; fi ;;
        esac
    done
fi

exec "$@"
