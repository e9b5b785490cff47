# shellcheck shell=sh
# shellcheck disable=SC2034 # what a kind sets is for those that ask
# The kinds of hosts: what each stands on, and what it is told to be. Everything is
# Debian's: a host that is told to be something else has another os-release, so that
# provision takes that path, over Debian's packages.

KINDS='debian12 debian13 ubuntu2204 ubuntu2404 ubuntu2604 ubuntu2604-sudo
debian12-docker debian13-docker debian12-cloud debian13-cloud debian13-client debian13-sudo unsupported'

# What deploy types where sudo asks.
SUDO_PASSWORD=lab-secret

# kind_set KIND: sets LAYERS_OF (topmost first), SUDO (free or password), TOLD (the
# arguments of an os-release: id, version, codename), CLOUD (whether cloud-init sets it up)
# and NOTE.
kind_set() {
    SUDO=free
    TOLD=
    CLOUD=
    case $1 in
    debian12) LAYERS_OF=debian12 NOTE='Debian 12, bare' ;;
    debian13) LAYERS_OF=debian13 NOTE='Debian 13, bare' ;;
    debian12-docker)
        LAYERS_OF='debian12-docker debian12'
        NOTE="Debian 12 with its own docker.io 20.10 and docker-compose 1.29"
        ;;
    debian13-docker)
        LAYERS_OF='debian13-docker debian13'
        NOTE="Debian 13 with its own docker.io 26.1 and docker-compose 2.26"
        ;;
    debian12-cloud)
        LAYERS_OF='debian12-cloud debian12'
        CLOUD=yes
        NOTE='Debian 12 with cloud-init 22.4, and curl; its login is debian'
        ;;
    debian13-cloud)
        LAYERS_OF='debian13-cloud debian13'
        CLOUD=yes
        NOTE='Debian 13 with cloud-init 25.1, and neither curl nor wget; its login is debian'
        ;;
    debian13-client)
        LAYERS_OF='debian13-client debian13'
        NOTE="Debian 13 with Prefect's client from PyPI in /opt/client, and chromium (setup --prefect)"
        ;;
    debian13-sudo)
        LAYERS_OF=debian13
        SUDO=password
        NOTE="Debian 13; deploy's sudo asks for $SUDO_PASSWORD"
        ;;
    ubuntu2204)
        LAYERS_OF=debian12 TOLD='ubuntu 22.04 jammy'
        NOTE='Debian 12, told to be Ubuntu 22.04'
        ;;
    ubuntu2404)
        LAYERS_OF=debian13 TOLD='ubuntu 24.04 noble'
        NOTE='Debian 13, told to be Ubuntu 24.04'
        ;;
    ubuntu2604)
        LAYERS_OF='rust-userland debian13' TOLD='ubuntu 26.04 resolute'
        NOTE='Debian 13 with sudo-rs and uutils, told to be Ubuntu 26.04'
        ;;
    ubuntu2604-sudo)
        LAYERS_OF='rust-userland debian13' TOLD='ubuntu 26.04 resolute'
        SUDO=password
        NOTE="the same; deploy's sudo asks for $SUDO_PASSWORD"
        ;;
    unsupported)
        LAYERS_OF=debian12 TOLD='debian 10 buster'
        NOTE='Debian 12, told to be Debian 10'
        ;;
    *) die "no such kind: $1 (see scripts/lab/host kinds)" ;;
    esac
}

# kind_furnish KIND ROOT [USER-DATA]: what the kind means, written into a new host's root.
kind_furnish() {
    kind_set "$1"
    root=$2
    case $SUDO in
    free)
        printf 'deploy ALL=(ALL) NOPASSWD:ALL\n' >"$root/etc/sudoers.d/90-deploy"
        chmod 440 "$root/etc/sudoers.d/90-deploy"
        ;;
    # Through the group sudo, as Debian's own sudoers has it.
    password) printf 'deploy:%s\n' "$SUDO_PASSWORD" | chroot "$root" chpasswd ;;
    esac
    # Three words.
    # shellcheck disable=SC2086
    [ -z "$TOLD" ] || tell "$root" $TOLD
    [ -z "$CLOUD" ] || seed "$root" "$3"
}

# seed ROOT USER-DATA: what cloud-init finds on a disk that a cloud would attach.
seed() {
    mkdir -p "$1/var/lib/cloud/seed/nocloud"
    name=$(cat "$1/etc/hostname")
    cat >"$1/var/lib/cloud/seed/nocloud/meta-data" <<META
instance-id: $name
local-hostname: $name
public-keys:
- $(cat "$1/root/.ssh/authorized_keys")
META
    if [ -n "$2" ]; then
        cp "$2" "$1/var/lib/cloud/seed/nocloud/user-data"
    else
        printf '#cloud-config\n{}\n' >"$1/var/lib/cloud/seed/nocloud/user-data"
    fi
}

# tell ROOT ID VERSION CODENAME
tell() {
    case $2 in
    ubuntu) tell_ubuntu "$1" "$3" "$4" ;;
    debian)
        cat >"$1/usr/lib/os-release" <<RELEASE
PRETTY_NAME="Debian GNU/Linux $3 ($4)"
NAME="Debian GNU/Linux"
VERSION_ID="$3"
VERSION="$3 ($4)"
VERSION_CODENAME=$4
ID=debian
RELEASE
        printf '%s.13\n' "$3" >"$1/etc/debian_version"
        ;;
    esac
}

tell_ubuntu() {
    cat >"$1/usr/lib/os-release" <<RELEASE
PRETTY_NAME="Ubuntu $2 LTS"
NAME="Ubuntu"
VERSION_ID="$2"
VERSION="$2 LTS ($3)"
VERSION_CODENAME=$3
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=$3
RELEASE
    cat >"$1/etc/lsb-release" <<RELEASE
DISTRIB_ID=Ubuntu
DISTRIB_RELEASE=$2
DISTRIB_CODENAME=$3
DISTRIB_DESCRIPTION="Ubuntu $2 LTS"
RELEASE
}
