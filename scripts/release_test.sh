#!/bin/sh
# Builds the files of a release and looks at them: static, of the right machine, nothing of this
# one in them, no larger and no slower than they may be; and both do what they should, the one
# for another processor under emulation. --files FOLDER looks at files that were built before.
set -eu

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$ROOT"
TARGETS=${CARGO_TARGET_DIR:-target}
FILES=$TARGETS/release-files
VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
FACTS=$ROOT/tests/fixtures/facts/debian12-fresh.txt

# The calls of the kernel for `--version`, and the milliseconds of one start. The first hardly
# varies (50 when this was written) and the second does (2 to 3 ms): so that is allowed fifty times as much.
MOST_CALLS=80
MOST_MILLISECONDS=100

passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); }

wrong() {
    failed=$((failed + 1))
    printf 'FAIL  %s\n' "$*"
}

skip() {
    skipped=$((skipped + 1))
    printf 'SKIP  %s: %s\n' "$1" "$2"
}

end() {
    printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" = 0 ]
    exit
}

have() { command -v "$1" >/dev/null 2>&1; }

if [ "${1:-}" = --files ]; then
    FILES=$2
elif scripts/release >"$TARGETS/release.log" 2>&1; then
    tail -n 2 "$TARGETS/release.log"
    ok
else
    tail -n 20 "$TARGETS/release.log"
    wrong 'scripts/release failed'
    end
fi
FILES=$(CDPATH='' cd -- "$FILES" && pwd)
x86_64=$FILES/provision-$VERSION-x86_64-linux
aarch64=$FILES/provision-$VERSION-aarch64-linux

if (cd "$FILES" && sha256sum -c --quiet SHA256SUMS) && [ "$(wc -l <"$FILES/SHA256SUMS")" = 2 ]; then
    ok
else
    wrong 'SHA256SUMS does not hold for the two files'
fi

# --- what they are ---------------------------------------------------------------------

machine_of() { readelf -hW "$1" | sed -n 's/^ *Machine: *//p'; }

is_static() {
    ! readelf -lW "$1" | grep -q INTERP && ! readelf -dW "$1" | grep -q NEEDED
}

# What of this machine could have come into them, a line each.
of_this_machine() {
    # The last is the folder of the build as cargo names it within the workspace.
    printf '%s\n' "$ROOT/" "${CARGO_HOME:-$HOME/.cargo}" "$(rustc --print sysroot)" "$(cd "$TARGETS" && pwd)/" release-build/
    [ "$HOME" = /root ] || printf '%s/\n' "$HOME"
    # A short name may be a part of any word.
    name=$(uname -n)
    [ "${#name}" -lt 6 ] || printf '%s\n' "$name"
}

names_this_machine() { of_this_machine | grep -a -o -F -f - "$1" | sort | uniq -c | head -n 5; }

if have readelf; then
    for pair in "$x86_64=Advanced Micro Devices X86-64" "$aarch64=AArch64"; do
        file=${pair%%=*}
        if [ "$(machine_of "$file")" = "${pair#*=}" ]; then ok; else wrong "$file is for $(machine_of "$file")"; fi
        if is_static "$file"; then ok; else wrong "$file is not static"; fi
    done
    # The check itself: what Rust builds without more is dynamic.
    if is_static "$(command -v readelf)"; then wrong 'readelf counts as static, and is not'; else ok; fi
else
    skip 'static, and for the right machine' 'readelf is not here'
fi
for file in "$x86_64" "$aarch64"; do
    found=$(names_this_machine "$file")
    if [ -z "$found" ]; then ok; else wrong "$file names this machine:" "$found"; fi
done
cp "$x86_64" "$TARGETS/release-named"
printf '%s/src/main.rs' "$ROOT" >>"$TARGETS/release-named"
if [ -n "$(names_this_machine "$TARGETS/release-named")" ]; then ok; else wrong 'a path of this machine was overlooked'; fi
rm -f "$TARGETS/release-named"

# --- what they do ----------------------------------------------------------------------

# said PROGRAM…: the version, the help and a plan from recorded facts, in a folder with nothing in it.
said() {
    (
        mkdir -p "$empty/folder" && cd "$empty/folder"
        "$@" --version && "$@" --help && "$@" playbooks &&
            "$@" plan --facts "$FACTS" --playbook docker
    ) 2>&1
}

empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT

# does NAME PROGRAM…: whether it says its version and plans Docker; it stays in said-NAME.
does() {
    name=$1
    shift
    if said "$@" >"$empty/said-$name" && grep -qx "provision $VERSION" "$empty/said-$name" &&
        grep -q 'install Docker Engine and Compose' "$empty/said-$name"; then
        ok
    else
        wrong "$name does not say its version and a plan:"
        head -n 20 "$empty/said-$name"
    fi
}

# starts ARCHITECTURE: what a program for it is started with; nothing on that processor itself.
starts() {
    [ "$(uname -m)" = "$1" ] && return 0
    for emulator in "qemu-$1-static" "qemu-$1"; do
        if have "$emulator"; then
            printf '%s\n' "$emulator"
            return 0
        fi
    done
    return 1
}

for architecture in x86_64 aarch64; do
    file=$FILES/provision-$VERSION-$architecture-linux
    # The help names the program as it was called.
    mkdir "$empty/$architecture"
    ln -s "$file" "$empty/$architecture/provision"
    if emulator=$(starts "$architecture"); then
        # None, or one word.
        # shellcheck disable=SC2086
        does "$architecture" $emulator "$empty/$architecture/provision"
    else
        skip "what the program for $architecture says" "this is no $architecture, and qemu-$architecture is not here"
    fi
done
if [ -e "$empty/said-x86_64" ] && [ -e "$empty/said-aarch64" ]; then
    if cmp "$empty/said-x86_64" "$empty/said-aarch64"; then ok; else wrong 'the two do not say the same'; fi
fi

# --- how fast they start -----------------------------------------------------------------

here=$FILES/provision-$VERSION-$(uname -m)-linux
if have strace && strace -f -qq -o "$empty/calls" "$here" --version >/dev/null 2>&1; then
    calls=$(wc -l <"$empty/calls")
    printf '%s calls of the kernel for --version\n' "$calls"
    if [ "$calls" -le "$MOST_CALLS" ]; then ok; else wrong "--version takes $calls calls of the kernel, more than $MOST_CALLS"; fi
else
    skip 'calls of the kernel for --version' 'strace is not here, or may not look'
fi
began=$(date +%s%N)
for _ in 1 2 3 4 5 6 7 8 9 10; do "$here" --version >/dev/null; done
each=$((($(date +%s%N) - began) / 10000000))
printf 'a start takes %s ms\n' "$each"
if [ "$each" -le "$MOST_MILLISECONDS" ]; then ok; else wrong "a start takes $each ms, more than $MOST_MILLISECONDS"; fi

end
