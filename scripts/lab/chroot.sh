# shellcheck shell=sh
# Work inside a root that is not running: hosts' layers and container images are
# made this way. In a mount namespace of its own, so nothing stays mounted.

# in_root ROOT COMMAND…
in_root() {
    at=$1
    shift
    chroot "$at" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 "$@"
}

# The options that keep a root small: nobody reads manuals on a test host.
no_documentation() {
    printf 'path-exclude=%s\n' '/usr/share/man/*' '/usr/share/locale/*' '/usr/share/info/*' '/usr/share/doc/*'
    printf 'path-include=%s\n' '/usr/share/doc/*/copyright'
    # Unpacked without a sync at each file.
    echo force-unsafe-io
}

# debian_root RELEASE ROOT PACKAGES: a minimal Debian with some packages more (a list
# with commas), whose apt names the archive that this machine uses.
debian_root() {
    apt_settings >"$2.apt.conf"
    no_documentation >"$2.dpkg.conf"
    apt_sources "$1" | mmdebstrap --variant=minbase --format=directory --include="$3" \
        --aptopt="$2.apt.conf" --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt="$2.dpkg.conf" "$1" "$2" -
    rm -f "$2.apt.conf" "$2.dpkg.conf"
    # What mmdebstrap was told stays behind under its own names.
    rm -f "$2/etc/apt/apt.conf.d/99mmdebstrap" "$2/etc/apt/sources.list" "$2"/etc/apt/sources.list.d/*
    apt_sources "$1" >"$2/etc/apt/sources.list.d/debian.sources"
}

# extract_packages RELEASE DIRECTORY PACKAGES: unpacked with what they need, not installed.
extract_packages() {
    apt_settings >"$2.apt.conf"
    apt_sources "$1" | mmdebstrap --variant=extract --format=directory --include="$3" \
        --aptopt="$2.apt.conf" --aptopt='APT::Install-Recommends "false"' \
        ${4:+--architectures="$4"} "$1" "$2" -
    rm -f "$2.apt.conf"
}

# install_packages ROOT PACKAGE…
install_packages() {
    root=$1
    shift
    # Nothing is to start while it is installed: these would run on the machine.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    apt_settings >"$root/etc/apt/apt.conf.d/90lab-build"
    resolver=$(cat "$root/etc/resolv.conf" 2>/dev/null) || resolver=
    rm -f "$root/etc/resolv.conf"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    mount -t tmpfs tmpfs "$root/dev"
    mkdir "$root/dev/pts"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    for node in null zero full random urandom tty; do
        touch "$root/dev/$node"
        mount --bind "/dev/$node" "$root/dev/$node"
    done
    mount -t proc proc "$root/proc"

    in_root "$root" apt-get update -q
    in_root "$root" apt-get install -y -q --no-install-recommends "$@"
    in_root "$root" apt-get clean

    umount "$root/proc"
    umount -R "$root/dev"
    rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/apt/apt.conf.d/90lab-build" "$root/etc/resolv.conf"
    [ -z "$resolver" ] || printf '%s\n' "$resolver" >"$root/etc/resolv.conf"
    forget_installation "$root"
}

# Lists, caches and logs, as on a server that nobody has touched yet.
forget_installation() {
    rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/cache/debconf/*-old \
        "$1/var/log/apt" "$1/var/log/dpkg.log" "$1/var/log/alternatives.log"
}
