#!/bin/sh
# Runs the probe under several shells and tools, on a host made up for the purpose:
# an overlay over this machine's root, in which every file can be what it must be.
#
# Needs root (it mounts and listens, in namespaces of its own: this machine stays as
# it is), busybox and python3. Prints `N passed, M failed`.
# shellcheck disable=SC2016 # names that look like commands, and must not become any
set -u
# Whatever the caller has: what is expected here depends on it.
umask 022
export LC_ALL=C TZ=UTC

HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
TAB='	'

if [ "${1:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "$0: needs root, for a mount namespace of its own" >&2; exit 2; }
    for program in unshare ip dash bash busybox python3 perl; do
        command -v "$program" >/dev/null || { echo "$0: needs $program" >&2; exit 2; }
    done
    exec unshare --mount --pid --net --fork --kill-child sh "$HERE/${0##*/}" inside
fi

# --- the made-up host ----------------------------------------------------------

ip link set lo up

mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root || exit 2
for part in proc sys dev; do
    mount --rbind "/$part" "/mnt/root/$part"
done
mount -t proc proc /mnt/root/proc
mount -t tmpfs tmpfs /mnt/root/run
mount -t tmpfs tmpfs /mnt/root/tmp
mount -t tmpfs tmpfs /mnt/root/dev/shm
mount -t tmpfs tmpfs /mnt/root/sys/fs/cgroup

root=/mnt/root
rm -f "$root"/usr/local/bin/docker "$root"/usr/bin/docker "$root"/usr/bin/systemd-detect-virt
# Its own where others may be at work in this machine's meanwhile: packages are installed, say.
for part in root etc/apt var/lib/apt var/lib/dpkg var/cache/apt; do
    mkdir -p "$root/$part"
    mount -t tmpfs -o mode=755 tmpfs "$root/$part"
done
rm -rf "$root/var/lib/provision"
mkdir -p "$root"/etc/apt/sources.list.d "$root"/var/lib/apt/lists "$root"/var/lib/dpkg/updates \
    "$root"/root/there "$root"/root/full/below "$root"/opt/tools
: >"$root"/root/full/below/file
: >"$root/root/full/$(printf 'odd\t\n--full')"

put() { mkdir -p "$(dirname "$root$1")" && cat >"$root$1"; }

rm -f "$root/etc/os-release" "$root/etc/resolv.conf"
echo 'nameserver 127.0.0.1' | put /etc/resolv.conf
printf 'ID=ubuntu\nID_LIKE="debian"\nVERSION_ID='\''24.04'\''\nVERSION_CODENAME=noble\nPRETTY_NAME="Evil $(touch /tmp/pwned) `touch /tmp/pwned`\tos\t\033[31m \\"x\\""\n$(touch /tmp/pwned)\n' | put /etc/os-release

put /var/lib/dpkg/status <<'STATUS'
Package: dpkg
Status: install ok installed
Architecture: arm64
Version: 1.22.6

Package: docker-ce
Status: hold ok installed
Architecture: arm64
Description: an engine
 Package: not-this-one
 Status: install ok half-configured
Version: 5:28.3.2-1~ubuntu.24.04~noble

Package: broken
Status: install ok half-configured
Architecture: all
Version: 1

Package: unpacked
Status: install ok unpacked
Version: 2

Package: waiting
Status: install ok triggers-pending
Version: 3

Package: removed
Status: deinstall ok config-files
Version: 4

Package: twice
Status: install ok installed
Architecture: arm64
Version: 5

Package: twice
Status: deinstall ok config-files
Architecture: armhf
Version: 6
STATUS

printf 'root:x:0:0:root:/root:/bin/bash\ndeploy:x:1000:1001:,,,:/home/deploy:/bin/sh\nodd:x:abc:1:::\n' | put /etc/passwd
printf 'root:x:0:\nstaff:x:1001:\ndocker:x:998:deploy,ci\nempty:x:997:\n' | put /etc/group

printf 'one' | put '/root/a file'
printf 'two' | put "/root/it's \"quoted\""
printf 'three' | put '/root/$(touch /tmp/pwned)`touch /tmp/pwned`;touch /tmp/pwned'
printf 'four' | put '/root/back\slash'
printf 'five' | put '/root/*'
printf 'six' | put '/root/ümlaut'
printf 'secret' | put /root/secret
printf 'known' | put /root/known
: | put /root/empty
head -c 65536 /dev/zero | put /root/limit
head -c 65537 /dev/zero | put /root/beyond
chmod 4755 "$root/root/known"
chmod 600 "$root/root/secret"
chown 1000:1001 "$root/root/secret"
chown 4321:4321 "$root/root/empty"
ln -s '/root/a file' "$root/root/link"
ln -s /nowhere "$root/root/dangling"
mkfifo "$root/root/fifo"

put /etc/apt/sources.list <<'LIST'
# deb https://download.example.com/linux commented out
deb [arch=arm64 signed-by=/etc/apt/keyrings/a.gpg] https://download.example.com/linux noble stable
deb http://elsewhere.example.org/?download.example.com.not/ noble main
LIST
put /etc/apt/sources.list.d/one.sources <<'SOURCES'
Types: deb
URIs: http://archive.example.org/ubuntu
 https://download.example.com/second
Suites: noble

Enabled: no
Types: deb
URIs: https://download.example.com/disabled
Suites: noble
SOURCES
printf 'Types: deb\nURIs: https://download.example.com/evil\033[2J\tdocker\nSuites: x\n' | put /etc/apt/sources.list.d/two.sources
printf 'deb https://download.example.com/ignored x y\n' | put '/etc/apt/sources.list.d/a b.list'
: | put /var/lib/apt/lists/example_InRelease
: | put /var/lib/apt/lists/lock
touch -d '2 hours ago' "$root/var/lib/apt/lists"
refreshed=$(date +%s -r "$root/var/lib/apt/lists")
rm -f "$root/var/cache/apt/srcpkgcache.bin" "$root/var/lib/apt/periodic/update-success-stamp"

# --- the ways to run it ----------------------------------------------------------

awk_of() { mkdir -p "$root/opt/$1" && ln -sf "$(command -v "$2")" "$root/opt/$1/awk"; }
mkdir -p "$root/opt/busybox" && busybox --install -s "$root/opt/busybox"
rm -f "$root"/opt/busybox/sh "$root"/opt/busybox/bash "$root"/opt/busybox/ip
WAYS='dash bash busybox-sh dash+busybox squeezed'
for other in gawk original-awk; do
    ! command -v "$other" >/dev/null || { awk_of "$other" "$other" && WAYS="$WAYS dash+$other"; }
done
for uutils in /usr/lib/cargo/bin/coreutils /usr/bin/coreutils; do
    [ -e "$uutils" ] || continue
    mkdir -p "$root/opt/uutils"
    if [ -d "$uutils" ]; then
        ln -sf "$uutils"/* "$root/opt/uutils/"
    else
        for applet in base64 date readlink sha256sum stat timeout; do ln -sf "$uutils" "$root/opt/uutils/$applet"; done
    fi
    WAYS="$WAYS dash+uutils" && break
done

cp "$HERE/probe.sh" "$root/opt/whole"
sed 's/^[ \t]*//; /^#/d; /^$/d' "$HERE/probe.sh" >"$root/opt/squeezed"

# probe [NAME=VALUE…] with questions on stdin: leaves the answer in $root/opt/answer.
probe() {
    script=whole
    tools=
    case $way in
    dash+*) shell=dash tools=/opt/${way#dash+}: ;;
    busybox-sh) shell='busybox sh' ;;
    squeezed) shell=dash script=squeezed ;;
    *) shell=$way ;;
    esac
    { cat "$root/opt/$script" && cat; } >"$root/opt/program"
    # shellcheck disable=SC2086 # a shell may be two words
    chroot "$root" env -i "$@" PATH="$tools/usr/local/bin:/usr/bin:/bin" $shell /opt/program \
        </dev/null >"$root/opt/answer" 2>"$root/opt/errors"
    check "the answer ends with \`end\`" [ "$(tail -n 1 "$root/opt/answer")" = end ]
    [ ! -s "$root/opt/errors" ] || failed "says on stderr: $(cat "$root/opt/errors")"
    [ ! -e "$root/tmp/pwned" ] || { failed "a name was executed"; rm -f "$root/tmp/pwned"; }
}

# prefers_its_own PROGRAM: whether this way's shell runs a program of its own where one of that name
# is in the PATH. It is a matter of how busybox was built.
prefers_its_own() {
    [ "$way" = busybox-sh ] || return 1
    mkdir -p "$root/opt/made-up"
    printf '#!/bin/sh\necho made up\n' >"$root/opt/made-up/$1"
    chmod 755 "$root/opt/made-up/$1"
    [ "$(chroot "$root" env -i PATH="/opt/made-up:/usr/bin:/bin" busybox sh -c "$1" 2>/dev/null)" != 'made up' ]
}

passed=0
failures=0
failed() {
    printf '%s: %s\n' "$way" "$1" >&2
    failures=$((failures + 1))
}

check() {
    what=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed "$what"; fi
}

# soon COMMAND…: waits for it, ten seconds at most.
soon() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            ! "$@" 2>/dev/null || return 0
            sleep 0.1
        done
    done
    failed "waited in vain for: $*"
}

# says LINE, not PATTERN…: \t stands for a tab.
says() {
    if grep -qxF -- "$(printf '%b' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/\\\\t/\\t/g')")" "$root/opt/answer"; then
        passed=$((passed + 1))
    else
        failed "expected: $1"
        grep -- "^${1%%\\*}" "$root/opt/answer" | head -n 5 >&2
    fi
}
matches() {
    if grep -qE -- "$(printf '%b' "$1")" "$root/opt/answer"; then
        passed=$((passed + 1))
    else
        failed "expected a line like: $1"
    fi
}
never() {
    if grep -qE -- "$(printf '%b' "$1")" "$root/opt/answer"; then
        failed "not expected: $(grep -E -- "$(printf '%b' "$1")" "$root/opt/answer" | head -n 1)"
    else
        passed=$((passed + 1))
    fi
}
sum() { sha256sum | cut -d' ' -f1; }
value() { sed -n "s/^$1$TAB//p" "$root/opt/answer"; }

