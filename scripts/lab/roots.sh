# shellcheck shell=sh
# The roots that hosts stand on. A host is an overlay of layers: a bare Debian at
# the bottom, for some kinds a layer with more installed, the host's own changes
# on top. Layers are built once and never written again.

LAYERS=$STATE/layers

# As bare as a minimal cloud server: nothing of Docker, no curl, no gnupg, no
# python3, no firewall. Whatever provision needs beyond this it has to bring.
BARE_PACKAGES=systemd,systemd-sysv,libpam-systemd,dbus,dbus-user-session,udev,kmod,openssh-server,sudo,iproute2,iputils-ping,netbase,procps,less,ca-certificates,tzdata

# ensure_layer NAME: builds what is missing, what lies below it first.
ensure_layer() {
    [ -d "$LAYERS/$1" ] || with_lock "layer-$1" build_layer "$1"
}

build_layer() {
    [ -d "$LAYERS/$1" ] && return 0
    say "building the layer $1"
    mkdir -p "$LAYERS" "$STATE/log"
    new=$LAYERS/.new-$1
    rm -rf --one-file-system "$new"
    # In the background, since set -e holds there and not under an if.
    "layer_$(printf '%s' "$1" | tr - _)" "$new" >"$STATE/log/layer-$1.log" 2>&1 &
    if ! wait $!; then
        tail -n 20 "$STATE/log/layer-$1.log" >&2
        die "the layer $1 failed to build: see $STATE/log/layer-$1.log"
    fi
    mv "$new" "$LAYERS/$1"
}

layer_debian12() { bare_debian bookworm "$1"; }
layer_debian13() { bare_debian trixie "$1"; }

bare_debian() {
    release=$1
    root=$2
    apt_settings >"$root.apt.conf"
    # Unpacked without a sync at each file: this is a test host's disk.
    apt_sources "$release" | mmdebstrap --variant=minbase --format=directory \
        --include="$BARE_PACKAGES" --aptopt="$root.apt.conf" --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt=force-unsafe-io \
        --dpkgopt=path-exclude='/usr/share/man/*' --dpkgopt=path-exclude='/usr/share/locale/*' \
        --dpkgopt=path-exclude='/usr/share/doc/*' --dpkgopt=path-include='/usr/share/doc/*/copyright' \
        "$release" "$root" -
    # mmdebstrap leaves the options that it was given behind; the host's apt
    # keeps its own name for them, and installs Recommends as servers do.
    rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/apt/sources.list
    rm -f "$root"/etc/apt/sources.list.d/*
    rm -f "$root.apt.conf"
    bare_settings "$release" "$root"
    bare_users "$root"
}

bare_settings() {
    release=$1
    root=$2
    apt_sources "$release" >"$root/etc/apt/sources.list.d/debian.sources"
    apt_settings >"$root/etc/apt/apt.conf.d/90lab"
    # The machine's own certificate authorities, where it has any.
    find /usr/local/share/ca-certificates -name '*.crt' \
        -exec cp {} "$root/usr/local/share/ca-certificates/" \; 2>/dev/null || true
    chroot "$root" update-ca-certificates

    # Neither works in a namespace; with them the host would be "degraded".
    for unit in systemd-firstboot.service systemd-modules-load.service \
        console-getty.service getty@.service; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    # Enabled as on a server, but never in the middle of a test.
    for timer in apt-daily apt-daily-upgrade dpkg-db-backup fstrim e2scrub_all; do
        mkdir -p "$root/etc/systemd/system/$timer.timer.d"
        printf '[Timer]\nOnCalendar=\nOnCalendar=2099-01-01\nPersistent=false\n' \
            >"$root/etc/systemd/system/$timer.timer.d/lab.conf"
    done
    writable_kernel_trees "$root"

    # Made anew for each host.
    rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/var/lib/dbus/machine-id"
    ln -sf /etc/machine-id "$root/var/lib/dbus/machine-id"
    rm -rf "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/*
    rm -rf "$root"/var/log/apt "$root/var/log/dpkg.log" "$root/var/log/alternatives.log"
}

# systemd-nspawn mounts the cgroup tree and /proc/sys read-only; Docker has to
# write to both. A plain remount is refused as busy for the memory controller.
writable_kernel_trees() {
    cat >"$1/etc/systemd/system/lab-writable.service" <<'UNIT'
[Unit]
Description=Writable control groups and sysctls on a lab host
DefaultDependencies=no
Before=basic.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for d in /sys/fs/cgroup/*/ /proc/sys; do mount -o remount,rw,bind "$d" || true; done'
UNIT
    mkdir -p "$1/etc/systemd/system/basic.target.wants"
    ln -sf ../lab-writable.service "$1/etc/systemd/system/basic.target.wants/lab-writable.service"
}

bare_users() {
    chroot "$1" useradd --create-home --uid 1000 --shell /bin/bash --groups sudo deploy
    # A locked password, as cloud images have: keys only.
    chroot "$1" usermod --lock deploy
}

# overlay_mount MOUNTPOINT UPPER WORK LAYER…: the topmost layer first.
overlay_mount() {
    at=$1
    upper=$2
    work=$3
    shift 3
    lower=
    for layer in "$@"; do lower=$lower${lower:+:}$LAYERS/$layer; done
    mkdir -p "$at" "$upper" "$work"
    # index and redirect_dir off: a layer built on one boot is used on the next.
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work,index=off,redirect_dir=off" "$at"
}
