# shellcheck shell=sh
# The roots that hosts stand on. A host is an overlay of layers: a bare Debian at
# the bottom, for some kinds a layer with more installed, the host's own changes
# on top. Layers are built once and never written again.

LAYERS=$STATE/layers

# ensure_layer NAME: built by its own program, in its own mount namespace.
ensure_layer() {
    [ -d "$LAYERS/$1" ] || with_lock "layer-$1" unshare --mount --propagation private "$LAB/layer" "$1"
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
    # Plain overlays: they outlive a reboot of the machine, and can be packed as they lie.
    mount -t overlay overlay \
        -o "lowerdir=$lower,upperdir=$upper,workdir=$work,index=off,redirect_dir=off,metacopy=off" "$at"
}