# --- what it must answer ---------------------------------------------------------

always_answered() {
    asked=$(date +%s)
    probe </dev/null
    check "the first line" [ "$(head -n 1 "$root/opt/answer")" = 'provision-facts 1' ]
    says 'os\tubuntu\tdebian\t24.04\tnoble\tEvil $(touch /tmp/pwned) `touch /tmp/pwned`?os??[31m "x"'
    never '^os\\b.*\\bos\t'
    says 'architecture\tarm64'
    says "kernel\t$(uname -r)"
    says "hostname\t$(uname -n)"
    says "cpus\t$(nproc --all)"
    says "memory\t$(awk '/^MemTotal/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)"
    says 'systemd\tno'
    says 'identity\troot\troot'
    never '^ssh-(port|client)'
    now=$(date +%s)
    clock=$(value clock)
    check "clock: $clock, not $asked to $now" [ "$clock" -ge "$asked" ]
    check "clock: $clock, not $asked to $now" [ "$clock" -le "$now" ]
    age=$(value lists-age)
    check "age of the lists: $age" [ "$age" -ge "$((asked - refreshed))" ]
    check "age of the lists: $age" [ "$age" -le "$((now - refreshed))" ]
    says 'held\tdocker-ce'
    says 'half-configured\tbroken'
    says 'half-configured\tunpacked'
    says 'half-configured\twaiting'
    never '^half-configured\t(docker-ce|removed|dpkg|not-this-one)'
    never '^(interrupted|lock|reboot|cloud-init|last-run|lease|docker|compose|container)'

    probe SUDO_USER=deploy SSH_CONNECTION='192.0.2.1 50000 192.0.2.2 2222' </dev/null
    says 'identity\tdeploy\tsudo'
    says 'ssh-port\t2222'
    says 'ssh-client\t192.0.2.1'
    probe SSH_CONNECTION="$(printf 'fe80::1%%eth0\nrun\tx 50000 fe80::2%%eth0 22')" </dev/null
    says 'ssh-port\t22'
    says 'ssh-client\tfe80::1'
    never '^(run|last-run)'
    probe SSH_CONNECTION='UNKNOWN 65535 UNKNOWN 65535' </dev/null
    never '^ssh-client'
    probe SUDO_USER="$(printf 'x\ny\tz')" </dev/null
    never '^y'
    printf '#!/bin/sh\necho kvm\n' | put /usr/bin/systemd-detect-virt
    chmod 755 "$root/usr/bin/systemd-detect-virt"
    probe </dev/null
    says 'virtualization\tkvm'
    printf 'lxc\n' | put /run/systemd/container
    mkdir -p "$root/run/systemd/system" "$root/run/systemd/timesync"
    : | put /run/systemd/timesync/synchronized
    : | put /var/lib/dpkg/updates/0003
    probe </dev/null
    says 'virtualization\tlxc'
    says 'systemd\tyes'
    says 'clock-synchronised\tyes'
    says interrupted
    rm -rf "$root/run/systemd" "$root/var/lib/dpkg/updates/0003"
    slice=$root/sys/fs/cgroup/unified/system.slice
    mkdir -p "$slice/systemd-timesyncd.service"
    probe </dev/null
    says 'clock-synchronised\tno'
    mkdir -p "$slice/chrony.service"
    printf '#!/bin/sh\n[ "$*" = "-c -n tracking" ] && cat /opt/tracking\n' | put /usr/local/bin/chronyc
    chmod 755 "$root/usr/local/bin/chronyc"
    echo 'C0000201,192.0.2.1,3,1790000000.1,0.000000001,0.0,0.0,-1.5,0.0,0.1,0.02,0.001,64.3,Normal' | put /opt/tracking
    probe </dev/null
    says 'clock-synchronised\tyes'
    echo '7F7F0101,,10,0.000000000,0.000000000,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised' | put /opt/tracking
    probe </dev/null
    says 'clock-synchronised\tno'
    : | put /opt/tracking
    rm -rf "$slice/systemd-timesyncd.service"
    probe </dev/null
    never '^clock-synchronised'
    rm -rf "$slice" "$root/usr/local/bin/chronyc"
    : | put /var/lib/dpkg/updates/tmp.i
    probe </dev/null
    never '^interrupted'
}

# What sudo has taken out of the environment is still in its own.
the_port_behind_sudo() {
    cp "$root/opt/whole" "$root/opt/program"
    chroot "$root" env -i PATH=/usr/bin:/bin SSH_CONNECTION='2001:db8::1 50000 2001:db8::2 22022' SSH_TTY=/dev/pts/0 \
        sh -c 'env -i SUDO_USER=deploy PATH=/usr/bin:/bin sh /opt/program; :' \
        </dev/null >"$root/opt/answer" 2>/dev/null
    says 'ssh-port\t22022'
    says 'ssh-client\t2001:db8::1'
}

packages_and_accounts() {
    probe <<QUESTIONS
package${TAB}docker-ce
package${TAB}broken
package${TAB}removed
package${TAB}never
package${TAB}twice
package${TAB}not-this-one
user${TAB}deploy
user${TAB}nobody-here
user${TAB}odd
group${TAB}docker
group${TAB}empty
group${TAB}none
QUESTIONS
    says 'package\tdocker-ce\t5:28.3.2-1~ubuntu.24.04~noble\tyes'
    says 'package\tbroken\t1\tno'
    says 'package\tremoved'
    says 'package\tnever'
    says 'package\ttwice\t5\tyes'
    says 'package\tnot-this-one'
    says 'user\tdeploy\t1000\t1001\t/home/deploy'
    says 'user\tnobody-here'
    says 'user\todd\t0\t1\t'
    says 'group\tdocker\t998\tdeploy,ci'
    says 'group\tempty\t997\t'
    says 'group\tnone'
}

