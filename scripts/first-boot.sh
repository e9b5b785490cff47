#!/bin/sh
# A server that provisions itself: what cloud-init starts at its first boot. The user-data
# that `provision cloud-init` prints is this script. It fetches the released binary, checks
# it, and runs `provision up local`.
#
#   sh first-boot.sh           at the first boot, started by cloud-init
#   sh first-boot.sh resume    after a reboot in the middle, started by its unit
#
# Behind the marker at the end stands an archive (tar, gzip, base64):
#   release    lines: version V, url FOLDER, x86_64 SHA256, aarch64 SHA256
#   archive    lines: url ADDRESS, sha256 SUM; only where the stack is fetched from elsewhere
#   settings/  provision.toml and what it names
#   unit       provision-first-boot.service, which goes on after a reboot
# What stays are the files state (running, provisioned or failed;
# exit code; seconds since 1970) and log, which
# `provision status` reads.
set -u
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

base=/var/lib/provision/first-boot
unit=provision-first-boot.service
units=/etc/systemd/system
each_boot=/var/lib/cloud/scripts/per-boot

say() { printf 'provision: %s\n' "$*"; }

state() {
    printf '%s %s %s\n' "$1" "$2" "$(date +%s)" >"$base/state.new" && mv -f "$base/state.new" "$base/state"
}

# value FILE KEY
value() { sed -n "s/^$2 //p" "$base/$1"; }

# unpack SCRIPT: what stands behind the marker.
unpack() {
    rm -rf "$base/settings"
    sed '1,/^__ARCHIVE__$/d' "$1" | base64 -d | tar -xzf - -C "$base"
}

# A reboot in the middle does not end it: cloud-init would not start us again.
stand_by() {
    [ "$1" = "$base/first-boot.sh" ] || cp "$1" "$base/first-boot.sh"
    mkdir -p "$units"
    cp "$base/unit" "$units/$unit"
    chmod 0644 "$units/$unit"
    systemctl daemon-reload
    systemctl --quiet enable "$unit"
}

stand_down() {
    systemctl --quiet disable "$unit"
    rm -f "$units/$unit"
}

download() {
    if command -v curl >/dev/null 2>&1; then
        curl -fsSL --connect-timeout 15 --max-time 900 -o "$2" -- "$1"
    elif command -v wget >/dev/null 2>&1; then
        wget -q -T 60 -t 1 -O "$2" -- "$1"
    else
        # cloud-init itself is Python.
        python3 -c 'import shutil, sys, urllib.request as r; shutil.copyfileobj(r.urlopen(sys.argv[1], timeout=60), open(sys.argv[2], "wb"))' "$1" "$2"
    fi
}

# fetch URL SHA256 FILE: the network may be later than we are.
fetch() {
    if [ -f "$3" ] && is "$2" "$3"; then
        return 0
    fi
    say "fetching $1"
    pause=2
    until download "$1" "$3.new"; do
        if [ "$pause" -gt 32 ]; then
            say "$1 could not be fetched, tried for a minute"
            return 1
        fi
        say "that failed; trying again in $pause s"
        sleep "$pause"
        pause=$((pause * 2))
    done
    if ! is "$2" "$3.new"; then
        say "$1 is not what was promised: its SHA-256 is $sum instead of $2; it was not used"
        rm -f "$3.new"
        return 1
    fi
    mv -f "$3.new" "$3"
}

# is SHA256 FILE: leaves the file's own in sum.
is() {
    sum=$(sha256sum "$2")
    sum=${sum%% *}
    [ "$sum" = "$1" ]
}

fetch_binary() {
    machine=$(uname -m)
    wanted=$(value release "$machine")
    if [ -z "$wanted" ]; then
        say "there is no release for this architecture ($machine)"
        return 1
    fi
    fetch "$(value release url)/provision-$(value release version)-$machine-linux" "$wanted" "$base/provision" &&
        chmod 0700 "$base/provision"
}

fetch_stack() {
    if [ ! -f "$base/archive" ] || [ -d "$base/settings/stack" ]; then
        return 0
    fi
    fetch "$(value archive url)" "$(value archive sha256)" "$base/stack.tar.gz" || return 1
    rm -rf "$base/stack"
    mkdir "$base/stack"
    # Folders that the archive does not name are readable to all, as elsewhere.
    (umask 022 && tar -xzf "$base/stack.tar.gz" -C "$base/stack") && mv "$base/stack" "$base/settings/stack"
}

# Ends with the exit code of `provision up`, or 4 where something could not be fetched.
provision() {
    if [ "${1:-}" = resume ]; then
        say "continuing after the reboot"
    elif ! unpack "$0" || ! stand_by "$0"; then
        say "the user-data could not be unpacked"
        return 2
    fi
    if ! fetch_binary || ! fetch_stack; then
        return 4
    fi
    cd "$base/settings" && "$base/provision" up local --yes --config provision.toml </dev/null
}

# Behind a reboot cloud-init does not ask how this ends; what it runs at each boot tells it, once.
tell_cloud_init() {
    mkdir -p "$each_boot" || return 1
    # For the shell that runs it then.
    # shellcheck disable=SC2016
    printf '%s\n' '#!/bin/sh' 'rm -f "$0"' \
        "echo 'provision: this server is not provisioned; see $base/log' >&2" 'exit 1' >"$each_boot/provision"
    chmod 0755 "$each_boot/provision"
}

# finish CODE [resume]
finish() {
    if [ "$1" = 0 ]; then
        state provisioned 0
        stand_down
        say 'this server is provisioned'
        rm -rf "$base/settings" "$base/unit" "$base/release" "$base/archive" "$base/stack.tar.gz" \
            "$base/provision" "$base/first-boot.sh"
    elif [ "$(systemctl is-system-running 2>/dev/null)" = stopping ]; then
        say 'the machine shuts down; this continues at the next boot'
    else
        state failed "$1"
        stand_down
        [ "${2:-}" != resume ] || tell_cloud_init
        say "this server is not provisioned (exit code $1); from your computer," \
            "'provision status HOST' tells more and 'provision up HOST' goes on"
    fi
}

if [ "$(id -u)" != 0 ]; then
    say 'this needs root' >&2
    exit 5
fi
mkdir -p "$base"
state running 0
{
    code=$({ { provision "$@" 3>&-; echo $? >&3; } 2>&1 | tee -a "$base/log" >&4; } 3>&1)
    finish "$code" "$@" 2>&1 | tee -a "$base/log"
} 4>&1
exit "$code"
# shellcheck disable=SC2317 # a marker, never reached
__ARCHIVE__
