# shellcheck shell=sh
# shellcheck disable=SC2034 # what a kind sets is for those that ask
# The kinds of hosts: what each stands on, and what it is told to be.

KINDS='debian12 debian13'

# kind_set KIND: sets LAYERS_OF (topmost first), SUDO (free, password) and NOTE.
kind_set() {
    SUDO=free
    case $1 in
    debian12)
        LAYERS_OF=debian12
        NOTE='Debian 12, bare'
        ;;
    debian13)
        LAYERS_OF=debian13
        NOTE='Debian 13, bare'
        ;;
    *) die "no such kind: $1 (one of: $KINDS)" ;;
    esac
}

# kind_furnish KIND ROOT: what the kind means, written into a new host's root.
kind_furnish() {
    kind_set "$1"
    root=$2
    if [ "$SUDO" = free ]; then
        printf 'deploy ALL=(ALL) NOPASSWD:ALL\n' >"$root/etc/sudoers.d/90-deploy"
        chmod 440 "$root/etc/sudoers.d/90-deploy"
    fi
}