files() {
    known=$(printf known | sum)
    evil='/root/$(touch /tmp/pwned)`touch /tmp/pwned`;touch /tmp/pwned'
    probe <<QUESTIONS
file${TAB}/root/a file${TAB}-
file${TAB}/root/it's "quoted"${TAB}
file${TAB}$evil${TAB}-
file${TAB}/root/back\\slash${TAB}-
file${TAB}/root/*${TAB}-
file${TAB}/root/ümlaut${TAB}-
file${TAB}/root/known${TAB}$known
file${TAB}/root/empty${TAB}-
file${TAB}/root/limit${TAB}-
file${TAB}/root/beyond${TAB}-
file${TAB}/root/there${TAB}-
file${TAB}/root/full${TAB}-
file${TAB}/root/link${TAB}-
file${TAB}/root/dangling${TAB}-
file${TAB}/root/fifo${TAB}-
file${TAB}/root/none${TAB}-
file${TAB}-n${TAB}-
file${TAB}/proc/sys/kernel/ostype${TAB}-
file${TAB}/root/secret${TAB}-
secret-file${TAB}/root/secret
QUESTIONS
    says "file\t/root/a file\t644\troot:root\t3\tregular\t$(printf one | sum)\t\t0:0"
    says 'content\t/root/a file\tb25l'
    says "file\t/root/it's \"quoted\"\t644\troot:root\t3\tregular\t$(printf two | sum)\t\t0:0"
    says "content\t/root/it's \"quoted\"\tdHdv"
    says "file\t$evil\t644\troot:root\t5\tregular\t$(printf three | sum)\t\t0:0"
    says "content\t$evil\tdGhyZWU="
    says "file\t/root/back\\slash\t644\troot:root\t4\tregular\t$(printf four | sum)\t\t0:0"
    says 'content\t/root/back\slash\tZm91cg=='
    says "file\t/root/*\t644\troot:root\t4\tregular\t$(printf five | sum)\t\t0:0"
    says 'content\t/root/*\tZml2ZQ=='
    says "file\t/root/ümlaut\t644\troot:root\t3\tregular\t$(printf six | sum)\t\t0:0"
    says "file\t/root/known\t4755\troot:root\t5\tregular\t$known\t\t0:0"
    never '^content\t/root/known'
    says "file\t/root/empty\t644\t4321:4321\t0\tregular\t$(printf '' | sum)\t\t4321:4321"
    says 'content\t/root/empty\t'
    says "content\t/root/limit\t$(head -c 65536 /dev/zero | base64 -w0)"
    says "file\t/root/beyond\t644\troot:root\t65537\tregular\t$(head -c 65537 /dev/zero | sum)\t\t0:0"
    never '^content\t/root/beyond'
    says 'file\t/root/there\t755\troot:root\t40\tdirectory\t\t\t0:0'
    # A name that would be a line, or a field, is none.
    matches '^file\t/root/full\t755\troot:root\t[0-9]+\tdirectory\t\t\t0:0\tfull\t(below/file\todd\?\?--full|odd\?\?--full\tbelow/file)$'
    says 'file\t/root/link\t777\troot:root\t12\tsymlink\t\t/root/a file\t0:0'
    says 'file\t/root/dangling\t777\troot:root\t8\tsymlink\t\t/nowhere\t0:0'
    says 'file\t/root/fifo\t644\troot:root\t0\tother\t\t\t0:0'
    says 'file\t/root/none'
    says 'file\t-n'
    says 'content\t/proc/sys/kernel/ostype\tTGludXgK'
    says "file\t/root/secret\t600\tdeploy:staff\t6\tregular\t$(printf secret | sum)\t\t1000:1001"
    never '^content\t/root/secret'

    # What is there, however large: neither its sum nor its content.
    probe <<QUESTIONS
presence${TAB}/root/a file
presence${TAB}/root/there
presence${TAB}/root/none
presence${TAB}/root/full
QUESTIONS
    says 'file\t/root/a file\t644\troot:root\t3\tregular\t\t\t0:0'
    says 'file\t/root/there\t755\troot:root\t40\tdirectory\t\t\t0:0'
    says 'file\t/root/none'
    never '^content|\tfull'

    # Where a file is to be: what is in a folder there.
    mkdir "$root/root/many" && (cd "$root/root/many" && seq 1500 | xargs touch)
    probe <<QUESTIONS
place${TAB}/root/a file
place${TAB}/root/there
place${TAB}/root/full/below
place${TAB}/root/link
place${TAB}/root/many
QUESTIONS
    says 'file\t/root/a file\t644\troot:root\t3\tregular\t\t\t0:0'
    says 'file\t/root/there\t755\troot:root\t40\tdirectory\t\t\t0:0'
    matches '^file\t/root/full/below\t.*\t0:0\tfull\tfile$'
    matches '^file\t/root/link\t.*\tsymlink\t\t\t0:0$'
    matches '^file\t/root/many\t.*\tfull(\t[0-9]+){1000}$'
    rm -r "$root/root/many"

    # What was sent before, where the list is another one; a question of its own goes first.
    printf '644 %s a file\n600 0 secret\n644 0 none\n644 0 ../../etc/passwd\n644 0 x/../../etc/group\n' "$(printf one | sum)" | put /root/manifest
    probe <<QUESTIONS
manifest${TAB}/root/manifest${TAB}0000${TAB}/root
file${TAB}/root/known${TAB}-
QUESTIONS
    says "file\t/root/a file\t644\troot:root\t3\tregular\t$(printf one | sum)\t\t0:0"
    says "file\t/root/secret\t600\tdeploy:staff\t6\tregular\t$(printf secret | sum)\t\t1000:1001"
    says 'file\t/root/none'
    says 'content\t/root/known\ta25vd24='
    never '^content\t/root/(a file|secret)'
    never 'passwd|group$'
    probe <<QUESTIONS
manifest${TAB}/root/manifest${TAB}$(sum <"$root/root/manifest")${TAB}/root
manifest${TAB}/root/no-manifest${TAB}-${TAB}/root
QUESTIONS
    never '^file'

    # What stacks ask of the host, wherever they are asked about; some questions depend on it.
    probe <<QUESTIONS
claims
if-opened${TAB}file${TAB}/root/known${TAB}-
QUESTIONS
    never '^(file|content)'
    printf '{"user": {}}\n' | put /var/lib/provision/claims/shop.json
    printf 'x\n' | put "/var/lib/provision/claims/an odd name.json"
    probe <<QUESTIONS
claims
if-opened${TAB}file${TAB}/root/known${TAB}-
QUESTIONS
    says "content\t/var/lib/provision/claims/shop.json\t$(printf '{"user": {}}\n' | base64)"
    never '/root/known|odd name'
    printf '[steps.firewall]\nallow = []\n' | put /etc/provision/host.toml
    probe <<QUESTIONS
claims
if-opened${TAB}file${TAB}/root/known${TAB}-
QUESTIONS
    says 'content\t/root/known\ta25vd24='
    says "content\t/etc/provision/host.toml\t$(printf '[steps.firewall]\nallow = []\n' | base64 -w0)"
    rm -r "$root/var/lib/provision/claims" "$root/etc/provision/host.toml"

    # Asked twice, with different expectations: the content comes when one is not met.
    probe <<QUESTIONS
file${TAB}/root/known${TAB}$known
file${TAB}/root/known${TAB}0000
QUESTIONS
    says 'content\t/root/known\ta25vd24='
    check "a file is told twice" [ "$(grep -c '^file' "$root/opt/answer")" = 1 ]
}

disks_and_sources() {
    probe <<QUESTIONS
disk${TAB}/
disk${TAB}/root/there/is/nothing/here
disk${TAB}/root/a file/below
disk${TAB}
apt-source${TAB}download.example.com
QUESTIONS
    total=$(stat -f -c '%b %S' "$root/" | awk '{ printf "%.0f", $1 * $2 }')
    for path in / /root/there/is/nothing/here '/root/a file/below'; do
        case $(grep -F "disk$TAB$path$TAB" "$root/opt/answer") in
        *"$TAB$total") passed=$((passed + 1)) ;;
        *) failed "the size of the disk below $path" ;;
        esac
    done
    says 'apt-source\t/etc/apt/sources.list\tdeb [arch=arm64 signed-by=/etc/apt/keyrings/a.gpg] https://download.example.com/linux noble stable'
    says 'apt-source\t/etc/apt/sources.list.d/one.sources\tURIs: http://archive.example.org/ubuntu https://download.example.com/second'
    says 'apt-source\t/etc/apt/sources.list.d/two.sources\tURIs: https://download.example.com/evil?[2J?docker'
    never 'disabled|commented|ignored'
    says 'apt-malformed\t/etc/apt/sources.list.d/one.sources\t1'
    says 'apt-malformed\t/etc/apt/sources.list.d/two.sources\t1'
    check 'what apt cannot read, and no more' [ "$(grep -c '^apt-malformed' "$root/opt/answer")" = 2 ]
}

# found_malformed FILE LINES: apt cannot read the entries that begin at these lines, and the file goes again.
found_malformed() {
    probe <<QUESTIONS
package${TAB}curl
QUESTIONS
    found=$(sed -n "s/^apt-malformed$TAB.*${1##*/}$TAB//p" "$root/opt/answer" | tr '\n' ' ')
    check "apt cannot read, of ${1##*/}: $found" [ "$found" = "$2" ]
    rm -f "$1"
}

# malformed: entries that apt 2.6 reads, and entries that stop it, as it was seen to do with them.
malformed() {
    list=$root/etc/apt/sources.list.d/three.list
    {
        printf '%s\n' '# c' '' '  deb http://a.b/d stable main' 'deb http://a.b/d ./' 'deb file:/x x/' \
            'deb [ arch=amd64 signed-by=/x ] http://a.b/d stable main # c' 'deb-src http://a.b/d stable main more' \
            'deb cdrom:[Debian GNU/Linux 12 _Bookworm_ - DVD 20240210-11:27]/ bookworm main' \
            'deb http://a.b/d stable' 'deb [arch=amd64 http://a.b/d stable main' 'debx http://a.b stable main' foo \
            deb 'deb a.b/d stable main' 'deb http://a.b/d stable #main' 'deb file:/x ./ main'
    } >"$list"
    found_malformed "$list" '9 10 11 12 13 14 15 16 '
    sources=$root/etc/apt/sources.list.d/three.sources
    {
        printf 'Types: deb deb-src\nURIs: http://a.b/d\n# c\nSuites: s s-updates\nComponents: main\nSigned-By:\n -----BEGIN\n .\n\n'
        printf 'types: deb\nuris:\n http://a.b/d\nsuites:\n s\ncomponents:\n main\n\n'
        printf 'Types: deb\nURIs: http://a.b/d\nSuites: ./\n\nEnabled: no\nTypes: x\n\n'
        printf 'URIs: http://a.b/d\nSuites: s\nComponents: main\n\nfoo\n\n\n'
        printf 'Types: debx\nURIs: http://a.b/d\nSuites: s\nComponents: main\n\n'
        printf 'Types: deb\nSuites: s\nComponents: main\n\nTypes: deb\nURIs: http://a.b/d\nSuites: ./\nComponents: main\n'
    } >"$sources"
    found_malformed "$sources" '25 29 32 37 41 '
}

# in_conflict LINES FORMAT…: entries of a.list and, behind `|`, of b.sources; and as apt 2.6 was seen to do with
# them: whether it reads its sources.
in_conflict() {
    expected=$1
    shift
    printf '%b' "${1%%|*}" >"$root/etc/apt/sources.list.d/a.list"
    printf '%b' "${1#*|}" >"$root/etc/apt/sources.list.d/b.sources"
    probe <<QUESTIONS
package${TAB}curl
QUESTIONS
    found=$(sed -n "s/^apt-conflict$TAB//p" "$root/opt/answer" | sed "s|/etc/apt/sources.list.d/||g" | tr '\t\n' ' ;')
    check "conflict in $1: $found" [ "$found" = "$expected" ]
    rm -f "$root/etc/apt/sources.list.d/a.list" "$root/etc/apt/sources.list.d/b.sources"
}

conflicts() {
    stanza='Types: deb\nURIs: http://a.b/d\nSuites: t s\nComponents: main\n'
    in_conflict '' 'deb http://a.b/d s main\ndeb [signed-by=/k] http://a.b/d/ s other\n|'
    in_conflict 'Signed-By a.list 1 a.list 2;' 'deb [signed-by=/k] http://a.b/d s main\ndeb http://a.b/d/ s other\n|'
    in_conflict 'Signed-By a.list 2 a.list 3;' '# c\ndeb [signed-by=/k] http://a.b/d s main\ndeb-src [arch=amd64 signed-by=/l] https://a.b/d s main\n|'
    in_conflict '' 'deb [signed-by=/k] http://a.b/d s main\ndeb [signed-by=/l] http://a.b/d u main\ndeb [signed-by=/l] http://a.b/e s main\n|'
    in_conflict '' 'deb [signed-by=/k,/l] http://a.b/d s main\n|'"$stanza"'Signed-By: /k\n /l\n'
    in_conflict 'Signed-By a.list 1 b.sources 2;' 'deb [signed-by=/k] http://a.b/d s main\n|\n'"$stanza"'Signed-By: /l\n'
    in_conflict 'Signed-By a.list 1 b.sources 1;' 'deb [signed-by=/k] http://a.b/d s main\n|'"$stanza"'Signed-By:\n -----BEGIN\n x\n'
    in_conflict '' 'deb [signed-by=/k] http://a.b/d s main\n|'"$stanza"'Signed-By: /l\nEnabled: no\n'
    in_conflict '' 'deb [signed-by=aabb] http://a.b/d s main\n|'"$stanza"'Signed-By: AABB\n'
    in_conflict 'Trusted b.sources 1 a.list 1;' 'deb http://a.b/d s main\n|'"$stanza"'Trusted: yes\n'
    in_conflict '' 'deb [trusted=on] http://a.b/d s main\n|'"$stanza"'Trusted: yes\n'
    in_conflict 'Check-Valid-Until a.list 1 a.list 2;' 'deb [check-valid-until=no] http://a.b/d ./\ndeb http://a.b/d ./\n|'
    in_conflict '' 'deb cdrom:[a b]/ s main\ndeb [trusted=yes] cdrom:[a b]/ s main\n|'
}

