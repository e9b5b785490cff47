#!/bin/sh
# Performs one phase (guard, apply, verify) of one change of a run, and holds
# what all steps share. The runner starts it anew for each phase.
#
#   step.sh DIR PHASE NNN
#
# A guard answers whether it is already so, apply makes it so, verify answers
# whether it is so now.
set -u
umask 022
dir=$1 phase=$2 change=$1/changes/$3
# In memory: a full disk must not keep a failure from being told.
scratch=/run/provision/${1##*/}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=${HOME:-/root}
LC_ALL=C
export PATH HOME LC_ALL
# No prompts from apt, debconf or needrestart, whatever runs.
DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l UCF_FORCE_CONFFOLD=1 APT_LISTCHANGES_FRONTEND=none
export DEBIAN_FRONTEND NEEDRESTART_MODE UCF_FORCE_CONFFOLD APT_LISTCHANGES_FRONTEND
TAB=$(printf '\t')

# What a step says itself has the mark of the run before it, which the runner reads: what a program or a
# container prints is output, whatever it looks like.
run_mark=
[ ! -r "$dir/mark" ] || read -r run_mark <"$dir/mark"
run_mark=${run_mark:+$run_mark }

# say TEXT: a line that the person at the laptop reads.
say() { printf '%s\n' "$*"; }

# record KIND TEXT: one that is more than output.
record() { printf '%s%s: %s\n' "$run_mark" "$1" "$2"; }

# notice TEXT: the same as say for a person who does not read all output.
notice() { record notice "$*"; }

# result TEXT: what has come of it, said once more at the end of the run.
result() { record result "$*"; }

# await_proof: the laptop is to show that a new connection gets in.
await_proof() { record await new-connection; }

# fail TEXT: why this change is not made; ends the phase.
fail() {
    record error "$*"
    exit 1
}

# hint TEXT: what to do about a failure that follows or has just been said.
hint() { record hint "$*"; }

# shown ADDRESS: without a login that may be in it.
shown() { printf '%s' "$1" | sed 's|://[^/]*@|://|'; }

# arg NAME [DEFAULT]: a value of this change. Pipe it into what reads to the end: `grep >/dev/null`, not
# `grep -q`. A unit of systemd ignores SIGPIPE, and a printf whose reader has gone complains.
arg() {
    if [ -e "$change/arg/$1" ]; then
        cat "$change/arg/$1"
    else
        printf '%s' "${2-}"
    fi
}

# sha256 PATH: its hash; nothing when it is no regular file.
sha256() {
    [ -f "$1" ] || return 0
    set -- "$(sha256sum <"$1")"
    printf '%s' "${1%% *}"
}

# keep PATH [NAME]: a copy of what stands there, beside the journal, before it is replaced; NAME is
# what it is called from the working folder.
keep() {
    [ -e "${2:-$1}" ] || return 0
    mkdir -p "$dir/kept$(dirname "$1")"
    cp -a "${2:-$1}" "$dir/kept$1"
}

# seed_paths: the files that belong to an application as soon as they exist. The stack step says which.
seed_paths() { :; }

# is_seed PATH: whether a file is one of them.
is_seed() { seed_paths | grep >/dev/null -xF -- "$1"; }

# each COMMAND…: with the paths of standard input as arguments, in as many calls as they need.
each() { tr '\n' '\0' | xargs -0 -r "$@" --; }

# of_kind KIND: the paths of this change that are `removed`, `seed` or `file`.
of_kind() {
    seed_paths >"$scratch/seed_paths"
    KIND=$1 awk -F '\t' '
        FILENAME == ARGV[1] { seed[$0] = 1; next }
        { if (ENVIRON["KIND"] == ($3 == "-" ? "removed" : ($4 in seed) ? "seed" : "file")) print $4 }
    ' "$scratch/seed_paths" "$change/files/list"
}

# files_placed: whether all files of this change stand as they should.
files_placed() {
    [ -e "$change/files/list" ] || return 0
    of_kind removed >"$scratch/paths"
    while IFS= read -r path; do
        # A folder of that name is not what was sent, nor what a link on the way leads to.
        [ -d "$path" ] || [ ! -e "$path" ] || ! (enter "$path") 2>/dev/null || return 1
    done <"$scratch/paths"
    of_kind seed >"$scratch/paths"
    while IFS= read -r path; do
        [ -e "$path" ] && [ ! -d "$path" ] || return 1
    done <"$scratch/paths"
    of_kind file >"$scratch/paths"
    # All of them by one program each: there may be thousands.
    {
        echo --stat
        each stat -c '%f %a %U:%G %u:%g %n' <"$scratch/paths" 2>/dev/null
        echo --sum
        present <"$scratch/paths" 2>/dev/null
        echo --file
        cat "$change/files/list"
    } | PATHS=$scratch/paths awk -F '\t' '
        BEGIN { while ((getline path < ENVIRON["PATHS"]) > 0) wanted[path] = 1 }
        /^--/ { section = $0; next }
        section == "--stat" {
            split($0, a, " ")
            path = substr($0, length(a[1] a[2] a[3] a[4]) + 5)
            if (a[1] ~ /^8...$/) { names[path] = a[2] " " a[3]; numbers[path] = a[2] " " a[4] }
            next
        }
        section == "--sum" { sum[unescaped($0)] = substr($0, /^\\/ ? 2 : 1, 64); next }
        !($4 in wanted) || $3 == "-" { next }
        sum[$4] != $3 || ($2 ~ /^[0-9]/ ? numbers[$4] : names[$4]) != $1 " " $2 { wrong = 1; exit }
        # A name with a backslash in it is escaped, and the line begins with one.
        function unescaped(line,    name) {
            if (line !~ /^\\/) return substr(line, 67)
            name = substr(line, 68)
            gsub(/\\\\/, "\\", name)
            return name
        }
        END { exit wrong }'
}

# present: the sums of those paths on standard input at which a regular file stands.
present() {
    while IFS= read -r path; do
        [ ! -f "$path" ] || [ -L "$path" ] || printf '%s\n' "$path"
    done | each sha256sum
}

# trusted: a folder below which others may write, such as containers. No link is followed there.
trusted=

# rights: MODE, OWNER and PATH, tab-separated, a line each: what folders below $trusted get when they are made.
# Paths count from there. The stack step says which.
rights() { :; }

# rights_of WAY: mode and owner of one of them.
rights_of() {
    rights | WAY=$1 awk -F '\t' '$3 == ENVIRON["WAY"] && !told++ { print $1 " " $2 }'
}

# make_folder WAY: makes it in the working folder.
make_folder() {
    rights=$(rights_of "$1")
    [ -n "$rights" ] || { mkdir "./${1##*/}"; return; }
    mkdir -m "${rights%% *}" "./${1##*/}" && chown -h "${rights#* }" "./${1##*/}"
}

# enter PATH: makes the folder of PATH where it is missing, and changes into it. Renaming it
# afterwards changes nothing for us.
enter() {
    below=${1%/*}
    case $below/ in
    "${trusted:-//}"/*) ;;
    *) mkdir -p "$below" && cd "$below" && return ;;
    esac
    mkdir -p "$trusted" && cd -P "$trusted" || return 1
    here=$(pwd -P)
    rest=${below#"$trusted"}
    way=
    while rest=${rest#/}; [ -n "$rest" ]; do
        part=${rest%%/*}
        rest=${rest#"$part"}
        way=${way:+$way/}$part
        [ -e "./$part" ] || [ -L "./$part" ] || make_folder "$way" || return 1
        [ ! -L "./$part" ] && cd -P "./$part" || return 1
        here=${here%/}/$part
        # It may have become a link just now.
        [ "$(pwd -P)" = "$here" ] || return 1
    done
}

# place_files: writes and removes the files of this change, each at once or not at all.
place_files() {
    [ -e "$change/files/list" ] || return 0
    if [ "$(wc -l <"$change/files/list")" -gt 16 ] && command -v perl >/dev/null; then
        place_many
    else
        number=0
        while IFS=$TAB read -r mode owner sum path; do
            number=$((number + 1))
            if [ "$sum" = - ]; then
                (remove_file) || exit 1
            elif ! is_seed "$path" || [ ! -e "$path" ] || [ -d "$path" ]; then
                (place_file "$change/files/$number") || exit 1
            fi
        done <"$change/files/list"
    fi
    # A file that was, and a folder that is.
    while IFS=$TAB read -r _ _ sum path; do
        if [ "$sum" = - ] && [ -d "$path" ]; then printf '%s\n' "$path" >>"$scratch/turned"; fi
    done <"$change/files/list"
}

# place_many: the same by one program, whatever their number.
place_many() {
    seed_paths >"$scratch/seed_paths"
    rights >"$scratch/rights"
    damaged=$(
        cd "$change/files" || exit
        {
            echo --sum
            awk -F '\t' '$3 != "-" { print NR }' list | each sha256sum
            echo --file
            cat list
        } | awk -F '\t' '
            /^--/ { section = $0; next }
            section == "--sum" { sum[substr($0, 67)] = substr($0, 1, 64); next }
            { number++ }
            $3 != "-" && sum[number] != $3 { print $4; exit }'
    )
    [ -z "$damaged" ] || fail "$damaged arrived damaged"
    MARK=$run_mark perl "$dir/place.pl" "$dir" "$change" "$scratch" "$trusted" || exit 1
}

# remove_file: removes $path, in a shell of its own.
remove_file() {
    [ -e "$path" ] || [ -L "$path" ] || return 0
    enter "$path" || { notice "$path is reached by a link now, and is left alone"; return 0; }
    name=./${path##*/}
    # A folder of that name is not what was sent.
    [ ! -d "$name" ] || [ -L "$name" ] || return 0
    keep "$path" "$name"
    rm -f "$name" || fail "$path could not be removed"
}

# place_file SOURCE: takes the place of $path, with $mode, $owner and $sum; in a shell of its own.
place_file() {
    enter "$path" || {
        hint "look at the folders of $path on the host: one of them is a link, or cannot be made"
        fail "the folder of $path could not be entered"
    }
    name=./${path##*/}
    if [ ! -L "$name" ] && [ "$(sha256 "$name")" = "$sum" ]; then
        { chmod "$mode" "$name" && chown "$owner" "$name"; } || fail "$path could not be given to $owner"
        return
    fi
    [ "$(sha256 "$1")" = "$sum" ] || fail "$path arrived damaged"
    make_way "$path" "$name"
    keep "$path" "$name" || fail "no copy of $path could be kept"
    # Written in the run's own folder, then moved: in the target folder others may create names.
    staged=$change/staged
    { rm -rf "$staged" && cp "$1" "$staged" && chown "$owner" "$staged" && chmod "$mode" "$staged"; } ||
        fail "$path could not be written"
    if [ "$(stat -c %d "$staged")" != "$(stat -c %d .)" ]; then
        # On another disk a move would not be at once.
        new=$name.$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
        if ! { cp -p "$staged" "$new" && mv -fT "$new" "$name"; }; then
            rm -f "$new"
            fail "$path could not be written"
        fi
        rm -f "$staged"
    else
        mv -fT "$staged" "$name" || fail "$path could not be written"
    fi
}

# make_way PATH NAME: an empty folder, which Docker makes where a mounted file is missing, gives way
# to the file. $scratch/turned lists what was a folder or has become one: who mounts it, by the step.
make_way() {
    [ -d "$2" ] && [ ! -L "$2" ] || return 0
    find "$2" -depth -type d -empty -delete 2>/dev/null
    if [ -d "$2" ]; then
        hint "look at what is in it on the host, and move it away: sudo ls -A $1"
        fail "$1 is a folder on the host that is not empty, and a file is to take its place"
    fi
    printf '%s\n' "$1" >>"$scratch/turned"
}

# lock_holder: who holds one of apt's or dpkg's locks, as "NAME (pid N)". Takes none itself.
lock_holder() {
    for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
        [ -e "$file" ] || continue
        inode=$(stat -c %i "$file")
        while read -r _ _ _ kind pid place _; do
            if [ "$kind" = WRITE ] && [ "${place##*:}" = "$inode" ]; then
                name=unknown
                [ ! -r "/proc/$pid/comm" ] || read -r name <"/proc/$pid/comm"
                printf '%s (pid %s)' "$name" "$pid"
                return 0
            fi
        done </proc/locks
    done
    return 1
}

# wait_for_apt: until nobody else holds the locks; names who does. Never removes a lock.
wait_for_apt() {
    waited=0
    limit=$(arg lock_wait 300)
    said=
    while holder=$(lock_holder); do
        if [ "$waited" -ge "$limit" ]; then
            pid=${holder##*pid }
            hint "look with 'ps -fp ${pid%)}' on the host, then run provision again"
            fail "apt has been locked for ${limit} seconds by $holder"
        fi
        [ "$holder" = "$said" ] || notice "apt is locked by $holder; waiting for it, up to $limit seconds"
        said=$holder
        sleep 1
        waited=$((waited + 1))
    done
}

# apt_get ARGUMENT...: apt-get that asks nothing and waits its turn.
apt_get() {
    tries=0
    while :; do
        wait_for_apt
        { apt-get -q -y -o DPkg::Lock::Timeout=60 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 \
            -o APT::Update::Error-Mode=any \
            -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null 2>&1
            echo $? >"$scratch/apt.code"; } | tee "$scratch/apt.log"
        read -r code <"$scratch/apt.code"
        [ "$code" -ne 0 ] || return 0
        # Somebody was faster between our look and apt's: its turn first.
        if grep -q 'Could not get lock\|Unable to lock\|Unable to acquire the dpkg' "$scratch/apt.log" && [ "$tries" -lt 5 ]; then
            tries=$((tries + 1))
            sleep 1
            continue
        fi
        return "$code"
    done
}

# apt_failed WHAT: says why apt failed, in a sentence, and ends the phase.
apt_failed() {
    if grep -q 'No space left on device\|You don.t have enough free space' "$scratch/apt.log"; then
        hint "free some space ('df -h', 'apt-get clean') and run provision again"
        fail "$1: the disk is full"
    elif grep -q 'Temporary failure resolving\|Could not resolve\|Could not connect\|Connection failed\|Unable to connect\|Network is unreachable\|Connection timed out' "$scratch/apt.log"; then
        unresolved=$(sed -n "s/.*Temporary failure resolving '\([^']*\)'.*/\1/p; s/.*Could not resolve '\([^']*\)'.*/\1/p" "$scratch/apt.log" | head -n 1)
        if [ -n "$unresolved" ]; then
            hint "check the host's DNS ('getent hosts $unresolved' there); behind a proxy set 'proxy' (docs/steps.md)"
            fail "$1: the name $unresolved does not resolve on the host"
        fi
        hint "the host must reach the address named above; behind a proxy set 'proxy', with a mirror set 'mirror' (docs/steps.md)"
        fail "$1: the package server was not reached"
    elif grep -q 'NO_PUBKEY\|EXPKEYSIG\|is not signed\|invalid signature' "$scratch/apt.log"; then
        fail "$1: a repository's signature does not match its key"
    elif grep -q 'Unable to locate package\|has no installation candidate\|was not found' "$scratch/apt.log"; then
        fail "$1: a package or version is in none of the host's repositories"
    fi
    fail "$1: apt-get ended with code $code"
}

# refresh_lists PACKAGE…: the package lists. A source that does not work is named, and passed over
# where all that is wanted comes from others.
refresh_lists() {
    say "refreshing the package lists"
    apt_get update && return 0
    # "URI SUITE", or the address of a file below them.
    failing=$(sed -n "s/^[EW]: The repository '\([^ ']*\) \([^ ']*\).*/\1 \2/p; s/^[EW]: Failed to fetch \([^ ]*\).*/\1/p
        s/^[EW]: GPG error: \([^ ]*\) \([^ :]*\).*/\1 \2/p
        s/^[EW]: An error occurred during the signature verification.* GPG error: \([^ ]*\) \([^ :]*\).*/\1 \2/p" "$scratch/apt.log" | sort -u)
    [ -n "$failing" ] || return 1
    # With several failing sources it is unclear which one an error is about.
    why=''
    [ "$(printf '%s\n' "$failing" | wc -l)" -gt 1 ] || why=$(grep '^E: ' "$scratch/apt.log" | head -n 1)
    for package; do
        is_available "$package" || {
            broken_sources | while IFS= read -r file; do hint "$file on the host names a source that fails: fix it there, or remove the line"; done
            return 1
        }
    done
    broken_sources | while IFS= read -r file; do
        notice "$file names a source that fails and is passed over, since nothing is wanted from it${why:+: ${why#E: }}"
    done
}

# fails_at URI SUITE: whether it is one of those that apt could not read, or above one. One address has many
# suites, of which one may be wrong.
fails_at() {
    while read -r address suite; do
        # The name of a disc has blanks in it, and there is one drive.
        case $1$address in cdrom:*cdrom:*) return 0 ;; esac
        case ${address%/}/ in "${1%/}"/*) ;; *) continue ;; esac
        [ "${suite%/}" != "${2%/}" ] || return 0
        case $suite$address in "${1%/}/dists/$2"/*) return 0 ;; "${1%/}"/dists/*) ;; "${1%/}"/*) return 0 ;; esac
    done <<FAILING
$failing
FAILING
    return 1
}

# is_available PACKAGE: whether it is there already, or what apt would install comes from a source
# that works.
is_available() {
    ! installed "$1" >/dev/null || return 0
    apt-cache policy "$1" 2>/dev/null | awk '
        $1 == "Candidate:" { want = $2 }
        $1 == "***" { here = $2 == want; next }
        /^     [^ ]/ { here = $1 == want; next }
        here && $2 ~ /:\// { print $2, $3 }' >"$scratch/offers"
    while read -r uri suite; do
        fails_at "$uri" "${suite%/*}" || return 0
    done <"$scratch/offers"
    return 1
}

# broken_sources: the files in which apt found the sources that fail.
broken_sources() {
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        # shellcheck disable=SC2013 # addresses and words, which have no blanks in them
        for uri in $(grep -v '^[[:space:]]*#' "$file" | grep -o -e '[a-z+]*://[^] ]*' -e 'cdrom:\[' | sed 's|://[^/@]*@|://|'); do
            for suite in $(grep -v '^[[:space:]]*#' "$file" | tr '[:blank:]' '\n' | grep -v ':'); do
                if fails_at "$uri" "$suite"; then
                    printf '%s\n' "$file"
                    break 2
                fi
            done
        done
    done
}

# download URL FILE: with whatever the host has; apt's own helper is always there.
# A password in the address is no argument: other logins could see it.
download() {
    if command -v curl >/dev/null 2>&1; then
        printf 'url = "%s"\n' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')" |
            curl -fsSL --connect-timeout 20 --retry 2 -o "$2" --config -
    elif command -v wget >/dev/null 2>&1; then
        printf '%s\n' "$1" | wget -q -T 20 -t 3 -O "$2" -i -
    else
        /usr/lib/apt/apt-helper download-file "$1" "$2" >/dev/null
    fi
}

# fingerprint FILE: of the first key in an armoured file, 40 hexadecimal digits: the SHA-1 of its packet
# (RFC 4880, 12.2). Nothing where there is none of version 4. A host need not have gpg.
fingerprint() {
    tr -d '\r' <"$1" | sed '1,/^$/d; /^=/d; /^-----/d' | base64 -d >"$scratch/key.bin" 2>/dev/null
    # shellcheck disable=SC2046 # numbers
    set -- $(od -An -tu1 -N7 "$scratch/key.bin")
    [ $# -eq 7 ] || return 0
    if [ "$1" -ge 192 ]; then
        tag=$(($1 - 192))
        if [ "$2" -lt 192 ]; then head=2 length=$2; else head=3 length=$((($2 - 192) * 256 + $3 + 192)); fi
    else
        tag=$((($1 - 128) / 4))
        case $(($1 % 4)) in
            0) head=2 length=$2 ;;
            1) head=3 length=$(($2 * 256 + $3)) ;;
            *) return 0 ;;
        esac
    fi
    [ "$tag" -eq 6 ] || return 0
    [ "$(od -An -tu1 -j "$head" -N1 "$scratch/key.bin" | tr -d ' ')" = 4 ] || return 0
    {
        # shellcheck disable=SC2059 # bytes
        printf "\\231\\$(printf %03o $((length / 256)))\\$(printf %03o $((length % 256)))"
        tail -c +$((head + 1)) "$scratch/key.bin" | head -c "$length"
    } | sha1sum | cut -c 1-40 | tr 'a-f' 'A-F'
}

# take_key WHOSE KEY: the key of an apt repository from the address that the change names.
take_key() {
    use_proxy
    mkdir -p /etc/apt/keyrings
    chmod 0755 /etc/apt/keyrings
    if ! download "$(arg key_url)" "$scratch/key.asc"; then
        hint "the host must reach $(shown "$(arg key_url)"); a mirror is set with 'mirror' and 'key' in [steps.$step] (docs/steps.md)"
        fail "the key of $1's repository could not be downloaded"
    fi
    wanted=$(arg key_fingerprint)
    found=$(fingerprint "$scratch/key.asc")
    if [ -n "$wanted" ] && [ "$found" != "$wanted" ]; then
        hint "the key may have been replaced on its way here; a mirror's own key is named by 'key_fingerprint' in [steps.$step]"
        fail "the key at $(shown "$(arg key_url)") has the fingerprint ${found:-(unreadable)}, and $wanted is expected"
    fi
    grep -q 'BEGIN PGP PUBLIC KEY BLOCK' "$scratch/key.asc" || fail "what $(shown "$(arg key_url)") answers is no key"
    keep "$2"
    install -m 0644 "$scratch/key.asc" "$2"
    rm -f "$scratch/key.asc"
}

# try_source NAME: that repository alone: proof that address, suite and key fit together.
try_source() {
    apt_get update -o "Dir::Etc::sourcelist=sources.list.d/$1" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
}

# withdraw_source NAME: leaves apt as it was.
withdraw_source() {
    rm -f "/etc/apt/sources.list.d/$1"
    [ ! -e "$dir/kept/etc/apt/sources.list.d/$1" ] || cp -a "$dir/kept/etc/apt/sources.list.d/$1" /etc/apt/sources.list.d/
}

# use_proxy: what this change downloads goes through the proxy that it names.
use_proxy() {
    proxy=$(arg proxy)
    [ -n "$proxy" ] || return 0
    http_proxy=$proxy https_proxy=$proxy
    export http_proxy https_proxy
}

# installed PACKAGE: its version; fails where it is not fully installed.
installed() {
    # shellcheck disable=SC2016 # dpkg-query's own variables
    answer=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null) || return 1
    [ "${answer%% *}" = installed ] || return 1
    printf '%s' "${answer#* }"
}

while read -r number step action _; do
    [ "$number" != "$3" ] || break
done <"$dir/changes/list"
# shellcheck source=/dev/null
. "$dir/steps/$step.sh"
case $phase in
    apply)
        [ -n "$(arg way)" ] || { "${action}_apply"; exit; }
        # shellcheck source=/dev/null
        . "$dir/way-back.sh"
        under_watch "$3"
        ;;
    # The same, as under_watch starts it.
    make) "${action}_apply" ;;
    # What became of the run in the middle of it.
    booted | left)
        # shellcheck source=/dev/null
        . "$dir/way-back.sh"
        pending "$phase"
        ;;
    verify)
        [ ! -e "$scratch/lost" ] || exit 1
        "${action}_verify"
        ;;
    *) "${action}_$phase" ;;
esac
