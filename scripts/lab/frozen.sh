# shellcheck shell=sh
# shellcheck disable=SC2034 # what is said of a frozen host is for those that ask
# Frozen hosts: what a stopped host was, kept as one more layer with Docker's storage beside it.
# A host that is made from it begins there. And what is left behind by killed programs. Sourced by
# scripts/lab/host.
#
#   frozen/NAME       a link to what was frozen last under that name
#   frozen/.NAME-N/   kind      what it was made as
#                     layers    what it stands on, the topmost first; its own is `upper`
#                     docker, containerd
#                     written   the snapshots of containerd's image store that containers write to

FROZEN=$STATE/frozen

frozen_dir() { readlink -e "$FROZEN/$1"; }

frozen_names() { for link in "$FROZEN"/*; do [ ! -e "$link" ] || basename "$link"; done; }

valid_layer() {
    case $1 in
    '' | *[!a-z0-9-]* | -*) die "a layer's name has small letters, digits and dashes: $1" ;;
    esac
}

# keep_frozen HOST-FOLDER LAYER: under the lock. What is in the folder moves; a layer of that
# name that is there already is replaced, and stays for the hosts that stand on it.
keep_frozen() {
    mkdir -p "$FROZEN"
    number=1
    while [ -e "$FROZEN/.$2-$number" ]; do number=$((number + 1)); done
    kept=$FROZEN/.$2-$number
    mkdir "$kept"
    mv "$1/upper" "$1/docker" "$1/containerd" "$1/kind" "$1/written" "$kept/"
    printf '%s %s\n' "$kept/upper" "$(cat "$1/layers")" >"$kept/layers"
    ln -sfn ".$2-$number" "$FROZEN/.new-$2"
    mv -T "$FROZEN/.new-$2" "$FROZEN/$2"
    # Under the same lock, because another program may be about to forget layers without a holder.
    [ -z "${PROVISION_LAB_OWNER:-}" ] || hold_frozen "$2"
}

# hold_frozen LAYER: under the lock. It is not forgotten by its name as long as our owner lives.
hold_frozen() {
    [ -e "$FROZEN/$1" ] || die "no such frozen layer: $1"
    [ -n "${PROVISION_LAB_OWNER:-}" ] || die "PROVISION_LAB_OWNER says who holds it"
    mkdir -p "$FROZEN/$1/holders"
    process_mark "$PROVISION_LAB_OWNER" >"$FROZEN/$1/holders/$PROVISION_LAB_OWNER"
}

# is_held LAYER: whether another process that is still running holds it.
is_held() {
    for holder in "$FROZEN/$1"/holders/*; do
        [ "${holder##*/}" != "${PROVISION_LAB_OWNER:-}" ] || continue
        ! live_pid "$holder" >/dev/null || return 0
    done
    return 1
}

# forget_frozen [LAYER]: under the lock. That one, or all; and what has lost its name and has
# nothing standing on it any more.
forget_frozen() {
    if [ -n "${1:-}" ]; then
        ! is_held "$1" || { say "$1 is in use, and stays"; return 0; }
        rm -f "$FROZEN/$1"
    else
        find "$FROZEN" -maxdepth 1 -type l -delete 2>/dev/null || true
    fi
    drop_unused
}

# Under the lock.
drop_unused() {
    # Newest first: an older one may only have carried a newer one.
    find "$FROZEN" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' 2>/dev/null | sort -rn | cut -d' ' -f2- |
        while IFS= read -r folder; do
            in_use "$folder" || rm -rf --one-file-system "$folder"
        done
}

# in_use FOLDER: whether it has a name, a program that runs holds it under a name that it has lost since,
# or a host or another layer stands on it.
in_use() {
    for holder in "$1"/holders/*; do
        ! live_pid "$holder" >/dev/null || return 0
    done
    for link in "$FROZEN"/*; do
        [ "$(readlink -e "$link")" != "$1" ] || return 0
    done
    for layers in "$STATE"/hosts/*/layers "$FROZEN"/.*/layers; do
        [ "$layers" = "$1/layers" ] || ! grep -qsF "$1/upper" "$layers" || return 0
    done
    return 1
}

# clone_storage FROM TO: Docker's storage for another host. The files of images are shared, as hard
# links: an overlay never writes to what lies below it. What containers have written, volumes and
# all that Docker itself writes is copied.
clone_storage() {
    mkdir -p "$2/docker" "$2/containerd"
    find "$1/docker" -mindepth 1 -maxdepth 1 ! -name overlay2 -exec cp -a -t "$2/docker" {} +
    clone_containerd "$1/containerd" "$2/containerd" "$1/written"
    [ -d "$1/docker/overlay2" ] || return 0
    mkdir "$2/docker/overlay2"
    chmod --reference="$1/docker/overlay2" "$2/docker/overlay2"
    # Those of containers; a file of these has no end of line.
    written=$(grep -hs '' "$1"/docker/image/overlay2/layerdb/mounts/*/mount-id || true)
    for layer in "$1"/docker/overlay2/*; do
        case ${layer##*/} in
        l | *-init) cp -a "$layer" "$2/docker/overlay2/" ;;
        *)
            if printf '%s\n' "$written" | grep -qxF "${layer##*/}"; then
                cp -a "$layer" "$2/docker/overlay2/"
            else
                printf '%s\0' "$layer"
            fi
            ;;
        esac
    done | xargs -0 -r cp -al -t "$2/docker/overlay2"
}