docker_root() {
    probe </dev/null
    never '^docker-root'
    probe <<QUESTIONS
docker-root
QUESTIONS
    says 'docker-root\t/var/lib/docker'
    for text in '{"debug": true, "data-root" : "/mnt/big", "log-level": "x"}' '{
  "data-root":"/mnt/big"' ; do
        printf '%s' "$text" | put /etc/docker/daemon.json
        probe <<QUESTIONS
docker-root
disk${TAB}/var/lib/docker
QUESTIONS
        says 'docker-root\t/mnt/big'
        check 'both disks, and that of the images' [ "$(grep -c '^disk' "$root/opt/answer")" = 3 ]
    done
    printf '{"data-root": "$(touch /tmp/pwned)\t", "data-root": "relative"}' | put /etc/docker/daemon.json
    probe <<QUESTIONS
docker-root
QUESTIONS
    says 'docker-root\t/var/lib/docker'
    rm -rf "$root/etc/docker"
}

docker_service() {
    units=$root/lib/systemd/system
    if [ -L "$root/lib" ]; then real=/usr/lib; else real=/lib; fi
    printf '[Service]\nExecStart=/usr/bin/dockerd -H fd:// \\\n  $DOCKER_OPTS\nExecReload=/bin/kill -s HUP\nEnvironmentFile=-/etc/default/docker\nEnvironmentFile=relative\n' | put /lib/systemd/system/docker.service
    printf '# DOCKER_OPTS="--dns 1.1.1.1"\nDOCKER_OPTS="--data-root=/mnt/opts --dns 8.8.8.8"\nPASSWORD=secret\n' | put /etc/default/docker
    printf '[Service]\nEnvironment=HTTP_PROXY=http://u:p@proxy\n' | put /etc/systemd/system/docker.service.d/proxy.conf
    probe <<QUESTIONS
docker
docker-root
QUESTIONS
    unit=$(grep -o "$real/systemd/system/docker.service\|/lib/systemd/system/docker.service" "$root/opt/answer" | head -n 1)
    says "docker-service\t$unit\tExecStart=/usr/bin/dockerd -H fd://   \$DOCKER_OPTS"
    says "docker-service\t$unit\tEnvironmentFile=-/etc/default/docker"
    says 'docker-service\t/etc/default/docker\tDOCKER_OPTS="--data-root=/mnt/opts --dns 8.8.8.8"'
    says 'docker-root\t/mnt/opts'
    check "lines of the service: four" [ "$(grep -c '^docker-service' "$root/opt/answer")" = 4 ]
    never 'secret|u:p@'
    printf '[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --data-root "/mnt/drop in" --evil=$(touch /tmp/pwned)\tx' | put /etc/systemd/system/docker.service.d/z.conf
    probe <<QUESTIONS
docker-root
QUESTIONS
    says 'docker-service\t/etc/systemd/system/docker.service.d/z.conf\tExecStart='
    says 'docker-service\t/etc/systemd/system/docker.service.d/z.conf\tExecStart=/usr/bin/dockerd --data-root "/mnt/drop in" --evil=$(touch /tmp/pwned)?x'
    probe </dev/null
    never '^docker-service'
    rm -rf "$units/docker.service" "$root/etc/default/docker" "$root/etc/systemd/system/docker.service.d"
}

other_engines() {
    probe <<QUESTIONS
docker
QUESTIONS
    never '^engine'
    printf '#!/bin/sh\n[ -e /etc/containers/nodocker ] || \\\necho "Emulate Docker CLI using podman." >&2\nexec /usr/bin/podman "$@"\n' | put /usr/local/bin/docker
    chmod 755 "$root/usr/local/bin/docker"
    mkdir -p "$root/run/podman" "$root/run/user/1000" "$root/run/user/odd" "$root/home/ann/.config/systemd/user/default.target.wants"
    ln -s podman/podman.sock "$root/run/docker.sock"
    for socket in podman/podman.sock user/1000/docker.sock user/odd/docker.sock; do
        python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$root/run/$socket"
    done
    ln -s ../docker.service "$root/home/ann/.config/systemd/user/default.target.wants/docker.service"
    probe <<QUESTIONS
docker
QUESTIONS
    says 'engine\tpodman-command\t/usr/local/bin/docker'
    says 'engine\tpodman-socket\t/run/podman/podman.sock'
    says 'engine\tpodman-service\t/run/podman/podman.sock'
    says 'engine\trootless\t/run/user/1000/docker.sock\tdeploy'
    check "engines: four" [ "$(grep -c '^engine' "$root/opt/answer")" = 4 ]
    probe </dev/null
    never '^engine'
    rm -rf "$root/run/user" "$root/run/podman" "$root/run/docker.sock" "$root/usr/local/bin/docker"
    probe <<QUESTIONS
docker
QUESTIONS
    says 'engine\trootless\t/home/ann/.config/systemd/user/default.target.wants/docker.service\tann'
    check "engines: one" [ "$(grep -c '^engine' "$root/opt/answer")" = 1 ]
    rm -rf "$root/home/ann"
}

locks() {
    chroot "$root" python3 -c '
import fcntl, time
files = [open(path, "w") for path in ("/var/lib/apt/lists/lock",)]
for file in files: fcntl.lockf(file, fcntl.LOCK_EX)
open("/proc/self/comm", "w").write("apt\t\x1b[31m-get")
open("/tmp/locked", "w")
time.sleep(60)' &
    holder=$!
    soon [ -e "$root/tmp/locked" ]
    probe </dev/null
    says "lock\t$holder\tapt??[31m-get\t/var/lib/apt/lists/lock"
    kill "$holder"
    wait "$holder" 2>/dev/null
    rm "$root/tmp/locked"
}

state_of_cloud_init() {
    printf '#!/bin/sh\ntouch /tmp/pwned\n' | put /usr/bin/cloud-init
    chmod 755 "$root/usr/bin/cloud-init"
    probe </dev/null
    says 'cloud-init\tnot-started'
    printf '{\n "v1": {\n  "init": {\n   "errors": [],\n   "recoverable_errors": {}\n  },\n  "stage": "modules-config"\n }\n}\n' | put /run/cloud-init/status.json
    probe </dev/null
    says 'cloud-init\trunning'
    printf '{\n "v1": {\n  "datasource": "DataSourceNoCloud",\n  "errors": []\n }\n}\n' | put /run/cloud-init/result.json
    probe </dev/null
    says 'cloud-init\tdone'
    printf '{\n "v1": {\n  "errors": [],\n  "recoverable_errors": {\n   "WARNING": [\n    "x"\n   ]\n  }\n }\n}\n' | put /run/cloud-init/result.json
    probe </dev/null
    says 'cloud-init\tdegraded'
    printf '{\n "v1": {\n  "errors": [\n   "(\\"x\\", 1)"\n  ]\n }\n}\n' | put /run/cloud-init/result.json
    probe </dev/null
    says 'cloud-init\terror'
    : | put /etc/cloud/cloud-init.disabled
    probe </dev/null
    says 'cloud-init\tdisabled'
    rm -rf "$root/run/cloud-init" "$root/etc/cloud/cloud-init.disabled" "$root/usr/bin/cloud-init"
}

first_boots() {
    printf 'provisioned 0 1700000000\n' | put /var/lib/provision/first-boot/state
    printf 'old words\n' | put /var/lib/provision/first-boot/log
    probe </dev/null
    says 'first-boot\tprovisioned\t0\t1700000000'
    never '^first-boot-log'
    printf 'failed 6 1700000000\n' | put /var/lib/provision/first-boot/state
    i=0
    while [ "$i" -lt 25 ]; do i=$((i + 1)) && printf 'line\t%s \033[1m\n' "$i"; done | put /var/lib/provision/first-boot/log
    probe </dev/null
    says 'first-boot\tfailed\t6\t1700000000'
    says 'first-boot-log\tline?25 ?[1m'
    says 'first-boot-log\tline?6 ?[1m'
    never 'line?5 '
    printf 'x' | put /var/lib/provision/first-boot/state
    probe </dev/null
    says 'first-boot\tx\t0\t0'
    rm -rf "$root/var/lib/provision"
}

