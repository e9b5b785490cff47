# shellcheck shell=sh
# shellcheck disable=SC2034 # the settings are for those that source this
# The lab's ground: where things lie, how it speaks, locks, and what it reads
# from the machine it runs on. Sourced by every script here; runs nothing.

STATE=${PROVISION_LAB:-/var/lib/provision-lab}

# The lab's own network. Hosts are numbered; number N has 10.91.0.N and fd91::N.
BRIDGE=provlab0
NET4=10.91.0
NET6=fd91:
GATEWAY=$NET4.1

# Debian's next release: its engine is newer, and runs on a Debian 13 host.
NEXT=forky

MIRROR_PORT=8080
REGISTRY_PORT=5000

SSH_DIR=$STATE/ssh
SSH_CONFIG=$SSH_DIR/config

say() { printf '%s\n' "lab: $*" >&2; }

die() {
    printf '%s\n' "lab: $*" >&2
    exit 1
}

need_root() { [ "$(id -u)" = 0 ] || die "the lab mounts, bridges and boots: run it as root"; }

# with_lock NAME COMMAND…: one at a time, over all processes of the lab. The
# descriptor is closed for what COMMAND leaves running, or a host's supervisor
# would hold the lock for as long as the host lives.
with_lock() {
    lock=$1
    shift
    mkdir -p "$STATE/locks"
    (
        flock -w "${LOCK_WAIT:-900}" 9 || die "the lock $lock is held for too long"
        "$@"
    ) 9>"$STATE/locks/$lock"
}

# wait_until SECONDS COMMAND…: polls ten times a second, and gives up. By the clock,
# since COMMAND itself may take its time.
wait_until() {
    deadline=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

alive() { [ -n "${1:-}" ] && kill -0 "$1" 2>/dev/null; }

# The start time beside the pid: after a reboot of the machine the state is still
# there, and the number may belong to somebody else's process.
process_mark() { [ -r "/proc/$1/stat" ] && printf '%s %s\n' "$1" "$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20)"; }

# live_pid FILE: prints the process id that FILE marks, if it still is that one.
live_pid() {
    [ -s "$1" ] || return 1
    read -r pid _ <"$1"
    [ "$(process_mark "$pid" 2>/dev/null)" = "$(cat "$1")" ] || return 1
    printf '%s\n' "$pid"
}

# start_service NAME COMMAND…: in the background, with a pid file and a log.
start_service() {
    service=$1
    shift
    live_pid "$STATE/run/$service.pid" >/dev/null && return 0
    mkdir -p "$STATE/run" "$STATE/log"
    setsid "$@" >>"$STATE/log/$service.log" 2>&1 </dev/null 9>&- &
    process_mark $! >"$STATE/run/$service.pid"
}

stop_service() {
    pid=$(live_pid "$STATE/run/$1.pid") || return 0
    kill "$pid"
    wait_until 5 not alive "$pid" || kill -9 "$pid"
    rm -f "$STATE/run/$1.pid"
}

not() { ! "$@"; }

# stamp FILE-OR-FOLDER…: the recipe in one word. What was built by another recipe
# is built anew.
stamp() {
    find "$@" -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-12
}

# --- what the machine knows about apt ----------------------------------------
# Registry addresses, proxies and certificates are facts of the machine that the
# lab runs on: asked of its own apt each time, never written into the project.

# apt_uri [SUFFIX]: the archive (or, with -security, the security archive) that
# this machine itself uses. A machine that is not Debian has to be told one.
apt_uri() {
    if [ -n "${PROVISION_LAB_ARCHIVE:-}" ]; then
        printf '%s%s\n' "${PROVISION_LAB_ARCHIVE%/}" "${1:-}"
        return
    fi
    codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    # apt's own placeholders, not the shell's.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' |
        awk -v suite="$codename${1:-}" '$2 == suite { sub("/$", "", $1); print $1; exit }'
}

# The proxy and certificate settings, as an apt configuration file.
apt_settings() {
    apt-config dump --format '%F "%v";%n' Acquire::http Acquire::https |
        grep -iE '::(Proxy|CaInfo|CaPath|Verify-Peer|Verify-Host)[: ]' || true
    # apt also honours the environment, which a host does not inherit.
    for scheme in http https; do
        eval "proxy=\${${scheme}_proxy:-}"
        [ -z "$proxy" ] || printf 'Acquire::%s::Proxy "%s";\n' "$scheme" "$proxy"
    done
}

# apt_sources CODENAME: deb822 sources for a Debian release by way of this machine's archive. A
# release in the making has no updates, and is renewed daily: a mirror may be behind with it.
apt_sources() {
    case $1 in
    "$NEXT") suites=$1 fresh=no ;;
    *) suites="$1 $1-updates" fresh=yes ;;
    esac
    cat <<SOURCES
Types: deb
URIs: $(apt_uri)
Suites: $suites
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
Check-Valid-Until: $fresh
SOURCES
    security=$(apt_uri -security)
    [ -n "$security" ] && [ "$1" != "$NEXT" ] || return 0
    cat <<SOURCES

Types: deb
URIs: $security
Suites: $1-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
}

# unpack_packages RELEASE DIRECTORY PACKAGE…: unpacked into DIRECTORY without what they need, by an
# apt whose lists, state and sources are of its own; their versions go to DIRECTORY.versions.
unpack_packages() {
    release=$1
    into=$2
    shift 2
    apt=$into.apt
    rm -rf "$apt" "$into"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/etc" "$apt/download" "$into"
    apt_sources "$release" >"$apt/etc/debian.sources"
    {
        apt_settings
        printf 'Dir::State "%s";\nDir::State::lists "%s/lists";\nDir::Cache "%s/cache";\n' "$apt" "$apt" "$apt"
        printf 'Dir::Etc::sourcelist "%s/etc/debian.sources";\nDir::Etc::sourceparts "-";\n' "$apt"
        printf 'Acquire::Languages "none";\nAPT::Sandbox::User "root";\n'
    } >"$apt/etc/apt.conf"
    APT_CONFIG=$apt/etc/apt.conf apt-get -q update
    (cd "$apt/download" && APT_CONFIG=$apt/etc/apt.conf apt-get -q download "$@")
    for package in "$apt"/download/*.deb; do
        dpkg-deb -x "$package" "$into"
        # dpkg's own placeholders, not the shell's.
        # shellcheck disable=SC2016
        dpkg-deb -W --showformat='${Package} ${Version}\n' "$package"
    done >"$into.versions"
    rm -rf "$apt"
}
