# shellcheck shell=sh
# The roots that hosts stand on. A host is an overlay of layers: a bare Debian at
# the bottom, for some kinds a layer with more installed, the host's own changes
# on top. Layers are built once and never written again.

LAYERS=$STATE/layers

# layer_dir NAME: with the recipe's stamp in its name, since running hosts stand on
# layers that an older recipe built.
layer_dir() {
    : "${LAYER_STAMP:=$(stamp "$LAB/layer" "$LAB/chroot.sh")}"
    # One with a recipe of its own has that one's stamp as well.
    case $1 in
    debian13-client) own=-$(stamp "$LAB/client") ;;
    *) own= ;;
    esac
    printf '%s/%s%s-%s\n' "$LAYERS" "$1" "$own" "$LAYER_STAMP"
}

# ensure_layer NAME: built by its own program, in its own mount namespace.
ensure_layer() {
    [ ! -d "$(layer_dir "$1")" ] || return 0
    case $1 in
    debian13-client)
        ensure_layer debian13
        with_lock layer-debian13-client unshare --mount --propagation private "$LAB/client/layer" debian13-client
        ;;
    *) with_lock "layer-$1" unshare --mount --propagation private "$LAB/layer" "$1" ;;
    esac
}

# Layers of older recipes, once no host stands on them.
prune_layers() {
    layer_dir any >/dev/null
    for old in "$LAYERS"/*; do
        case $old in
        "$(layer_dir debian13-client)") continue ;;
        */debian13-client-*) ;;
        *"-$LAYER_STAMP") continue ;;
        esac
        grep -qs "$old" /proc/mounts "$STATE"/hosts/*/layers || rm -rf --one-file-system "$old"
    done
}

# overlay_mount MOUNTPOINT UPPER WORK DIRECTORY…: the topmost layer first.
overlay_mount() {
    at=$1
    upper=$2
    work=$3
    shift 3
    lower=
    for layer in "$@"; do lower=$lower${lower:+:}$layer; done
    mkdir -p "$at" "$upper" "$work"
    # Plain overlays: they outlive a reboot of the machine, and can be packed as they lie.
    mount -t overlay overlay \
        -o "lowerdir=$lower,upperdir=$upper,workdir=$work,index=off,redirect_dir=off,metacopy=off" "$at"
}