runs_and_leases() {
    now=$(date +%s)
    runs=/var/lib/provision/runs
    mkdir -p "$root$runs/20260101-000000-aaaaaa" "$root$runs/.staging"
    printf '1 run start 20260102-000000-bbbbbb 3\n2 change start 001 apt/lists\n3 change start 002 docker/engine: it'\''s $(touch /tmp/pwned)\033[1m\n' | put "$runs/20260102-000000-bbbbbb/journal"
    printf 'ann@laptop\tlast-run\nsecond line\n' | put "$runs/20260102-000000-bbbbbb/holder"
    printf 'run 20260102-000000-bbbbbb\nholder ann@laptop\nsince %s\nuntil %s\n' "$now" "$((now + 60))" | put /var/lib/provision/lease
    : | put /run/reboot-required
    printf 'linux-image\nlibc6\nlibc6\n' | put /run/reboot-required.pkgs
    probe </dev/null
    says "last-run\t20260102-000000-bbbbbb\trunning\tno\tdocker/engine: it's \$(touch /tmp/pwned)?[1m\tann@laptop?last-run"
    says "lease\t20260102-000000-bbbbbb\tann@laptop\t$now\t$((now + 60))"
    says reboot-required
    says 'reboot-package\tlinux-image'
    check "a package is told twice" [ "$(grep -c '^reboot-package' "$root/opt/answer")" = 2 ]
    mkdir -p "$root/sys/fs/cgroup/system.slice/provision-run-20260102-000000-bbbbbb.service"
    probe </dev/null
    says "last-run\t20260102-000000-bbbbbb\trunning\tyes\tdocker/engine: it's \$(touch /tmp/pwned)?[1m\tann@laptop?last-run"
    rm -rf "$root/sys/fs/cgroup/system.slice"
    printf 'blog\033\n' | put "$runs/20260102-000000-bbbbbb/stack"
    probe </dev/null
    says "last-run\t20260102-000000-bbbbbb\trunning\tno\tdocker/engine: it's \$(touch /tmp/pwned)?[1m\tann@laptop?last-run\tblog?"
    rm -f "$root$runs/20260102-000000-bbbbbb/stack"
    for state in completed failed cancelled; do
        printf '1 run start 20260102-000000-bbbbbb 3\n9 run %s\n' "$state" | put "$runs/20260102-000000-bbbbbb/journal"
        probe </dev/null
        says "last-run\t20260102-000000-bbbbbb\t$state\tno\t\tann@laptop?last-run"
    done
    printf 'run x\nholder y\nsince 1\nuntil %s\n' "$((now - 1))" | put /var/lib/provision/lease
    probe </dev/null
    never '^lease'
    printf 'until 99999999999\nsince' | put /var/lib/provision/lease
    probe </dev/null
    says 'lease\t\t\t0\t99999999999'
    rm -rf "$root/var/lib/provision" "$root"/run/reboot-required*
}

# A name is only ever an argument, and only what can be a host name.
what_is_reached() {
    python3 -m http.server --bind 127.0.0.1 18099 >/dev/null 2>&1 &
    server=$!
    soon bash -c 'exec 3<>/dev/tcp/127.0.0.1/18099' >/dev/null
    probe <<QUESTIONS
reach${TAB}127.0.0.1:18099
reach${TAB}127.0.0.1:18098
reach${TAB}no-such-host.invalid:443
reach${TAB}\$(touch /tmp/pwned):80
reach${TAB}localhost;touch /tmp/pwned:80
reach${TAB}localhost/80 touch:80;touch /tmp/pwned
reach${TAB}-c:80
reach${TAB}nothing
QUESTIONS
    says 'reach\t127.0.0.1:18099\treached'
    says 'reach\t127.0.0.1:18098\tno-connection'
    says 'reach\tno-such-host.invalid:443\tno-name'
    never '^reach\t[^1n]'
    says 'listening\ttcp\t0100007F:46B3\tpython3'
    kill "$server"
    wait "$server" 2>/dev/null
}

put /opt/daemon.py <<'PYTHON'
import json, os, socketserver, sys
from http.server import BaseHTTPRequestHandler
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = None
        if self.path == "/info":
            body = {"ID": "x", "Containers": 1, "ServerVersion": "28.3.2", "Driver": "overlay2", "Plugins": {"Driver": ["no"], "ServerVersion": "1"}}
        elif self.path == "/containers/json":
            def container(name, ports, labels):
                return {"Id": "abc", "Names": ["/" + name], "Ports": ports, "Labels": labels, "State": "running"}
            port = {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}
            evil = {"com.docker.compose.project": "a\tb\npublished\tforged", "Ports": "[{\"PublicPort\":1}]"}
            body = [container("web", [port, {"PrivatePort": 443, "Type": "tcp"}], {"com.docker.compose.project": "demo", "com.docker.compose.service": "web"}),
                container("closed", [{"PrivatePort": 443, "Type": "tcp"}], {}), container("none", [], None), container("alone", [port], None),
                container("evil", [dict(port, IP="x\nend\n]}")], evil)]
        elif self.path == "/containers/json?all=1&filters=%7B%22name%22:%5B%22%5E/%3Ffront%5B.%5D1%24%22%2C%22%5E/%3Fnone%24%22%5D%7D":
            body = [{"Id": "fff", "Names": ["/front.1"], "Image": "caddy", "State": "exited", "Status": "Exited (0)", "Labels": {"com.docker.compose.project": "shop\nend", "com.docker.compose.project.working_dir": "/opt/shop"}, "Mounts": []}]
        elif self.path == "/volumes?filters=%7B%22label%22:%5B%22com.docker.compose.project%3Ddemo%22%5D%7D":
            body = {"Volumes": [{"Name": "demo_old", "Labels": {"com.docker.compose.project": "demo"}}, {"Name": "x\nvolume\tforged", "Labels": None}], "Warnings": None}
        elif self.path == "/volumes/shared":
            body = {"CreatedAt": "x", "Name": "shared", "Labels": None, "Options": {"Name": "no"}}
        elif self.path.startswith("/containers/json?all=1&filters="):
            labels = {"com.docker.compose.project": "demo", "com.docker.compose.service": "web", "com.docker.compose.project.working_dir": "/srv/demo", "com.docker.compose.image": "sha256:made", "evil": "\n\tend\nend\ncontainer\t\u001b[31m", "Status": "forged", "quote\"d": "}]{[\\\""}
            container = {"Id": "abc", "Names": ["/other/alias", "/demo-web-1"], "Image": "demo/web:1", "State": "running", "Status": "Up 3 minutes (healthy)", "Ports": [{"Status": "no", "Id": 1}], "Labels": labels, "HostConfig": {"NetworkMode": "x"}, "Mounts": []}
            evil = dict(container, Id="def", Names=["/evil"], Status="x\nend\n", Labels=dict(labels, **{"com.docker.compose.project.working_dir": "/x\ty\nend", "com.docker.compose.image": "", "com.docker.compose.service": "a\tb\nimage\tforged\t\"x\""}))
            other = dict(container, Id="ghi", Names=["/else"], Labels=dict(labels, **{"com.docker.compose.project": "else"}))
            once = dict(container, Id="jkl", Names=["/once"], Labels=dict(labels, **{"com.docker.compose.oneoff": "True"}))
            body = [container, evil, other, once]
        elif self.path == "/images/demo/web:1/json":
            body = {"Id": "sha256:123", "RepoTags": ["demo/web:1"], "RepoDigests": ["demo/web@sha256:" + "a" * 64, "x\t@sha256:b"], "Config": {"Id": "no"}}
        elif self.path == "/networks/proxy":
            body = {"Name": "proxy", "Id": "n1", "Labels": {"com.docker.compose.project": "shop\tx"}, "IPAM": {"Config": []}, "Containers": {"def0": {"Name": "x\nend\n"}, "abc1": {"Name": "y"}, "x\nimage\tforged": {}}}
        self.send_response(200 if body is not None else 404)
        self.end_headers()
        text = json.dumps(body if body is not None else {"message": "No such image"}, separators=(",", ":"))
        # Blanks that JSON allows between its texts.
        self.wfile.write(text.replace('},{"PrivatePort"', '},\n\t{"PrivatePort"').encode())
    def address_string(self): return "probe"
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): pass
Server("/run/docker.sock", Handler).serve_forever()
PYTHON

published_ports() {
    says 'published\t"web"\t"demo"\t"web"\t[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}, {"PrivatePort":443,"Type":"tcp"}]'
    says 'published\t"alone"\t\t\t[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]'
    check "the hostile container's ports" grep -qxF "$(printf 'published\t"evil"\t"a\\tb\\npublished\\tforged"\t\t[{"IP":"x\\nend\\n]}","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]')" "$root/opt/answer"
    check "ports that are published: of three containers" [ "$(grep -c '^published' "$root/opt/answer")" = 3 ]
}

