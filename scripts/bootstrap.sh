#!/bin/sh
# The one command that provision gives to a host's login shell: it takes a
# program on stdin, becomes root and runs it. Sent as a single line (comments
# out, lines joined), so every statement ends with a semicolon and there is
# no single quote, which would end the argument in any login shell.
#
#   sh -c TEXT provision TAG SIZE
#
# Lines on stdout that begin with @TAG are for the laptop; what stands between
# "@TAG begin" and "@TAG exit N" is the program's own output. The exit code is
# framed because ssh's own means other things as well.
#
# Where sudo wants a password, "@TAG password" asks for it and the next line of
# stdin is it. It goes to sudo on a pipe of its own: sudo-rs swallows what
# stands behind a password on the same stdin, and a cached login would hand the
# password to the program (so that one never reads its stdin).
umask 077;
tag=$1; size=$2; own=;
# /dev/shm first: it takes the program even when the disk is full. A private folder, so that no
# other user can put anything there; and only where there is room, since any user can fill the first.
for d in /dev/shm /run /tmp; do
  own=$(mktemp -d "$d/provision.XXXXXXXX" 2>/dev/null) || continue;
  head -c "$size" /dev/zero 2>/dev/null >"$own/program" && break;
  rm -rf "$own"; own=;
done;
[ -n "$own" ] || { echo "@$tag no-space"; exit 0; };
f=$own/program;
# Root removes this one when it begins.
waits=$own/waits; : >"$waits";
# shellcheck disable=SC2064 # expands now: a single quote would end the argument
trap "rm -rf \"$own\"" EXIT;
trap "exit 129" HUP INT TERM PIPE;
head -c "$size" >"$f";
[ "$(wc -c <"$f")" -eq "$size" ] || { echo "@$tag short"; exit 0; };
begin="rm -f \"$waits\"; echo \"@$tag begin\"; exec sh \"$f\" </dev/null";
rc=0;
if [ "$(id -u)" = 0 ]; then
  sh -c "$begin" || rc=$?;
elif command -v sudo >/dev/null 2>&1; then
  sudo -n sh -c "$begin" </dev/null 2>/dev/null || rc=$?;
  left=3;
  while [ -e "$waits" ] && [ "$left" -gt 0 ]; do
    left=$((left - 1));
    echo "@$tag password"; rc=0;
    IFS= read -r p || { echo "@$tag no-password"; exit 0; };
    printf "%s\n" "$p" | sudo -S -p "" sh -c "$begin" || rc=$?;
    p=;
  done;
  [ ! -e "$waits" ] || { echo "@$tag refused"; exit 0; };
else
  echo "@$tag no-sudo"; exit 0;
fi;
echo; echo "@$tag exit $rc"
