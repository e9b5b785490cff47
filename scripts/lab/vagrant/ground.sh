# shellcheck shell=sh
# shellcheck disable=SC2034 # the settings are for those that source this
# What the programs for virtual machines share: where their things lie, and by which
# recipe they were built. Comes after common.sh.

VM=$STATE/vm
SETS=$VM/sets
PROJECT=${LAB%/scripts/lab}

# Vagrant, libvirt and qemu lie in a Debian 12 of their own: the machine's packages stay
# as they are, and what was tried of these is what everybody has.
TOOLS_RELEASE=bookworm
TOOLS=$VM/tools-$(stamp "$LAB/vagrant/tools" "$LAB/chroot.sh")

# release_of MACHINE: what of the Vagrantfile can be built here.
release_of() {
    case $1 in
    debian12) echo bookworm ;;
    debian13) echo trixie ;;
    *) die "only debian12 and debian13 can be built from packages: $1" ;;
    esac
}

# box_of MACHINE: the box's name, with the recipe's stamp in it.
box_of() {
    : "${BOX_STAMP:=$(stamp "$LAB/vagrant/box" "$LAB/chroot.sh")}"
    printf 'provision-lab-%s-%s\n' "$1" "$BOX_STAMP"
}

has_box() { [ -d "$VM/home/boxes/$(box_of "$1")" ]; }

# among_tools COMMAND…: in their root, in a mount namespace of its own.
among_tools() { unshare --mount --propagation private "$LAB/vagrant/enter" "$@"; }