docker_daemon() {
    digests=sha256:$(printf '%064d' 0 | tr 0 a)
    questions="docker
project${TAB}demo
image${TAB}demo/web:1
image${TAB}demo/none:1
image${TAB}demo/\$(touch /tmp/pwned)'\"\\ ?x
network${TAB}proxy
network${TAB}none
container-name${TAB}front.1
container-name${TAB}none
container-name${TAB}\$(touch /tmp/pwned)
volume${TAB}shared
volume${TAB}gone
volumes${TAB}demo
reach${TAB}127.0.0.1:1"
    # A docker program that must not be started, as long as the socket answers.
    printf '#!/bin/sh\ntouch /tmp/pwned\n' | put /usr/local/bin/docker
    chmod 755 "$root/usr/local/bin/docker"
    [ -e "$root/var/run" ] || ln -s ../run "$root/var/run"
    probe <<QUESTIONS
$questions
QUESTIONS
    says 'docker\t\t\tcannot connect to the Docker daemon at /var/run/docker.sock: No such file or directory'
    never '^(reach|image|container)'
    probe </dev/null
    never '^docker'

    chroot "$root" python3 /opt/daemon.py &
    daemon=$!
    soon [ -S "$root/run/docker.sock" ]
    mkdir -p "$root/usr/libexec/docker/cli-plugins" "$root/var/lib/dpkg/info"
    printf '#!/bin/sh\necho v2.40.3-desktop.1\n' | put /usr/libexec/docker/cli-plugins/docker-compose
    chmod 755 "$root/usr/libexec/docker/cli-plugins/docker-compose"
    probe <<QUESTIONS
$questions
QUESTIONS
    says 'docker\t"28.3.2"\t"overlay2"'
    says 'compose\tv2.40.3-desktop.1'
    says 'container\t"abc"\t"demo-web-1"\t"demo"\t"web"\t"demo/web:1"\t"running"\t"Up 3 minutes (healthy)"\t"/srv/demo"\t"sha256:made"'
    check "the hostile container" grep -qxF "$(printf 'container\t"def"\t"evil"\t"demo"\t"a\\tb\\nimage\\tforged\\t\\"x\\""\t"demo/web:1"\t"running"\t"x\\nend\\n"\t"/x\\ty\\nend"\t""')" "$root/opt/answer"
    never '"(ghi|jkl)"'
    says "image\tdemo/web:1\t\"sha256:123\"\t$digests"
    says 'image\tdemo/none:1\t\t'
    check "the project of a network" grep -qxF "$(printf 'network\tproxy\t"n1"\tabc1 def0\t"shop\\tx"')" "$root/opt/answer"
    check "a namesake" grep -qxF "$(printf 'namesake\t"fff"\t"front.1"\t"shop\\nend"\t\t"caddy"\t"exited"\t"Exited (0)"\t"/opt/shop"\t""')" "$root/opt/answer"
    check "other namesakes" [ "$(grep -c '^namesake' "$root/opt/answer")" = 1 ]
    says 'volume\tdemo_old\t"demo_old"\t"demo"'
    says 'volume\tshared\t"shared"\t'
    says 'volume\tgone\t\t'
    check "volumes: three" [ "$(grep -c '^volume' "$root/opt/answer")" = 3 ]
    says 'network\tnone\t\t\t'
    check "the hostile image" grep -qxF "image${TAB}demo/\$(touch /tmp/pwned)'\"\\ ?x$TAB$TAB" "$root/opt/answer"
    check "an image was forged" [ "$(grep -c '^image' "$root/opt/answer")" = 3 ]
    never '^published'
    probe <<QUESTIONS
published
QUESTIONS
    published_ports
    never '^(image|container)'
    says 'docker\t"28.3.2"\t"overlay2"'
    says 'compose\tv2.40.3-desktop.1'
    probe <<QUESTIONS
$questions
published
QUESTIONS
    published_ports
    says 'container\t"abc"\t"demo-web-1"\t"demo"\t"web"\t"demo/web:1"\t"running"\t"Up 3 minutes (healthy)"\t"/srv/demo"\t"sha256:made"'
    says "image\tdemo/web:1\t\"sha256:123\"\t$digests"
    check "containers of a project: two" [ "$(grep -c '^container' "$root/opt/answer")" = 2 ]
    kill "$daemon"
    wait "$daemon" 2>/dev/null

    printf '/usr/libexec/docker/cli-plugins/docker-compose\n' | put /var/lib/dpkg/info/docker-compose-plugin.list
    cp "$root/var/lib/dpkg/status" "$root/opt/status"
    printf '\nPackage: docker-compose-plugin\nStatus: install ok installed\nVersion: 2.38.2-1~ubuntu.24.04~noble\n' >>"$root/var/lib/dpkg/status"
    # Another endpoint, so the docker program is asked.
    put /usr/local/bin/docker <<'DOCKER'
#!/bin/sh
case "$1 $*" in
ps*'--filter name=^/?front.1$ --filter name=^/?none$ '*) printf 'namesake\t"f"\t"front.1"\t""\n' && exit ;;
esac
case $1 in
info) printf 'WARNING: something\ndocker\t"26.1.5+dfsg1"\t"overlayfs"\n' ;;
ps) case $* in
    *'-a '*) printf 'container\t"1"\t"demo-db-1"\t"demo"\t"db"\t"demo/db:1"\t"running"\t"Up"\t"False"\ncontainer\t"2"\t"x"\t"else"\t"db"\t"demo/db:1"\t"running"\t"Up"\t""\ncontainer\t"3"\t"once"\t"demo"\t"db"\t"demo/db:1"\t"exited"\t"Exited (1)"\t"True"\n' ;;
    *) printf 'published\t"demo-db-1"\t"demo"\t"db"\t"0.0.0.0:9000-9002->9000-9002/udp, :::80->80/tcp"\npublished\t"x"\t""\t""\t""\n' ;;
    esac ;;
volume) case $* in
    *'ls --filter label=com.docker.compose.project=demo '*) printf 'demo_old\n' ;;
    *' demo_old' | *' shared') printf '"%s"\t"demo"\n' "${6}" ;;
    *) exit 1 ;;
    esac ;;
network) [ "$6" = proxy ] && printf '"n1"\tabc \t"shop"\n' ;;
image) [ "$6" = demo/web:1 ] && printf '"sha256:456"\tdemo/web@sha256:77 other\n' ;;
esac
DOCKER
    probe DOCKER_HOST=tcp://192.0.2.1:2375 <<QUESTIONS
$questions
QUESTIONS
    says 'docker\t"26.1.5+dfsg1"\t"overlayfs"'
    says 'compose\t2.38.2-1~ubuntu.24.04~noble'
    says 'container\t"1"\t"demo-db-1"\t"demo"\t"db"\t"demo/db:1"\t"running"\t"Up"'
    never '"(else|once)"'
    says 'namesake\t"f"\t"front.1"\t""'
    says 'volume\tdemo_old\t"demo_old"\t"demo"'
    says 'volume\tshared\t"shared"\t"demo"'
    says 'volume\tgone\t'
    says 'network\tproxy\t"n1"\tabc \t"shop"'
    says 'network\tnone\t'
    never '^published'
    says 'image\tdemo/web:1\t"sha256:456"\tsha256:77'
    says 'image\tdemo/none:1\t\t'
    probe DOCKER_HOST=tcp://192.0.2.1:2375 <<QUESTIONS
$questions
published
QUESTIONS
    says 'published\t"demo-db-1"\t"demo"\t"db"\t"0.0.0.0:9000-9002->9000-9002/udp, :::80->80/tcp"'
    says 'container\t"1"\t"demo-db-1"\t"demo"\t"db"\t"demo/db:1"\t"running"\t"Up"'
    says 'image\tdemo/web:1\t"sha256:456"\tsha256:77'
    printf '#!/bin/sh\nprintf "docker\\t\\"\\"\\t\\"\\"\\n"\necho "Cannot connect\033[1m" >&2\nexit 1\n' | put /usr/local/bin/docker
    probe DOCKER_HOST=tcp://192.0.2.1:2375 <<QUESTIONS
$questions
QUESTIONS
    says 'docker\t\t\tCannot connect?[1m'
    never '^(image|container)'
    # systemd has it stopped, and its socket would start it.
    : | put /lib/systemd/system/docker.service
    mkdir -p "$root/run/systemd/units"
    probe <<QUESTIONS
docker
QUESTIONS
    says 'docker\t\t\tthe Docker daemon is not running'
    probe <<QUESTIONS
published
QUESTIONS
    says 'docker\t\t\tthe Docker daemon is not running'
    never '^published'
    mv "$root/opt/status" "$root/var/lib/dpkg/status"
    rm -rf "$root/usr/local/bin/docker" "$root/usr/libexec/docker" "$root/lib/systemd/system/docker.service" "$root/run/systemd" "$root/run/docker.sock" "$root/var/lib/dpkg/info/docker-compose-plugin.list"
}

units() {
    probe <<QUESTIONS
unit${TAB}ssh.service
QUESTIONS
    says 'unit\tssh.service\t\t\t'
    mkdir -p "$root/run/systemd/system"
    put /opt/units <<'UNITS'
Id=ssh.service
Names=sshd.service ssh.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled

Id=none.service
Names=none.service
LoadState=not-found
ActiveState=inactive
UnitFileState=

Id=docker.socket
Names=docker.socket
LoadState=loaded
ActiveState=failed
UnitFileState=disabled
UNITS
    printf '#!/bin/sh\necho "$*" >/opt/asked\ncat /opt/units\n' | put /usr/local/bin/systemctl
    chmod 755 "$root/usr/local/bin/systemctl"
    probe <<QUESTIONS
unit${TAB}sshd.service
unit${TAB}ssh
unit${TAB}none.service
unit${TAB}docker.socket
unit${TAB}\$(touch /tmp/pwned)
unit${TAB}template@.service
unit${TAB}mnt-a\\x2db.mount
QUESTIONS
    check "names that are no units are not asked for: $(cat "$root/opt/asked")" \
        [ "$(cat "$root/opt/asked")" = 'show -p Id,Names,LoadState,ActiveState,UnitFileState -- sshd.service ssh none.service docker.socket mnt-a\x2db.mount' ]
    says 'unit\tsshd.service\tloaded\tactive\tenabled'
    says 'unit\tssh\tloaded\tactive\tenabled'
    says 'unit\tnone.service\tnot-found\tinactive\t'
    says 'unit\tdocker.socket\tloaded\tfailed\tdisabled'
    says 'unit\t$(touch /tmp/pwned)\t\t\t'
    rm -rf "$root/run/systemd" "$root/usr/local/bin/systemctl"
}

# program NAME: on the made-up host, with what it does on stdin. It leaves word that it ran.
program() {
    { printf '#!/bin/sh\necho "%s $*" >>/opt/ran\n' "$1" && cat; } | put "/usr/local/bin/$1"
    chmod 755 "$root/usr/local/bin/$1"
}