# clone_containerd FROM TO WRITTEN: the same for containerd's image store.
clone_containerd() {
    blobs=io.containerd.content.v1.content
    snapshots=io.containerd.snapshotter.v1.overlayfs
    find "$1" -mindepth 1 -maxdepth 1 ! -name "$blobs" ! -name "$snapshots" -exec cp -a -t "$2" {} +
    for store in "$blobs" "$snapshots"; do
        [ -d "$1/$store" ] || continue
        mkdir "$2/$store"
        chmod --reference="$1/$store" "$2/$store"
        find "$1/$store" -mindepth 1 -maxdepth 1 ! -name blobs ! -name snapshots -exec cp -a -t "$2/$store" {} +
    done
    [ ! -d "$1/$blobs/blobs" ] || cp -al -t "$2/$blobs" "$1/$blobs/blobs"
    [ -d "$1/$snapshots/snapshots" ] || return 0
    mkdir "$2/$snapshots/snapshots"
    chmod --reference="$1/$snapshots/snapshots" "$2/$snapshots/snapshots"
    for snapshot in "$1/$snapshots"/snapshots/*; do
        if [ ! -e "$snapshot" ]; then
            :
        elif grep -qxF -e all -e "${snapshot##*/}" "$3"; then
            cp -a -t "$2/$snapshots/snapshots" "$snapshot"
        else
            printf '%s\0' "$snapshot"
        fi
    done | xargs -0 -r cp -al -t "$2/$snapshots/snapshots"
}

# written_snapshots HOST: those that containers write to, by their numbers. Only containerd knows:
# of a host that is down it may be any of them.
written_snapshots() {
    running "$1" || { echo all; return; }
    (enter "$1" sh -s) <<'ASK'
command -v ctr >/dev/null || exit 0
ctr -n moby snapshots ls 2>/dev/null | awk '$NF == "Active" { print $1 }' | while read -r key; do
    ctr -n moby snapshots mounts /mnt "$key"
done | sed -n 's|.*upperdir=[^,]*/snapshots/\([0-9]*\)/fs.*|\1|p'
ASK
}

# --- the commands -----------------------------------------------------------------

# What a host that is made from this finds is a disk that was left in order.
freeze_host() {
    known "$1"
    valid_layer "$2"
    written_snapshots "$1" >"$HOSTS/$1/written"
    stop_host "$1"
    rm -rf "$HOSTS/$1/upper/root/.ssh" "$HOSTS/$1/upper/home/deploy/.ssh" "$HOSTS/$1/upper"/etc/ssh/ssh_host_*
    with_lock hosts keep_frozen "$HOSTS/$1" "$2"
    remove_host "$1"
}

forget_layers() {
    [ "$1" != --all ] || { with_lock hosts forget_frozen; return; }
    for layer in "$@"; do
        valid_layer "$layer"
        with_lock hosts forget_frozen "$layer"
    done
}

pull_the_plug() {
    for file in supervisor.pid nspawn.pid; do
        pid=$(live_pid "$HOSTS/$1/$file") || continue
        kill -9 "$pid" 2>/dev/null || true
    done
    clear_cgroups "$1"
    detach_host "$1" "$(number_of "$1")"
    ! mountpoint -q "$HOSTS/$1/root" || umount -R "$HOSTS/$1/root" || umount -R -l "$HOSTS/$1/root"
    rm -f "$HOSTS/$1/supervisor.pid" "$HOSTS/$1/nspawn.pid" "$HOSTS/$1/cgroups"
}

# --- what killed programs leave ------------------------------------------------------

sweep() {
    for name in $(names); do
        [ -f "$HOSTS/$name/owner" ] || continue
        ! live_pid "$HOSTS/$name/owner" >/dev/null || continue
        say "removing $name: what it was made for has ended"
        remove_host "$name"
    done
    with_lock hosts sweep_leftovers
}

# Under the lock of the hosts: no host is being made meanwhile.
sweep_leftovers() {
    for folder in "$HOSTS"/*/; do
        [ ! -d "$folder" ] || [ -f "$folder/number" ] || rm -rf --one-file-system "$folder"
    done
    for folder in "$HOSTS"/.gone-* "$FROZEN"/.new-*; do
        rm -rf --one-file-system "$folder"
    done
    [ ! -d "$FROZEN" ] || drop_unused
    for namespace in /run/netns/provlab-*; do
        [ -e "$namespace" ] || continue
        [ -d "$HOSTS/${namespace#/run/netns/provlab-}" ] || ip netns delete "${namespace#/run/netns/}"
    done
    find /sys/fs/cgroup -type d -name 'provision-lab-*' 2>/dev/null | while IFS= read -r group; do
        [ -d "$HOSTS/${group##*/provision-lab-}" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}
