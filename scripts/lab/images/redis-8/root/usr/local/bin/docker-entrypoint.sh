#!/bin/sh
# The official image's contract: options or a configuration file alone mean
# redis-server, which never runs as root.
set -e

case ${1:-} in
-* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1:-}" = redis-server ]; then
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis '{}' +
        exec setpriv --reuid redis --regid redis --init-groups "$0" "$@"
    fi
    # The official build has no protected mode; Debian's has, unless told. What a
    # configuration file or an option says of it counts for more.
    case " $* " in
    *--protected-mode*) ;;
    *)
        if [ ! -f "${2:-}" ] || ! grep -q '^ *protected-mode' "$2"; then
            set -- "$@" --protected-mode no
        fi
        ;;
    esac
fi

exec "$@"