firewalls() {
    program sshd <<'PROGRAM'
echo 'a warning' >&2
printf 'port 22\nport 2222\naddressfamily any\nlistenaddress 0.0.0.0:22\nport 1\t$(touch /tmp/pwned)\n'
PROGRAM
    program ip <<'PROGRAM'
cat <<'ADDRESSES'
2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0\       valid_lft forever preferred_lft forever
2: eth0    inet6 2001:db8::7/64 scope global dynamic mngtmpaddr \       valid_lft 2591999sec preferred_lft 604799sec
2: eth0    inet6 2001:db8::8/64 scope global temporary dynamic \       valid_lft 604799sec preferred_lft 86399sec
2: eth0    inet6 2001:db8::9/64 scope global deprecated dynamic \       valid_lft 604799sec preferred_lft 0sec
2: eth0    inet6 2001:db8::a/64 scope global tentative \       valid_lft forever preferred_lft forever
3: wg0    inet 198.51.100.1 peer 198.51.100.2/32 scope global wg0\       valid_lft forever preferred_lft forever
9: br-management0x    inet 198.51.100.9/24 scope global br-management0x\       valid_lft forever preferred_lft forever
10: br-lan    inet 198.51.100.8/24 scope global br-lan\       valid_lft forever preferred_lft forever
4: docker0    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0\       valid_lft forever preferred_lft forever
5: br-0123456789ab    inet 172.18.0.1/16 scope global br-0123456789ab\       valid_lft forever preferred_lft forever
6: docker_gwbridge    inet 172.19.0.1/16 scope global docker_gwbridge\       valid_lft forever preferred_lft forever
7: virbr0    inet 172.20.0.1/16 scope global virbr0\       valid_lft forever preferred_lft forever
8: veth1234567    inet 172.21.0.1/16 scope global veth1234567\       valid_lft forever preferred_lft forever
1: lo    inet 203.0.113.1/32 scope global lo\       valid_lft forever preferred_lft forever
odd
ADDRESSES
PROGRAM
    program iptables-save <<'PROGRAM'
echo '# Warning: iptables-legacy tables present, use iptables-legacy-save to see them' >&2
cat <<'RULES'
# Generated by iptables-save v1.8.11 (nf_tables) on Sun Nov 22 09:03:04 2026
*mangle
:FORWARD ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:PROVISION-FORWARD - [0:0]
-A FORWARD -j PROVISION-FORWARD
-A PROVISION-FORWARD -i eth0 -m comment --comment "it's \"quoted\" * $(touch /tmp/pwned)" -j DROP
-A INPUT -j ACCEPT
COMMIT
*filter
:INPUT DROP [12:3456]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
-A INPUT -j ufw-before-input
-A INPUT -m comment --comment COMMIT -j ACCEPT
-A INPUT -m comment --comment "# Table `filter' is incompatible" -j ACCEPT
-A FORWARD -j DOCKER-USER
-A OUTPUT -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
*nat
:INPUT ACCEPT [0:0]
-A INPUT -j ACCEPT
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -p tcp -m tcp --dport 2222 -j DNAT --to-destination 10.0.0.5:22
-A OUTPUT -p tcp -m tcp --dport 2222 -j DNAT --to-destination 10.0.0.5:22
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER-INGRESS -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.18.0.2:80
-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.42.0.3:80
-A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 10.42.0.4:80
COMMIT
RULES
PROGRAM
    # More than a pipe takes at once: no line may be torn.
    program ip6tables-save <<'PROGRAM'
echo "# Table \`filter' is incompatible, use 'nft' tool."
echo "# Table \`nat' is incompatible, use 'nft' tool."
echo "# Table \`mangle' contains incompatible base-chains, use 'nft' tool to list them."
printf '*filter\n:INPUT DROP [0:0]\n'
awk 'BEGIN { for (i = 0; i < 3000; i++) print "-A INPUT -s 2001:db8::" i " -j DROP\n-A f2b-sshd -s 2001:db8::" i " -j DROP" }'
echo "-A INPUT -m comment --comment \"a$(printf '\t')b$(printf '\033')[31m\" -j DROP"
echo COMMIT
PROGRAM
    program nft <<'PROGRAM'
case $* in
'list tables') printf 'table %s\n' 'ip filter' 'ip6 nat' 'inet filter' 'inet own' 'inet out' 'ip policy' 'netdev early' 'inet said' 'ip docker-bridges' 'inet f2b-table' 'ip crowdsec' 'inet firewalld' 'ip x;flush ruleset' 'ip x flush' 'arp filter' ;;
'-t list table ip6 nat') printf 'table ip6 nat {\n\tchain p {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\t\ttcp dport 8053 dnat to [fd00::5]:53\n\t}\n}\n' ;;
'-t list table inet own') printf 'table inet own {\n\tchain p {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\t\tiifname "eth0" tcp dport { 8443, 9443 } dnat ip to 10.1.1.5:443\n\t\tdnat to 10.1.1.6\n\t\tct status dnat accept\n\t}\n\tchain in {\n\t\ttype filter hook input priority filter; policy accept;\n\t\ttcp dport 23 log prefix "x" reject with icmp port-unreachable\n\t}\n}\n' ;;
'-t list table inet filter') printf 'table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n' ;;
'-t list table inet out') printf 'table inet out {\n\tchain out {\n\t\ttype filter hook output priority filter; policy drop;\n\t}\n}\n' ;;
'-t list table ip policy') printf 'table ip policy {\n\tchain f {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n' ;;
'-t list table netdev early') printf 'table netdev early {\n\tchain i {\n\t\ttype filter hook ingress device "eth0" priority filter; policy accept;\n\t\tip saddr @bad drop\n\t}\n}\n' ;;
'-t list table inet said') printf 'table inet said {\n\tchain i {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tip saddr @drop log prefix "a drop " accept comment "no reject"\n\t\tjump drop-nothing\n\t}\n}\n' ;;
*) touch /tmp/pwned ;;
esac
PROGRAM
    probe </dev/null
    never '^(sshd-port|address|rule|foreign-table|published)'
    check "nothing runs that nobody asked for: $(cat "$root/opt/ran" 2>/dev/null)" [ ! -e "$root/opt/ran" ]
    probe <<QUESTIONS
firewall
QUESTIONS
    check "sshd's ports: $(value sshd-port)" [ "$(value sshd-port | sort)" = "22
2222" ]
    addresses="192.0.2.7
2001:db8::7
198.51.100.1
198.51.100.9
198.51.100.8"
    # Where the shell has an `ip` of its own, the made-up one is nothing to it.
    ! prefers_its_own ip || addresses=''
    check "addresses: $(value address)" [ "$(value address)" = "$addresses" ]
    check "rules: $(value "rule${TAB}4")" [ "$(value "rule${TAB}4" | grep -v "^nft")" = "mangle${TAB}-A FORWARD -j PROVISION-FORWARD
mangle${TAB}-A PROVISION-FORWARD -i eth0 -m comment --comment \"it's \\\"quoted\\\" * \$(touch /tmp/pwned)\" -j DROP
filter${TAB}:INPUT DROP
filter${TAB}:FORWARD ACCEPT
filter${TAB}-A INPUT -j ufw-before-input
filter${TAB}-A INPUT -m comment --comment COMMIT -j ACCEPT
filter${TAB}-A INPUT -m comment --comment \"# Table \`filter' is incompatible\" -j ACCEPT
filter${TAB}-A DOCKER-USER -j RETURN
nat${TAB}-A PREROUTING -p tcp -m tcp --dport 2222 -j DNAT --to-destination 10.0.0.5:22
nat${TAB}-A DOCKER-INGRESS -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.18.0.2:80
nat${TAB}-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.42.0.3:80" ]
    check "what nft forwards: $(value "rule${TAB}4${TAB}nft")" [ "$(value "rule${TAB}4${TAB}nft" | sort)" = "dnat to 10.1.1.6
iifname  tcp dport { 8443, 9443 } dnat ip to 10.1.1.5:443
tcp dport 8053 dnat to [fd00::5]:53" ]
    check "rules of IPv6: 3002" [ "$(grep -cE "^rule${TAB}6${TAB}filter${TAB}(:INPUT DROP|-A INPUT -s 2001:db8::[0-9]+ -j DROP|-A INPUT -m comment --comment \"a\?b\?\[31m\" -j DROP)\$" "$root/opt/answer")" = 3002 ]
    check "tables of others: $(value foreign-table)" [ "$(value foreign-table | sort)" = "inet own
ip policy
ip6 filter
ip6 mangle
netdev early" ]
    check "lines of these alone" [ "$(grep -cE '^(rule|address|sshd-port|foreign-table)' "$root/opt/answer")" = $((3002 + 14 + 2 + 5 + $(value address | wc -l))) ]
    rm -f "$root/opt/ran"
    for name in sshd ip ip6tables-save iptables-save nft; do
        printf '#!/bin/sh\necho broken >&2\nexit 1\n' | put "/usr/local/bin/$name"
        chmod 755 "$root/usr/local/bin/$name"
    done
    probe <<QUESTIONS
firewall
QUESTIONS
    never '^(sshd-port|address|rule|foreign-table)'
    for name in sshd ip ip6tables-save iptables-save nft; do rm -f "$root/usr/local/bin/$name"; done
}

ways() {
    program ip <<'PROGRAM'
case $1 in
-4) cat <<'ROUTES'
default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.7 metric 100
10.8.0.0/24 dev tun0 proto kernel scope link src 10.8.0.1
172.16.0.0/12 via 192.0.2.9 dev eth0 metric 5
172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown
198.51.100.2 dev wg0 scope link
unreachable 203.0.113.0/24
odd
ROUTES
;;
-6) echo 'fe80::/64 dev eth0 proto kernel metric 256 pref medium' ;;
esac
PROGRAM
    mkdir -p "$root/run/systemd/resolve"
    printf 'nameserver 127.0.0.53\noptions edns0\nnameserver \t 192.0.2.53 \n#nameserver 1.2.3.4\nnameserver\nnameserver $(touch /tmp/pwned)\n' | put /etc/resolv.conf
    printf 'nameserver 2001:db8::53%%eth0' | put /run/systemd/resolve/resolv.conf
    probe </dev/null
    never '^(route|name-server)'
    probe <<QUESTIONS
routes
QUESTIONS
    routes="10.8.0.0/24${TAB}tun0
172.16.0.0/12${TAB}eth0${TAB}gateway
172.17.0.0/16${TAB}docker0
198.51.100.2${TAB}wg0
fe80::/64${TAB}eth0"
    ! prefers_its_own ip || routes=$(value route | sort)
    check "routes: $(value route)" [ "$(value route | sort)" = "$routes" ]
    check "name servers: $(value name-server)" [ "$(value name-server | sort)" = "127.0.0.53
192.0.2.53
2001:db8::53" ]
    rm -rf "$root/usr/local/bin/ip" "$root/run/systemd/resolve" "$root/etc/resolv.conf" "$root/opt/ran"
}

leaves_nothing() {
    lay=$(ls -A "$root/tmp" "$root/run" "$root/dev/shm" "$root/root")
    probe <<QUESTIONS
file${TAB}/etc/passwd${TAB}-
QUESTIONS
    check "nothing is left behind" [ "$(ls -A "$root/tmp" "$root/run" "$root/dev/shm" "$root/root")" = "$lay" ]
    { timeout 60 chroot "$root" sh /opt/program </dev/null 2>/dev/null || echo $? >"$root/opt/ended"; } | head -n 1 >/dev/null
    check "it ends when its reader has gone" [ "$(cat "$root/opt/ended" 2>/dev/null)" != 124 ]
    rm -f "$root/opt/ended"
}

# A bundle of many files, by one digest over its lists; only what differs is named.
bundles() {
    state=/var/lib/provision/stacks/shop
    mkdir -p "$root$state" "$root/srv/shop/a b"
    : >"$root$state/manifest"
    for name in one "a b/it's \"two\"" 'back\slash' ümlaut '-n' '$(touch /tmp/pwned)' mine; do
        printf '%s' "$name" | put "/srv/shop/$name"
        sum=$(printf '%s' "$name" | sum)
        printf '644 %s %s\n' "$sum" "$name" >>"$root$state/manifest"
        printf '644\t0:0\t%s\tfile\t%s\n' "$sum" "$name"
    done >"$root$state/expected"
    chown 4321:4321 "$root/srv/shop/mine"
    chmod 600 "$root/srv/shop/mine"
    echo mine >"$root/srv/shop/mine"
    sum=$(echo mine | sum)
    printf -- '-\t-\t%s\tfile\tshared\n644\t0:0\t%s\tsecret\tkey\n-\t-\tabc\tseed\trows\n-\t-\tabc\tseed\ttheirs\n' "$sum" "$sum" >>"$root$state/expected"
    sed -i "s|^644${TAB}0:0$TAB.*${TAB}mine|600${TAB}4321:4321$TAB$sum${TAB}file${TAB}mine|" "$root$state/expected"
    echo mine | put /srv/shop/shared
    chmod 777 "$root/srv/shop/shared"
    echo mine | put /srv/shop/key
    echo of a year | put /srv/shop/rows
    (cd "$root/srv/shop" && mkdir kept open data gone && chown 4321:4321 kept && chmod 2750 kept && chmod 3777 open && chmod 700 data)
    printf '%b\n' '755\t0:0\t-\tfolder\ta b' '750\t4321:4321\t-\tfolder\tkept' '1777\t0:0\t-\tfolder\topen' \
        '-\t-\t-\tfolder\tdata' '755\t0:0\t-\tfolder\tgone' >>"$root$state/expected"
    ln -s rows "$root/srv/shop/theirs"
    printf 'abc rows\n- theirs\n' | put "$state/seeds"
    digest=$(cat "$root$state/manifest" "$root$state/expected" | sum)
    asked="bundle$TAB$state$TAB$digest$TAB/srv/shop"
    printf '%s\n' "$asked" | probe
    says "bundle\t/srv/shop\t$digest"
    never '^(differs|file|content|record)'

    echo edited >"$root/srv/shop/one"
    chmod 640 "$root/srv/shop/a b/it's \"two\""
    chown 1000:0 "$root/srv/shop/back\\slash"
    rm "$root/srv/shop/ümlaut"
    mv "$root/srv/shop/-n" "$root/srv/shop/stranger"
    mkfifo "$root/srv/shop/-n"
    mv "$root/srv/shop/mine" "$root/srv/shop/other"
    ln -s other "$root/srv/shop/mine"
    echo edited >"$root/srv/shop/key"
    rm "$root/srv/shop/rows"
    mkdir "$root/srv/shop/rows"
    : >"$root/srv/shop/rows/inner"
    (cd "$root/srv/shop" && chmod 2755 kept && chmod 1777 data && rmdir open gone && ln -s data open)
    printf '%s\n' "$asked" | probe
    says "bundle\t/srv/shop\t$digest"
    check "those that differ: $(value differs)" [ "$(value differs | sed "s|^/srv/shop$TAB/srv/shop/||" | sort)" = "-n
a b/it's \"two\"
back\\slash
gone
kept
key
mine
one
open
rows
ümlaut" ]
    says "file\t/srv/shop/one\t644\troot:root\t7\tregular\t$(echo edited | sum)\t\t0:0"
    says "content\t/srv/shop/one\t$(echo edited | base64)"
    says "file\t/srv/shop/back\\slash\t644\tdeploy:root\t10\tregular\t$(printf 'back\\slash' | sum)\t\t1000:0"
    says 'file\t/srv/shop/mine\t777\troot:root\t5\tsymlink\t\tother\t0:0'
    says 'file\t/srv/shop/-n\t644\troot:root\t0\tother\t\t\t0:0'
    matches '^file\t/srv/shop/rows\t755\troot:root\t[0-9]+\tdirectory\t\t\t0:0\tfull\tinner$'
    matches '^file\t/srv/shop/kept\t2755\t4321:4321\t[0-9]+\tdirectory\t\t\t4321:4321$'
    matches '^file\t/srv/shop/open\t777\troot:root\t[0-9]+\tsymlink\t\t\t0:0$'
    says 'file\t/srv/shop/gone'
    says 'file\t/srv/shop/ümlaut'
    says "record\t$state/seeds\tabc rows"
    says "record\t$state/seeds\t- theirs"
    never '^content\t/srv/shop/(key|mine|-n)'
    never 'stranger|/srv/shop/(shared|theirs|data)$'

    # Another bundle here, other lists there, or nothing at all.
    printf '%s\n' "bundle$TAB$state${TAB}0000$TAB/srv/shop" "bundle$TAB/none$TAB$digest$TAB/srv/shop" \
        "bundle$TAB/none$TAB$digest$TAB/srv/none" | probe
    never '^(bundle.*shop|differs|file)'
    says 'bundle\t/srv/none\tnone'
    mv "$root$state/expected" "$root$state/list"
    ln -s list "$root$state/expected"
    printf '%s\n' "$asked" | probe
    never '^(bundle|differs|file)'

    # A list of ours is brought whole, where it is another one.
    awk 'BEGIN { for (i = 0; i < 3000; i++) print "644 0 file number " i; printf "--end" }' | put "$state/manifest"
    probe <<QUESTIONS
record${TAB}$state/manifest${TAB}0000
record${TAB}$state/seeds${TAB}$(sum <"$root$state/seeds")
record${TAB}$state/none${TAB}-
QUESTIONS
    check "all lines of a list: $(grep -c '^record' "$root/opt/answer")" [ "$(grep -c '^record' "$root/opt/answer")" = 3001 ]
    says "record\t$state/manifest\t644 0 file number 2999"
    says "record\t$state/manifest\t--end"
    says "file\t$state/none"
    rm -rf "$root/srv/shop" "$root/var/lib/provision"
}

# spent COMMAND…: the processor time of a command and of all that it starts, in hundredths of a second.
spent() {
    python3 - "$@" <<'PYTHON'
import os, subprocess, sys
subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
times = os.times()
print(round((times.children_user + times.children_system) * 100))
PYTHON
}

# many N: a bundle of N files on the host, and $root/opt/program that asks for them by file or by digest.
many() {
    state=/var/lib/provision/stacks/many
    rm -rf "$root/srv/many" "$root$state"
    mkdir -p "$root$state" "$root/srv/many"
    (cd "$root/srv/many" && seq "$1" | split -l 1 -a 4 - file && find . -type f -exec sha256sum {} +) | sed 's|\./||' >"$root/opt/sums"
    awk '{ print "644 " $1 " " $2 }' "$root/opt/sums" >"$root$state/manifest"
    awk '{ print "644\t0:0\t" $1 "\tfile\t" $2 }' "$root/opt/sums" >"$root$state/expected"
    {
        cat "$root/opt/whole"
        if [ "$2" = digest ]; then
            printf 'bundle\t%s\t%s\t/srv/many\n' "$state" "$(cat "$root$state/manifest" "$root$state/expected" | sum)"
        else
            awk '{ print "file\t/srv/many/" $2 "\t" $1 }' "$root/opt/sums"
            printf 'manifest\t%s/manifest\t0\t/srv/many\n' "$state"
        fi
    } >"$root/opt/program"
}

# grows_evenly: whether, asked by $how, twice as many files take about twice the time, less what no file costs. Where
# each is held against all others it is four times. Sets $spent.
grows_evenly() {
    spent=
    for count in 0 5000 10000; do
        many "$count" "$how"
        # shellcheck disable=SC2086 # a shell may be two words
        spent="$spent $(spent chroot "$root" $way /opt/program)"
    done
    # shellcheck disable=SC2086 # numbers
    set -- $spent
    [ $((($3 - $1) * 10)) -le $((($2 - $1) * 26 + 60)) ]
}

is_linear() {
    for how in digest file; do
        # On a busy machine the same work takes longer at times.
        grows_evenly || grows_evenly
        check "by $how, 0, 5000 and 10000 files took$spent hundredths of a second" [ "$?" = 0 ]
    done
    rm -rf "$root/srv/many" "$root/var/lib/provision"
}

for way in $WAYS; do
    before=$passed
    always_answered
    the_port_behind_sudo
    packages_and_accounts
    files
    bundles
    disks_and_sources
    malformed
    conflicts
    docker_root
    docker_service
    other_engines
    locks
    state_of_cloud_init
    first_boots
    runs_and_leases
    what_is_reached
    docker_daemon
    firewalls
    ways
    units
    leaves_nothing
    printf '%s: %s passed\n' "$way" "$((passed - before))" >&2
done
for way in dash bash 'busybox sh'; do is_linear; done
printf '%s passed, %s failed\n' "$passed" "$failures"
[ "$failures" = 0 ]
