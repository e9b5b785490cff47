#!/bin/sh
# Runs what is sent to hosts, besides the probe (probe_test.sh), under several shells:
# the frame, the run's verbs, the runner with steps, and the judgement of containers.
#
# Needs root (for a mount namespace of its own: this machine stays as it is) and
# busybox. Prints `N passed, M failed`.
# shellcheck disable=SC2016 # what looks like a command must not become one
set -u
# Whatever the caller has: what is expected here depends on it.
umask 022
export LC_ALL=C TZ=UTC

HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

if [ "${1:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "$0: needs root, for a mount namespace of its own" >&2; exit 2; }
    for program in unshare dash bash busybox; do
        command -v "$program" >/dev/null || { echo "$0: needs $program" >&2; exit 2; }
    done
    exec unshare --mount sh "$HERE/${0##*/}" inside
fi

# /var/lib/provision is this test's own.
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/upper /mnt/work /mnt/tools
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/mnt/upper,workdir=/mnt/work /var/lib || exit 2
rm -rf /var/lib/provision
units=/etc/systemd/system
[ ! -d "$units" ] || mount -t tmpfs tmpfs "$units" || exit 2
# Another test may run beside this one.
{ mkdir -p /run/provision && mount -t tmpfs tmpfs /run/provision; } || exit 2
base=/var/lib/provision

passed=0 failures=0
check() {
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failures=$((failures + 1))
        printf '%s: FAILED: %s\n' "$way" "$what" >&2
    fi
}
is() {
    [ "$1" = "$2" ] || { printf 'got:  %s\nwant: %s\n' "$1" "$2" >&2; return 1; }
}
has() {
    case $1 in *"$2"*) ;; *) printf 'got:  %s\nwant: …%s…\n' "$1" "$2" >&2; return 1 ;; esac
}

# --- the frame -------------------------------------------------------------------

# framed SIZE LOGIN: the frame around the program on stdin, as a login shell is given it.
framed() {
    text=$(grep -v '^[[:space:]]*#' "$HERE/bootstrap.sh" | sed 's/^[[:space:]]*//' | tr '\n' ' ')
    case $text in *"'"*) echo 'a single quote in the frame'; return ;; esac
    if [ "$2" = root ]; then
        sh -c "$text" provision tag "$1"
    else
        setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$text" provision tag "$1"
    fi
}

frame() {
    program='echo out; echo err >&2; read -r line && echo "read $line"; exit 7'
    got=$(printf '%s' "$program" | framed ${#program} root 2>/dev/null)
    check 'a program runs, reads nothing, and its code is framed' is "$got" '@tag begin
out

@tag exit 7'
    check 'a program that arrives short does not run' \
        is "$(printf 'echo never' | framed 99 root)" '@tag short'
    program='printf unfinished'
    check 'a last line without its end is a line' is "$(printf '%s' "$program" | framed ${#program} root)" '@tag begin
unfinished
@tag exit 0'
    check 'nothing is left behind' is "$(find /dev/shm /run /tmp -maxdepth 1 -name 'provision.????????*')" ''
    mount -t tmpfs -o size=16k tmpfs /dev/shm
    head -c 100000 /dev/zero >/dev/shm/full 2>/dev/null
    check 'memory that another user has filled is gone around' \
        is "$(printf '%s' "$program" | framed ${#program} root 2>/dev/null)" '@tag begin
unfinished
@tag exit 0'
    umount /dev/shm
    mkdir -p /mnt/none
    for tool in mktemp head wc id rm sh; do ln -sf "$(command -v "$tool")" "/mnt/none/$tool"; done
    program='echo never'
    got=$(printf '%s' "$program" | PATH=/mnt/none framed_without_sudo ${#program})
    check 'without root and sudo it says so' is "$got" '@tag no-sudo'
    rm -rf /mnt/none
}

framed_without_sudo() {
    text=$(PATH=/usr/bin:/bin; grep -v '^[[:space:]]*#' "$HERE/bootstrap.sh" | sed 's/^[[:space:]]*//' | tr '\n' ' ')
    /usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$text" provision tag "$1"
}

# --- the verbs of run.sh ------------------------------------------------------------

# ask VERB RUN [FROM]
ask() {
    grep -v '^[[:space:]]*#' "$HERE/run.sh" >/mnt/ask
    printf 'verb %s\nrun %s\nholder me@here\nfrom %s\npayload 0\n' "$1" "$2" "${3:-1}" >>/mnt/ask
    timeout 60 sh /mnt/ask
}

verbs() {
    run=20260101-000000-abcd
    mkdir -p "$base/runs/$run/kept/etc"
    echo me@here >"$base/runs/$run/holder"
    echo old >"$base/runs/$run/kept/etc/file"
    printf '%s\n' "1000 run start $run 1 me@here" '1010 change start 001 a/b' '1020 output 001 $(touch /mnt/pwned) \n %s' \
        '1030 change applied 001 a/b' '1040 run completed' >"$base/runs/$run/journal"
    check 'follow tells the whole journal' is "$(ask follow "$run")" "following $run
$(cat "$base/runs/$run/journal")"
    check 'follow goes on from a line' is "$(ask follow "$run" 5)" "following $run
1040 run completed"
    check 'list knows how it ended' is "$(ask list '')" "$run	completed	1000	1040	1	me@here"
    got=$(ask show "$run")
    check 'show names kept files' has "$got" "kept	$base/runs/$run/kept/etc/file"
    check 'show has the journal' has "$got" '1040 run completed'
    check 'a run that is not there is not followed' is "$(ask follow 20260101-000000-ffff)" 'no-run'
    check 'no path is a run' is "$(ask follow ../../etc; echo $?)" '64'
    # shellcheck disable=SC2094 # the first four lines of it
    printf '%s\n' "$(head -n 3 "$base/runs/$run/journal")" >"$base/runs/$run/journal"
    check 'a run without an end and a unit has died' has "$(ask follow "$run")" 'died'
    check 'list says so, too' has "$(ask list '')" 'died'
    ask prove "$run"
    check 'what is not awaited is not proven' is "$? $(ls "$base/runs/$run")" "66 $(printf 'holder\njournal\nkept')"
    : >"$base/runs/$run/awaits"
    ask prove "$run"
    check 'what is awaited is proven' [ -e "$base/runs/$run/proven" ]
    ask cancel "$run"
    check 'cancel leaves word' [ -e "$base/runs/$run/cancel" ]
    check 'nothing in a journal is a command' [ ! -e /mnt/pwned ]
    rm -rf "$base"
}

# --- the runner and a step -------------------------------------------------------------

# prepare: a run of three changes: one that is already so, one that places files, one that fails.
prepare() {
    dir=$base/runs/20260101-000000-abcd
    mkdir -p "$dir/changes/002/files" "$dir/changes/002/arg" "$dir/changes/001" "$dir/changes/003" "$dir/steps"
    cp "$HERE/runner.sh" "$HERE/step.sh" "$HERE/place.pl" "$dir/"
    echo me@here >"$dir/holder"
    : >"$dir/journal"
    printf '%s\n' '001 try so 5 try/so' '002 try files 5 try/files place two files' '003 try fails 5 try/fails' >"$dir/changes/list"
    printf 'two words\n' >"$dir/changes/002/arg/value"
    printf 'new\n' >"$dir/changes/002/files/1"
    mkdir -p /mnt/there
    printf 'old\n' >/mnt/there/one
    printf 'gone\n' >'/mnt/there/a b'
    sum=$(sha256sum <"$dir/changes/002/files/1")
    printf '640\troot:root\t%s\t/mnt/there/one\n0\troot:root\t-\t/mnt/there/a b\n' "${sum%% *}" >"$dir/changes/002/files/list"
    cat >"$dir/steps/try.sh" <<'STEP'
so_guard() { :; }
so_apply() { echo never; }
so_verify() { :; }
files_guard() { files_placed; }
files_apply() { say "$(arg value) $(arg missing default)"; notice "it takes a while"; await_proof; result "all is well: now"; place_files; cat; printf 'no end'; }
files_verify() { files_placed || fail "not placed"; }
fails_guard() { return 1; }
fails_apply() { sh -c 'echo "hint: from a container"'; hint "do that: now"; fail "it failed"; }
fails_verify() { return 1; }
STEP
}

runner() {
    prepare
    (cd / && timeout 60 sh "$dir/runner.sh" "$dir" </dev/null)
    check 'a run that fails says so' is "$?" 1
    # src/run/journal.rs reads the same text.
    check 'its journal' is "$(sed 's/^[0-9]* //' "$dir/journal")" "$(cat "$HERE/../tests/fixtures/journals/2.txt")"
    check 'times are milliseconds since 1970' \
        [ "$(($(head -n 1 "$dir/journal" | cut -d' ' -f1) / 1000 - $(date +%s)))" -ge -30 ]
    check 'a file is placed' is "$(cat /mnt/there/one; stat -c %a /mnt/there/one)" 'new
640'
    check 'its former version is kept' is "$(cat "$dir/kept/mnt/there/one")" old
    check 'a file is removed' [ ! -e '/mnt/there/a b' ]
    check 'and kept' is "$(cat "$dir/kept/mnt/there/a b")" gone
    check 'what was sent is gone' [ ! -e "$dir/changes" ]
    # Whoever can open a file can hold a lock on it.
    check 'locks are where no other user gets' is "$(stat -c %a /run/provision)" 700
    rm -rf "$base"
    prepare
    : >"$dir/cancel"
    timeout 60 sh "$dir/runner.sh" "$dir" </dev/null
    check 'a run that is cancelled makes no change' is "$(sed 's/^[0-9]* //' "$dir/journal" | tail -n +3)" 'run cancelled'
    rm -rf "$base"
}

# --- a change that may cut the way in ------------------------------------------------------

# cutting LINE…: a change that does so, under watch; what it says, and its code. /mnt/net holds what
# the kernel would say: routes, bridges, and the interface that leads to the person.
cutting() {
    cuts_as_planned "$@"
    timeout 60 sh "$HERE/step.sh" /mnt/place apply 001 </dev/null 2>/dev/null
    echo "code $?"
    rm -rf /run/provision/place
}

# cuts_as_planned LINE…: the same, ready to be made.
cuts_as_planned() {
    rm -rf /mnt/place /mnt/net "$base"
    mkdir -p /mnt/place/changes/001/arg /mnt/place/steps /mnt/net /run/provision/place
    printf '001 try cuts 5 try/cuts\n' >/mnt/place/changes/list
    printf 'new-connection' >/mnt/place/changes/001/arg/way
    printf '198.51.100.7' >/mnt/place/changes/001/arg/client
    printf '%s' "${limit:-1}" >/mnt/place/changes/001/arg/revert_after
    echo 'default via 192.0.2.1 dev eth0' >/mnt/net/routes
    echo '3: docker0: <UP>' >/mnt/net/bridges
    echo eth0 >/mnt/net/device
    cp "$HERE/step.sh" "$HERE/way-back.sh" /mnt/place/
    cat >/mnt/place/steps/try.sh <<'STEP'
ip() {
    case $* in
        'route get 198.51.100.7') printf '198.51.100.7 dev %s src 192.0.2.7\n' "$(cat /mnt/net/device)" ;;
        'route get '*) echo "$3 dev eth0" ;;
        '-4 route show table main') cat /mnt/net/routes ;;
        *'type bridge') cat /mnt/net/bridges ;;
        *'address show to 198.51.100.7') echo '4: br-new    inet 198.51.100.7/24 scope global br-new' ;;
        'route show dev br-new'*) echo '198.51.100.0/24 scope link' ;;
    esac
}
docker() { :; }
cuts_back() { echo back >>/mnt/net/back; kill -s KILL -- "-$1" 2>/dev/null; }
STEP
    { echo 'cuts_apply() {'; printf '%s\n' "$@"; echo '}'; } >>/mnt/place/steps/try.sh
    mkdir -p "$base" "$units"
    # A machine that stops, where the test says so; a Docker that has started.
    cat >>/mnt/place/steps/try.sh <<'STEP'
systemctl() { case $1 in is-system-running) cat /mnt/net/system ;; is-active) echo active ;; esac; }
STEP
    echo running >/mnt/net/system
}

# interrupted_by boot|kill BEFORE LINE…: the change under watch ends in the middle of it, once BEFORE is
# there, with its host or by itself; then what comes after it has its turn. The end of the run's journal.
interrupted_by() {
    how=$1 before=$2
    shift 2
    cuts_as_planned "$@"
    setsid sh "$HERE/step.sh" /mnt/place apply 001 </dev/null >/mnt/net/said 2>/dev/null &
    leader=$!
    printf '1 run start x 1 me@here\n2 change sta' >/mnt/place/journal
    until [ -e "$before" ]; do sleep 0.1; done
    sleep 0.5
    # A bare Debian has no ps.
    # shellcheck disable=SC2046 # numbers
    kill -s KILL "$leader" $(sed -n "s/^\([0-9]*\) (.*) [A-Z] $leader .*/\1/p" /proc/[0-9]*/stat 2>/dev/null)
    wait "$leader" 2>/dev/null
    rm -rf /run/provision/place
    sh -c "${later:-:}"
    [ ! -e "$base/way-back/armed" ] || {
        [ "$how" = boot ] || sh "$base/way-back/step.sh" "$base/way-back" left armed
        [ "$how" != boot ] || sh -c "$(sed -n 's/^ExecStart=//p' "$units"/provision-run-place.service)"
    }
    sed 's/^[0-9]* //' /mnt/place/journal
    find "$base" "$units" -type f
}

going_down() {
    route='echo 203.0.113.0/24 dev docker0 >>/mnt/net/routes; sleep 10' limit=60
    for how in boot kill; do
        said=$(interrupted_by "$how" /mnt/place/awaits "$route")
        case $how in boot) why='this host went down' ;; *) why='the run was killed' ;; esac
        check "$how: what awaits a proof is undone, and told" has "$said" "change failed 001 apply 1 try/cuts
run failed"
        check "$how: why" has "$said" "output 001 error: Docker was stopped again: $why before a new connection from the laptop had succeeded"
        check "$how: once" is "$(cat /mnt/net/back)" back
        check "$how: nothing is left behind" is "$(find "$base" "$units" -type f -o -type l)" ''
        said=$(interrupted_by "$how" /mnt/net/began ': >/mnt/net/began; sleep 10')
        check "$how: what changed no route goes on as it is" is "$said" 'run start x 1 me@here
change sta'
        check "$how: and is not undone" [ ! -e /mnt/net/back ]
        check "$how: nothing is left behind then" is "$(find "$base" "$units" -type f -o -type l)" ''
    done
    # A route that came in the last moment.
    later='echo "4: br-new: <UP>" >>/mnt/net/bridges; echo br-new >/mnt/net/device'
    said=$(interrupted_by boot /mnt/net/began ': >/mnt/net/began; sleep 10')
    later=
    check 'a way that is lost after the boot is undone' has "$said" 'lies in the new network 198.51.100.0/24'
    # Orderly: systemd ends all of it.
    cuts_as_planned "$route"
    echo stopping >/mnt/net/system
    timeout 60 sh "$HERE/step.sh" /mnt/place apply 001 </dev/null >/dev/null 2>&1 &
    until [ -e /mnt/place/awaits ]; do sleep 0.1; done
    kill -s TERM $!
    wait $!
    sleep 0.3
    check 'a host that is shut down keeps what it has to do' [ -e "$base/way-back/armed" ]
    check 'at the next boot' [ -L "$units/multi-user.target.wants/provision-run-place.service" ]
    check 'and not before' is "$(sh "$base/way-back/step.sh" "$base/way-back" left armed; cat /mnt/net/back 2>&1)" \
        'cat: /mnt/net/back: No such file or directory'
    limit=
    rm -rf /mnt/place /mnt/net "$base" "${units:?}"/*
}

# A bridge is Docker's by its whole name.
names_of_bridges() {
    for name in docker0 docker_gwbridge br-0123456789ab; do check "$name is Docker's" of_docker "$name"; done
    for name in br-lan br-0 br-0123456789a br-0123456789abc br-0123456789aX br- br0 docker1 lo; do
        check "$name is not" eval '! of_docker "$name"'
    done
}

# shellcheck source=/dev/null
of_docker() { (. "$HERE/way-back.sh" && is_dockers "$1"); }

watching() {
    check 'a change that leaves the routes alone needs no proof' is "$(cutting 'echo done')" 'done
code 0'
    check 'its failure is its own' is "$(cutting 'fail no')" 'error: no
code 1'
    check 'another route asks for a proof' is "$(cutting 'echo 203.0.113.0/24 dev docker0 >>/mnt/net/routes' \
        'while [ ! -e /mnt/place/awaits ]; do sleep 0.1; done; : >/mnt/place/proven; sleep 0.5')" 'await: new-connection
code 0'
    check 'nothing is undone' [ ! -e /mnt/net/back ]
    said=$(cutting 'echo 203.0.113.0/24 dev docker0 >>/mnt/net/routes' 'sleep 10')
    check 'without a proof it is undone' has "$said" 'no new connection from the laptop succeeded within 1 seconds'
    check 'once' is "$(cat /mnt/net/back)" back
    said=$(cutting 'echo "4: br-new: <UP>" >>/mnt/net/bridges; echo br-new >/mnt/net/device' \
        'echo 198.51.100.0/24 dev br-new >>/mnt/net/routes; sleep 10')
    check 'a network over the client is undone' has "$said" \
        'error: Docker was stopped again: 198.51.100.7 (the address that you connect from) lies in the new network 198.51.100.0/24'
    check 'and no proof is asked for' [ "$said" = "${said#*await}" ]
    check 'its code' has "$said" 'code 1'
    said=$(cutting 'echo "4: br-new: <UP>" >>/mnt/net/bridges; echo lo >/mnt/net/device' \
        'echo 198.51.100.0/24 dev br-new >>/mnt/net/routes; sleep 10')
    check 'so is one whose bridge takes the client address itself' has "$said" 'lies in the new network 198.51.100.0/24'
    said=$(cutting 'echo eth1 >/mnt/net/device; echo 198.51.100.0/24 dev eth1 >>/mnt/net/routes' \
        'while [ ! -e /mnt/place/awaits ]; do sleep 0.1; done; : >/mnt/place/proven')
    check 'another way that is no new bridge is proven' is "$said" 'await: new-connection
code 0'
    rm -rf /mnt/place /mnt/net
}

# --- files in a folder that others may write to -------------------------------------------

# placing FOLDER PATH…: the phase that places a file with the content `new` at each path below
# FOLDER, of which nothing is to be trusted; its last line and code. With $others files besides.
others=0
placing() {
    folder=$1
    shift
    rm -rf /mnt/place
    mkdir -p /mnt/place/changes/001/files /mnt/place/steps
    cp "$HERE/place.pl" /mnt/place/
    printf '001 try files 5 try/files\n' >/mnt/place/changes/list
    printf 'trusted=%s\nfiles_apply() { place_files; }\n' "$folder" >/mnt/place/steps/try.sh
    number=0
    for path; do
        number=$((number + 1))
        echo new >"/mnt/place/changes/001/files/$number"
        sum=$(echo new | sha256sum)
        printf '640\troot:root\t%s\t%s\n' "${sum%% *}" "$folder/$path" >>/mnt/place/changes/001/files/list
    done
    while [ "$number" -lt "$others" ]; do
        number=$((number + 1))
        echo new >"/mnt/place/changes/001/files/$number"
        printf '640\troot:root\t%s\t%s\n' "${sum%% *}" "/mnt/others/$number" >>/mnt/place/changes/001/files/list
    done
    mkdir -p /run/provision/place
    sh "$HERE/step.sh" /mnt/place apply 001 2>&1 | tail -n 1
    rm -rf /run/provision/place
}

# The same disk as that of the run, and another one.
links() {
    for place in "$base/there" /mnt/links; do
        rm -rf "$place" /mnt/target
        mkdir -p "$place/deep" /mnt/target
        echo theirs | tee /mnt/target/file >/mnt/target/app.yml
        ln -s /mnt/target "$place/folder"
        ln -s /mnt/target/file "$place/app.yml"
        ln -s /mnt/target/file "$place/app.yml.provision-new"
        check 'a link in the way is replaced' is "$(placing "$place" app.yml deep/er/x)" ''
        check 'by a file' is "$(stat -c '%F %a' "$place/app.yml"; cat "$place/app.yml" "$place/deep/er/x")" 'regular file 640
new
new'
        check 'a folder that is a link is not entered' \
            has "$(placing "$place" folder/app.yml)" "error: the folder of $place/folder/app.yml could not be entered"
        check 'what the links lead to is as it was' is "$(cat /mnt/target/*)" 'theirs
theirs'
        check 'nothing is left behind' is "$(cd "$place" && find . | LC_ALL=C sort | tr '\n' ' ')" \
            '. ./app.yml ./app.yml.provision-new ./deep ./deep/er ./deep/er/x ./folder '
        # The folder itself may be a link: that is its owner's.
        ln -s "$place" /mnt/linked
        check 'a stack in a folder that is a link' is "$(placing /mnt/linked deep/y; cat "$place/deep/y")" new
        rm -f /mnt/linked
    done
    rm -rf "$base" /mnt/target /mnt/links /mnt/place
}

# What Docker has made where a file was missing.
folders_in_the_way() {
    mkdir -p /mnt/links/app.yml/in/it /mnt/links/full.yml
    : >/mnt/links/full.yml/theirs
    check 'an empty folder gives way' is "$(placing /mnt/links app.yml; cat /mnt/links/app.yml)" new
    check 'a folder with something in it does not' has "$(placing /mnt/links full.yml)" 'is a folder on the host that is not empty'
    check 'and keeps it' [ -e /mnt/links/full.yml/theirs ]
    rm -rf /mnt/links /mnt/place
}

# --- many files at once ------------------------------------------------------------------

# told NAME CONTENT [MODE OWNER]: a file of a change that is being made in /mnt/place.
told() {
    number=$((number + 1))
    printf '%s' "$2" >"/mnt/place/changes/001/files/$number"
    touch -d 1970-01-02 "/mnt/place/changes/001/files/$number"
    sum=$(sha256sum <"/mnt/place/changes/001/files/$number")
    printf '%s\t%s\t%s\t%s\n' "${3:-644}" "${4:-root:root}" "${sum%% *}" "/mnt/many/$1" >>/mnt/place/changes/001/files/list
}
untold() {
    number=$((number + 1))
    printf '0\troot:root\t-\t%s\n' "/mnt/many/$1" >>/mnt/place/changes/001/files/list
}

# step PHASE: what it says, and its code.
step() {
    mkdir -p /run/provision/place
    sh "$HERE/step.sh" /mnt/place "$1" 001 2>&1
    echo "code $?"
    rm -rf /run/provision/place
}

many_files() {
    for count in 2 30; do
        rm -rf /mnt/place /mnt/many
        mkdir -p /mnt/place/changes/001/files /mnt/place/steps /mnt/many/was-folder /mnt/many/empty/in
        cp "$HERE/place.pl" /mnt/place/
        printf '001 try files 5 try/files\n' >/mnt/place/changes/list
        printf 'trusted=/mnt/many\nseed_paths() { printf "/mnt/many/%%s\\n" rows theirs; }\n' >/mnt/place/steps/try.sh
        printf '%s\n' 'rights() { printf "750\t4321:0\ta b\n1777\troot:root\twas-file/deep\n"; }' >>/mnt/place/steps/try.sh
        printf 'files_guard() { files_placed; }\nfiles_apply() { place_files; }\nfiles_verify() { files_placed; }\n' >>/mnt/place/steps/try.sh
        for name in same edited was-file was-folder/below gone rows linked; do printf old >"/mnt/many/$name"; done
        ln -s gone "/mnt/many/link"
        ln -s nowhere "/mnt/many/dangling"
        printf same >/mnt/many/same
        chmod 600 /mnt/many/same
        number=0
        untold was-folder/below
        untold was-file
        told same same 640 4321:4321
        told edited new 600
        told was-file/deep/er new
        told was-folder new
        told empty new
        told dangling new
        told rows new
        told theirs new
        told 'a b/it'"'"'s "ü"' new
        told 'back\slash' new
        told '$(touch /mnt/pwned)' new
        told '-n' new
        while [ "$number" -lt "$count" ]; do told "more/$number/x" "$number"; done
        untold gone
        untold link
        # Sixteen are placed one by one.
        [ "$number" = 16 ] || untold nothing/at/all
        check 'the guard knows that they are not there' is "$(step guard)" 'code 1'
        check 'they are placed' is "$(step apply)" 'code 0'
        check 'and stand as they should' is "$(step verify)" 'code 0'
        check 'with their modes and owners' is \
            "$(cd /mnt/many && stat -c '%F %a %u %n' same edited was-file/deep/er was-folder empty dangling)" 'regular file 640 4321 same
regular file 600 0 edited
regular file 644 0 was-file/deep/er
regular file 644 0 was-folder
regular file 644 0 empty
regular file 644 0 dangling'
        check 'new folders have theirs' is "$(cd /mnt/many && stat -c '%a %u:%g %n' 'a b' was-file was-file/deep)" '750 4321:0 a b
755 0:0 was-file
1777 0:0 was-file/deep'
        check 'an application keeps what is its own' is "$(cat /mnt/many/rows /mnt/many/theirs)" oldnew
        check 'odd names are names' is "$(cat "/mnt/many/a b/it's \"ü\"" '/mnt/many/back\slash' '/mnt/many/$(touch /mnt/pwned)' /mnt/many/-n)" newnewnewnew
        check 'nothing of them was executed' [ ! -e /mnt/pwned ]
        check 'what is no longer sent is gone' [ ! -e /mnt/many/gone ]
        check 'also a link' [ ! -L /mnt/many/link ]
        check 'what stood there is kept' is "$(cd /mnt/place/kept/mnt/many && cat edited was-file was-folder/below gone)" oldoldoldold
        check 'what was as it is now is not' [ ! -e /mnt/place/kept/mnt/many/same ]
        check 'they are as new as they are' [ -n "$(find /mnt/many/edited -mmin -10)" ]
        check 'nothing else is left behind' is "$(cd /mnt/many && find . -path './more' -prune -o -print | LC_ALL=C sort | tr '\n' ' ')" \
            '. ./$(touch  ./$(touch /mnt ./$(touch /mnt/pwned) ./-n ./a b ./a b/it'"'"'s "ü" ./back\slash ./dangling ./edited ./empty ./linked ./rows ./same ./theirs ./was-file ./was-file/deep ./was-file/deep/er ./was-folder '
        for change in 'echo x >/mnt/many/edited' 'chmod 777 /mnt/many/edited' 'chown 5:5 /mnt/many/edited' 'rm /mnt/many/rows' \
            'echo x >/mnt/many/gone' 'mv /mnt/many/edited /mnt/many/e; ln -s e /mnt/many/edited' 'echo x >"/mnt/many/back\slash"'; do
            cp -a /mnt/many /mnt/saved
            eval "$change"
            check "it is seen after: $change" is "$(step verify)" 'code 1'
            rm -rf /mnt/many
            mv /mnt/saved /mnt/many
        done
        check 'and all is as it was' is "$(step verify)" 'code 0'
    done
    # A file that was sent and goes, which is reached by a link now, is another one.
    for count in 1 20; do
        rm -rf /mnt/many /mnt/theirs /mnt/place/changes/001/files/list
        mkdir -p /mnt/many /mnt/theirs
        : >/mnt/theirs/a
        ln -s /mnt/theirs /mnt/many/away
        number=0
        untold away/a
        while [ "$number" -lt "$count" ]; do told "more/$number" "$number"; done
        check 'a file behind a link is left alone' is "$(step apply)" 'notice: /mnt/many/away/a is reached by a link now, and is left alone
code 0'
        check 'and in no way' is "$(step verify; ls /mnt/theirs)" 'code 0
a'
    done
    # One that is not what it was is named, and none is placed.
    number=0
    rm -f /mnt/place/changes/001/files/list
    for name in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do told "again/$name" "$name"; done
    echo x >/mnt/place/changes/001/files/17
    check 'what arrived damaged is not placed' is "$(step apply)" 'error: /mnt/many/again/17 arrived damaged
code 1'
    check 'nor are the others' [ ! -e /mnt/many/again ]
    rm -rf /mnt/place /mnt/many /mnt/theirs
}

# --- a bundle takes its place --------------------------------------------------------------

# sending FOLDER PATH CONTENT…: a run that sends these files of the stack `t`; what it says, and its code.
# Compose sees them with those that are there, in /mnt/seen.
sent_mode=644
sending() {
    folder=$1
    shift
    rm -rf /mnt/place
    mkdir -p /mnt/place/changes/001/files /mnt/place/changes/001/arg /mnt/place/steps
    cp "$HERE/place.pl" /mnt/place/
    printf '001 stack bundle 30 stack/bundle\n' >/mnt/place/changes/list
    {
        cat "$HERE/steps/stack.sh" "$HERE/steps/bundle.sh"
        printf '%s\n' 'docker() { (find . ! -type d | LC_ALL=C sort; cat compose.yaml conf/*) >/mnt/seen 2>&1; [ ! -e /mnt/refuse ]; }'
    } >/mnt/place/steps/stack.sh
    cd /mnt/place/changes/001/arg || return
    printf t >name
    printf '%s' "$folder" >folder
    printf 'me' >origin
    printf 'lists' >expected
    printf 'abc data/rows\n' >seeds
    number=0
    while [ $# -gt 0 ]; do
        number=$((number + 1))
        printf '%s' "$2" >"../files/$number"
        sum=$(sha256sum <"../files/$number")
        printf '%s\troot:root\t%s\t%s\n' "$sent_mode" "${sum%% *}" "$folder/$1" >>../files/list
        shift 2
    done
    cp /mnt/manifest manifest
    cd / || return
    step apply
}

bundles_are_sent() {
    state=$base/stacks/t
    # The same disk as that of the previous bundle, and another one.
    for folder in "$base/t" /mnt/t; do
        rm -rf "$folder" "$state"
        printf '644 x compose.yaml\n644 x conf/a b\n644 x conf/ü\n644 x conf/$(touch x)\n' >/mnt/manifest
        check 'a bundle is sent' is "$(sending "$folder" compose.yaml one 'conf/a b' two conf/ü three 'conf/$(touch x)' four data/rows five)" 'code 0'
        check 'Compose sees all of it' is "$(cat /mnt/seen)" './compose.yaml
./conf/$(touch x)
./conf/a b
./conf/ü
./data/rows
onefourtwothree'
        check 'the lists stand beside it' is "$(cat "$state/manifest" "$state/expected" "$state/origin")" "$(cat /mnt/manifest)
listsme"
        : >"$state/applied"
        echo of a year >"$folder/data/rows"
        : >/mnt/refuse
        has_said=$(sending "$folder" 'conf/a b' TWO)
        check 'what Compose refuses is not placed' has "$has_said" 'error: Compose does not accept the project'
        check 'nor is anything moved' is "$(cat "$folder/conf/a b"; ls "$state/previous" 2>&1)" "twols: cannot access '$state/previous': No such file or directory"
        rm -f /mnt/refuse
        chmod 700 "$folder/conf"
        check 'one of its files is sent' is "$(sending "$folder" 'conf/a b' TWO)" 'code 0'
        check 'Compose sees it with the others' is "$(tail -n 1 /mnt/seen)" onefourTWOthree
        check 'it is in its place' is "$(cat "$folder"/conf/* "$folder/data/rows")" 'fourTWOthreeof a year'
        check 'the previous ones are at hand' is "$(cd "$state/previous" && find . ! -type d | LC_ALL=C sort; cat "$state/previous/conf"/*)" './compose.yaml
./conf/$(touch x)
./conf/a b
./conf/ü
fourtwothree'
        check 'in a folder as it is here' is "$(stat -c '%a %u:%g' "$state/previous/conf")" '700 0:0'
        check 'nothing else is left there' is "$(ls "$state")" 'expected
folder
folders
manifest
origin
previous
previous.applied
previous.manifest
seeds'
        # By hand, as a failure names it; and as a start that is undone does it.
        back=$(sed -n "s|.*sudo sh -c '\(cp -a .*previous/. .folder\) .*|\1|p" "$HERE/steps/stack.sh" | head -n 1)
        check 'the way back by hand' is "$(state=$state folder=$folder sh -c "$back" 2>&1; cat "$folder"/conf/* "$folder/data/rows")" 'fourtwothreeof a year'
        sending "$folder" 'conf/a b' TWO >/dev/null
        : >"$state/applied"
        sending "$folder" 'conf/a b' 2 >/dev/null
        printf '%s\n' 'bundle_apply() { previous_bundle; }' >>/mnt/place/steps/stack.sh
        check 'and that of a start' is "$(step apply; cat "$folder"/conf/* "$folder/data/rows"; (cd "$state" && echo *applied))" 'code 0
fourTWOthreeof a year
applied'
        : >"$state/applied"
        sent_mode=600
        sending "$folder" conf/ü three >/dev/null
        sent_mode=644
        check 'other permissions alone leave the previous ones as they were' is \
            "$(stat -c %a "$folder/conf/ü" "$state/previous/conf/ü")" '600
644'
    done
    rm -rf "$base" /mnt/t /mnt/place /mnt/seen /mnt/manifest
}

# --- folders of a stack, and their permissions ----------------------------------------------

# in_stack PHASE LINES FILE…: a phase that gives folders of /mnt/stack what LINES say, and places files.
in_stack() {
    phase=$1
    mkdir -p /mnt/place/changes/001/files /mnt/place/changes/001/arg /mnt/place/steps /mnt/stacks /run/provision/place
    printf '001 try files 5 try/files\n' >/mnt/place/changes/list
    printf 'folder=/mnt/stack trusted=/mnt/stack state=/mnt/stacks keeps=new\n. "%s/steps/bundle.sh"\n' "$HERE" >/mnt/place/steps/try.sh
    printf 'files_apply() { place_files && place_folders && keep_applied; }\nfiles_verify() { files_placed && folders_placed; }\n' >>/mnt/place/steps/try.sh
    printf '%b' "$2" >/mnt/place/changes/001/arg/folders
    : >/mnt/place/changes/001/files/list
    shift 2
    number=0
    for path; do
        number=$((number + 1))
        echo new >"/mnt/place/changes/001/files/$number"
        sum=$(echo new | sha256sum)
        printf '640\troot:root\t%s\t/mnt/stack/%s\n' "${sum%% *}" "$path" >>/mnt/place/changes/001/files/list
    done
    sh "$HERE/step.sh" /mnt/place "$phase" 001 2>&1
    echo "$?"
    rm -rf /run/provision/place
}

folders_have_permissions() {
    lines='700\troot:root\tkept\tkeys\n1777\t12:34\tseed\tan odd  one \n750\t12:0\tkept\tkeys/in\n'
    mkdir -p /mnt/stacks
    printf 'old\nsecrets\n' >/mnt/stacks/applied
    check 'folders are made and files placed' is "$(in_stack apply "$lines" keys/in/a 'an odd  one /b' c/d/e)" 0
    has_modes() { (cd /mnt/stack && find . -type d -exec stat -c '%a %u:%g %n' {} + | LC_ALL=C sort -k 3); }
    expected='755 0:0 .
1777 12:34 ./an odd  one 
755 0:0 ./c
755 0:0 ./c/d
700 0:0 ./keys
750 12:0 ./keys/in'
    check 'with their permissions' is "$(has_modes)" "$expected"
    check 'all of it is there' is "$(in_stack verify "$lines" keys/in/a)" 0
    check 'the last start counts for it' is "$(cat /mnt/stacks/applied)" 'new
secrets'
    # The host has others: what is the application's stays as it is.
    chmod 2777 /mnt/stack/keys && chown 5:6 /mnt/stack/keys && chmod 700 '/mnt/stack/an odd  one '
    check 'that is seen' is "$(in_stack verify "$lines")" 1
    check 'and set' is "$(in_stack apply "$lines")" 0
    check 'but for those of applications' is "$(has_modes)" "$(printf '%s' "$expected" | sed 's/^1777/700/')"
    check 'which is right' is "$(in_stack verify "$lines")" 0
    rm -rf /mnt/stack/keys /mnt/target && mkdir /mnt/target && ln -s /mnt/target /mnt/stack/keys
    check 'no link is followed' has "$(in_stack apply "$lines" | head -n 2)" 'error: the folder /mnt/stack/keys could not be entered'
    check 'and what it leads to stays' is "$(stat -c '%a %u' /mnt/target; in_stack verify "$lines")" '755 0
1'
    # A file that was sent and goes, which is reached by a link now, is another one.
    : >/mnt/target/a
    in_stack verify '' >/dev/null
    printf '0\troot:root\t-\t/mnt/stack/keys/a\n' >/mnt/place/changes/001/files/list
    mkdir -p /run/provision/place
    check 'a file behind a link is left alone' \
        has "$(sh "$HERE/step.sh" /mnt/place apply 001 2>&1)" 'notice: /mnt/stack/keys/a is reached by a link now'
    check 'and in no way' is "$(sh "$HERE/step.sh" /mnt/place verify 001 2>&1; echo "$?"; ls /mnt/target)" '0
a'
    # No file is sent where the record alone differs: then only that tells whether it was done.
    mkdir -p /mnt/place/arg
    echo new >/mnt/place/arg/manifest
    echo folders >/mnt/place/arg/known_folders
    # shellcheck disable=SC1091,SC2034,SC2317 # bundle.sh asks for them
    as_bundle() {
        (change=/mnt/place folder=/mnt/stack state=/mnt/stacks
            arg() { cat "$change/arg/$1"; }
            fail() { echo "error: $*"; exit 1; }
            files_placed() { :; }
            . "$HERE/steps/bundle.sh"
            folders_placed() { :; }
            "$1" && echo yes)
    }
    echo old >/mnt/stacks/manifest
    check 'an old record is not what was sent' has "$(as_bundle bundle_verify)" 'error: the record of what was sent to /mnt/stack'
    cp /mnt/place/arg/manifest /mnt/stacks/manifest
    cp /mnt/place/arg/known_folders /mnt/stacks/folders
    printf /mnt/before >/mnt/stacks/folder
    check 'nor is one of another folder' has "$(as_bundle bundle_verify)" 'error: the record of what was sent to /mnt/stack'
    printf /mnt/stack >/mnt/stacks/folder
    check 'a new one is' is "$(as_bundle bundle_verify; as_bundle bundle_guard)" 'yes
yes'
    rm -rf /mnt/stack /mnt/stacks /mnt/place /mnt/target /run/provision/place
}

# --- containers ------------------------------------------------------------------------

# judged SERVICES CONTAINERS: what stack.sh makes of lines as docker prints them, and its code.
judged() {
    mkdir -p /mnt/change/arg
    printf 'x' >/mnt/change/arg/name
    printf '/mnt' >/mnt/change/arg/folder
    printf '%b' "$1" >/mnt/change/arg/services
    printf '%b' "$2" >/mnt/judged
    cat >/mnt/judge <<'JUDGE'
change=/mnt/change scratch=/mnt
arg() { cat "$change/arg/$1"; }
. "$1/steps/stack.sh"
containers() { cat /mnt/judged; }
settled
echo "$?"
JUDGE
    sh /mnt/judge "$HERE"
}

containers_are_judged() {
    check 'all is well' is "$(judged 'web service 1\ndb service 1\nprep job 1\n' \
        'web\trunning\tUp 2 minutes\ti1\ndb\trunning\tUp 2 minutes (healthy)\ti2\nprep\texited\tExited (0) 1 minute ago\ti3\n')" 0
    check 'who is waited for' is "$(judged 'web service 1\ndb service 1\nprep job 1\n' \
        'db\trunning\tUp 2 seconds (health: starting)\ti2\nprep\trunning\tUp 1 second\ti3\n')" \
        'web - is not there
db i2 is not yet healthy
prep i3 is still running
1'
    check 'who has failed' is "$(judged 'web service 1\ndb service 1\nprep job 1\ncron task 1\n' \
        'web\texited\tExited (0) 1 minute ago\ti1\ndb\trunning\tUp 2 minutes (unhealthy)\ti2\nprep\texited\tExited (3) 1 minute ago\ti3\ncron\trestarting\tRestarting (127) 2 seconds ago\ti4\n')" \
        'web i1 ended with exit code 0
db i2 is unhealthy
prep i3 ended with exit code 3
cron i4 keeps restarting (exit code 127)
2'
    check 'two of three' is "$(judged 'api service 3\n' 'api\trunning\tUp 1 minute\ti1\napi\trunning\tUp 1 minute\ti2\n')" \
        'api - is not there
1'
    check 'what is not of the project does not count' is "$(judged 'api service 1\n' \
        'api\trunning\tUp 1 minute\ti1\nold\texited\tExited (1) 1 minute ago\ti2\n')" 0
}

# watched FUNCTION LINES: what watch.sh makes of what `docker inspect` prints, with a start at NOW-n.
watched() {
    mkdir -p /mnt/change/arg
    printf 'web service 1\ndb service 1\nprep job 1\n' >/mnt/change/arg/services
    printf 10 >/mnt/change/arg/watch
    printf 'x' >/mnt/change/arg/name
    printf '/mnt' >/mnt/change/arg/folder
    printf '%b' "$2" >/mnt/inspected
    cat >/mnt/watch <<'WATCH'
change=/mnt/change scratch=/mnt
arg() { cat "$change/arg/$1"; }
result() { echo "result: $*"; }
. "$1/steps/stack.sh"
. "$1/steps/watch.sh"
TAB='	'
containers() { cat /mnt/containers; }
docker() { sed "s/NOW/$(date -u -d "@$(($(date +%s) - 4))" +%Y-%m-%dT%H:%M:%S).5Z/" /mnt/inspected; }
seen >"$scratch/seen"
"$2"
WATCH
    sh /mnt/watch "$HERE" "$1"
}

containers_are_watched() {
    rm -f /mnt/restarts
    printf 'web\trunning\tUp 4 seconds\ti1\ndb\trunning\tUp 4 seconds (healthy)\ti2\nprep\texited\tExited (0) 1 second ago\ti3\n' >/mnt/containers
    young='web i1 0 NOW -\ndb i2 0 NOW healthy\n'
    check 'one without a health check is young' is "$(watched young "$young")" web
    check 'and later it is not' is "$(watched young 'web i1 0 2020-01-01T00:00:00.123456789Z -\n')" ''
    check 'its time is counted' is "$(watched seen 'web i1 3 2024-02-29T23:59:59.5Z -\n' >/dev/null; awk -v now="$(date +%s)" '{ print $1, $2, $3, (now - $4 - 1709251199 <= 5 && now - $4 - 1709251199 >= 0), $5 }' /mnt/seen)" 'web i1 3 1 -'
    for day in 1970-01-01 2000-02-28 2000-03-01 2023-12-31 2024-01-01 2100-03-01; do
        watched seen "web i1 0 ${day}T12:00:00Z -\n" >/dev/null
        check "days are counted: $day" is "$(awk -v now="$(date +%s)" -v is="$(date -u -d "$day 12:00:00" +%s)" '{ at = now - $4 - is; print (at >= 0 && at <= 5) }' /mnt/seen)" 1
    done
    check 'nothing is started again' is "$(watched loops 'web i1 7 NOW -\ndb i2 0 NOW healthy\n')" ''
    check 'nor twice' is "$(watched loops 'web i1 9 NOW -\ndb i2 1 NOW healthy\n')" ''
    check 'three times at once are none' is "$(watched loops 'web i1 10 NOW -\ndb i2 2 NOW healthy\n')" ''
    printf 'i1 7 %s\ni3 0 1\n' $(($(date +%s) - 21)) >/mnt/restarts
    check 'three times in a while are a loop' has "$(watched loops 'web i1 10 NOW -\nprep i3 9 NOW -\n')" \
        'web i1 keeps ending: it was started again 3 times in 2'
    check 'what is said at the end' is "$(watched outcome "$young")" \
        'result: healthy: db; running for 10 s, no health check: web; completed: prep'
    rm -f /mnt/restarts /mnt/containers
}

# blamed REPORT: what is left of it for a start at noon; web ended before, prep behind it.
blamed() {
    cat >/mnt/blame <<'BLAME'
change=/mnt/change
arg() { cat "$change/arg/$1"; }
. "$1/steps/stack.sh"
docker() {
    case $4 in
        # In the same second, and before: Docker leaves out what is nought at the end.
        i1) echo 2026-01-01T12:00:00.25Z ;;
        i3) echo 2026-01-01T12:00:01.123456789Z ;;
        *) return 1 ;;
    esac
}
newly_bad "$2" 2026-01-01T12:00:00.300000000
BLAME
    sh /mnt/blame "$HERE" "$1"
}

only_what_ended_at_the_start_is_blamed() {
    check 'what had ended before is not' is "$(blamed 'web i1 ended with exit code 143
db i2 is unhealthy
prep i3 ended with exit code 3')" \
        'db i2 is unhealthy
prep i3 ended with exit code 3'
    check 'nobody' is "$(blamed 'web i1 ended with exit code 143')" ''
}

# --- a project before Compose --------------------------------------------------------------

# with_compose: a `docker` first in the path that writes down what it sees; ANSWER is its verdict.
with_compose() {
    cat >/mnt/tools/docker <<'DOCKER'
#!/bin/sh
[ "$3" != cut ] || exec sleep 30
{
    echo "$*"
    pwd
    stat -c '%a %U' . "$(dirname "$PWD")"
    find . -type f | sort
    env | cut -d= -f1 | sort | tr '\n' ' '
} >/mnt/seen
echo "$PWD/compose.yaml: services.a is wrong; $PWD" >&2
exit "$(cat /mnt/answer)"
DOCKER
    chmod +x /mnt/tools/docker
}

# checked NAME: what compose-check.sh makes of two files.
checked() {
    mkdir -p /mnt/project/conf
    echo services: >/mnt/project/compose.yaml
    echo A=1 >/mnt/project/conf/a.env
    tar -czf /mnt/payload -C /mnt/project compose.yaml conf/a.env
    { sed 's|^PATH=|&/mnt/tools:|' "$HERE/compose-check.sh"; printf 'name %s\npayload %s\n' "$1" "$(wc -c </mnt/payload)"; cat /mnt/payload; } >/mnt/check
    [ "$1" != cut ] || return 0
    SECRET=x sh /mnt/check 2>&1
    echo "$?"
}

a_project_is_checked() {
    with_compose
    echo 0 >/mnt/answer
    got=$(checked shop)
    place=${got#place }
    place=${place%%
*}
    check 'Compose accepts' is "$got" "place $place
said $place/compose.yaml: services.a is wrong; $place

accepted
0"
    check 'it is asked in a private folder, without the environment of a login' is "$(grep -v '^[A-Z]' /mnt/seen)" \
        "compose --project-name shop config --quiet
$place
700 root
700 root
./compose.yaml
./conf/a.env"
    check 'and its environment is a run'"'"'s' [ -z "$(grep -o 'SECRET' /mnt/seen)" ]
    echo 15 >/mnt/answer
    check 'Compose refuses' has "$(checked shop)" '
refused
0'
    check 'another folder each time' [ "$(sed -n 2p /mnt/seen)" != "$place" ]
    echo 124 >/mnt/answer
    check 'Compose is silent' has "$(checked shop)" 'unknown it has not answered within 60 seconds'
    check 'a name that is none' is "$(checked 'a b')" 64
    checked cut
    sh /mnt/check >/mnt/cut 2>/dev/null &
    cut=$!
    tries=0
    until [ -s /mnt/cut ] || [ "$tries" -gt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
    check 'its folder is there' [ -d "$(sed -n 's/^place //p' /mnt/cut)" ]
    kill "$cut"
    wait "$cut" 2>/dev/null
    check 'and gone when it was ended' [ ! -e "$(sed -n 's/^place //p' /mnt/cut)" ]
    check 'nothing is left of any' is "$(find /run /dev/shm /tmp -maxdepth 1 -name 'provision-compose.*')" ''
    rm -rf /mnt/tools/docker /mnt/project /mnt/payload /mnt/check /mnt/seen /mnt/answer /mnt/cut
}

# bundled: the bundle change on a host with a previous bundle, and a Compose that complains.
bundled() {
    cat >/mnt/bundle <<'BUNDLE'
change=/mnt/change scratch=/mnt/scratch
TAB=$(printf '\t')
arg() { cat "$change/arg/$1" 2>/dev/null; }
say() { echo "$*"; }
hint() { echo "hint: $*"; }
fail() { echo "error: $*"; exit 1; }
. "$1/steps/stack.sh"
. "$1/steps/bundle.sh"
perl() { [ ! -e /mnt/full ] && command perl "$@"; }
ln() { case $* in */broken) echo "ln: failed to create symbolic link '$3': No space left on device" >&2; return 1 ;; *) command ln "$@" ;; esac; }
docker() {
    find . ! -type d | sort
    printf '\nvalidating %s/compose.yaml: wrong\n%s: wrong\n' "$PWD" "$PWD" >&2
    return 15
}
bundle_apply
BUNDLE
    (sh /mnt/bundle "$HERE")
}

a_bundle_is_put_together() {
    rm -rf /mnt/change /mnt/scratch /mnt/shop "$base/stacks/shop"
    mkdir -p /mnt/change/arg /mnt/change/files /mnt/scratch /mnt/shop
    printf shop >/mnt/change/arg/name
    printf /mnt/shop >/mnt/change/arg/folder
    printf '644 x a&b\n644 x compose.yaml\n' >/mnt/change/arg/manifest
    echo stays >'/mnt/shop/a&b'
    echo new >/mnt/change/files/1
    printf '644\troot:root\tx\t/mnt/shop/compose.yaml\n' >/mnt/change/files/list
    check 'a complaint has the names of the files here' is "$(bundled)" "./a&b
./compose.yaml
validating compose.yaml: wrong
/mnt/shop: wrong
hint: the lines above are from 'docker compose config' on the host; fix the file and run provision again
error: Compose does not accept the project; nothing of the stack was changed"
    check 'nothing is left of it' [ ! -e /mnt/scratch/staging ]
    : >/mnt/full
    printf '644\troot:root\tx\t/mnt/shop/broken\n' >/mnt/change/files/list
    check 'what cannot be put together is told so' is "$(bundled)" "ln: failed to create symbolic link 'broken': No space left on device
hint: look at the space on the host ('df -h', 'sudo docker system df') and run provision again
error: the files could not be put together on the host; nothing of the stack was changed"
    rm -rf /mnt/change /mnt/scratch /mnt/shop "$base/stacks/shop" /mnt/bundle /mnt/full
}

# --- the firewall ------------------------------------------------------------------------

# hooked_into: what firewall.sh makes of ufw's after.init, and of that when it comes again.
hooked_into() {
    cat >/mnt/hook <<'HOOK'
. "$1/steps/firewall.sh"
etc=/mnt/ufw
keep() { :; }
undo() { echo "undo: $*"; exit 1; }
hook
cp /mnt/ufw/after.init /mnt/once
hook
cmp /mnt/once /mnt/ufw/after.init
grep -c provision.init /mnt/ufw/before.init | grep -v '^1$'
grep provision.init /mnt/ufw/before.init | grep -vF '"before-$1"'
HOOK
    sh /mnt/hook "$HERE"
    stat -c %a /mnt/ufw/after.init
    cat /mnt/ufw/after.init
}

# The lock stays where it is when an earlier version has left its folder open.
the_firewalls_lock() {
    mkdir -p /mnt/lock && chmod 0755 /mnt/lock
    (
        # shellcheck disable=SC1091 # beside this file
        . "$HERE/steps/firewall.sh"
        # shellcheck disable=SC2034 # for room_for_lock
        lock=/mnt/lock/firewall.lock
        room_for_lock && : >"$lock"
    )
    check 'no other user can hold the lock of the firewall' is "$(stat -c %a /mnt/lock)" 700
    check 'nor read it' \
        eval '! setpriv --reuid=65534 --regid=65534 --clear-groups cat /mnt/lock/firewall.lock 2>/dev/null'
    rm -rf /mnt/lock
}

the_firewall_is_hooked() {
    mkdir -p /mnt/ufw
    # shellcheck disable=SC2016 # it is written, not expanded
    line='[ ! -x /etc/ufw/provision.init ] || /etc/ufw/provision.init "$1" # provision'
    check 'without a file there is one' is "$(hooked_into)" "750
#!/bin/sh
$line"
    printf '#!/bin/bash -e\n# mine\nexit 0\n' >/mnt/ufw/after.init
    check "a person's own goes on behind it" is "$(hooked_into)" "750
#!/bin/bash -e
$line
# mine
exit 0"
    chmod a-x /mnt/ufw/after.init
    check 'what may not be executed may be again' is "$(hooked_into | head -n 3)" "750
#!/bin/bash -e
$line"
    printf 'echo no interpreter\n' >/mnt/ufw/after.init
    check 'a file without an interpreter has one' is "$(hooked_into)" "750
#!/bin/sh
$line
echo no interpreter"
    rm -rf /mnt/ufw
}

# --- keys of apt repositories -------------------------------------------------------------

# print_of FILE: what step.sh makes of a key.
print_of() {
    cat >/mnt/print <<'PRINT'
scratch=/mnt
eval "$(sed -n '/^fingerprint() {/,/^}/p' "$1/step.sh")"
fingerprint "$2"
PRINT
    sh /mnt/print "$HERE" "$1"
}

keys_have_fingerprints() {
    # The beginning of Docker's own.
    cat >/mnt/key.asc <<'KEY'
-----BEGIN PGP PUBLIC KEY BLOCK-----

mQINBFit2ioBEADhWpZ8/wvZ6hUTiXOwQHXMAlaFHcPH9hAtr4F1y2+OYdbtMuth
lqqwp028AqyY+PRfVMtSYMbjuQuu5byyKR01BbqYhuS3jtqQmljZ/bJvXqnmiVXh
38UuLa+z077PxyxQhu5BbqntTPQMfiyqEiU+BKbq2WmANUKQf+1AmZY/IruOXbnq
L4C1+gJ8vfmXQt99npCaxEjaNRVYfOS8QcixNzHUYnb6emjlANyEVlZzeqo7XKl7
UrwV5inawTSzWNvtjEjj4nJL8NsLwscpLPQUhTQ+7BbQXAwAmeHCUTQIvvWXqw0N
cmhh4HgeQscQHYgOJjjDVfoY5MucvglbIgCqfzAHW9jxmRL4qbMZj+b1XoePEtht
ku4bIQN1X5P07fNWzlgaRL5Z4POXDDZTlIQ/El58j9kp4bnWRCJW0lya+f8ocodo
vZZ+Doi+fy4D5ZGrL4XEcIQP/Lv5uFyf+kQtl/94VFYVJOleAv8W92KdgDkhTcTD
G7c0tIkVEKNUq48b3aQ64NOZQW7fVjfoKwEZdOqPE72Pa45jrZzvUFxSpdiNk2tZ
XYukHjlxxEgBdC/J3cMMNRE1F4NCA3ApfV1Y7/hTeOnmDuDYwr9/obA8t016Yljj
q5rdkywPf4JF8mXUW5eCN1vAFHxeg9ZWemhBtQmGxXnw9M+z6hWwc6ahmwARAQAB
-----END PGP PUBLIC KEY BLOCK-----
KEY
    check "Docker's key" is "$(print_of /mnt/key.asc)" 9DC858229FC7DD38854AE2D88D81803C0EBFCD88
    sed 's/^mQINBFit2ioB/mQINBFit2ioC/; s/$/\r/' /mnt/key.asc >/mnt/other.asc
    check 'another key, with other ends of lines' is "$(print_of /mnt/other.asc | grep -c '^[0-9A-F]\{40\}$')" 1
    check 'it is another one' is "$(print_of /mnt/other.asc | grep -c 9DC858229FC7)" 0
    printf '<html>not found</html>\n' >/mnt/other.asc
    check 'no key at all' is "$(print_of /mnt/other.asc)" ''
}

# --- secrets --------------------------------------------------------------------------------

# secret PHASE [ACTION]: what secrets.sh does in /mnt/secrets, and its code.
secret() {
    cat >/mnt/secret <<'SECRET'
change=/mnt/change scratch=/mnt
arg() { cat "$change/arg/$1"; }
say() { echo "$*"; }
hint() { echo "hint: $*"; }
fail() { echo "error: $*"; exit 1; }
chmod() { case $* in *\ /etc/*) ;; *) command chmod "$@" ;; esac; }
. "$1/steps/secrets.sh"
# What a run that is killed there does not come to.
case ${ends_at:-} in
    '') ;;
    mv) mv() { case $* in */made) command mv "$@" ;; *) exit 9 ;; esac; } ;;
    *) eval "$ends_at() { exit 9; }" ;;
esac
"$3_$2"
echo "$?"
SECRET
    sh /mnt/secret "$HERE" "$1" "${2:-made}"
}

secrets_are_made() {
    rm -rf /mnt/change
    mkdir -p /mnt/change/arg
    printf /mnt/secrets >/mnt/change/arg/folder
    printf 'db\npage\n' >/mnt/change/arg/values
    : >/mnt/change/arg/given
    # shellcheck disable=SC2016 # what looks like a command must not become one
    printf '%s\n' '@server.env 0:0 aa11' ' A={db} $(id) `id` \n "q" {' ' B=x{page}{db}y {} {"a": "{db}"}' '@db 999:998 bb22' ' {db}' \
        >/mnt/change/arg/templates
    check 'nothing is there' is "$(secret guard)" 1
    check 'they are made' is "$(secret apply)" "made db
made page
0"
    check 'and there' is "$(secret guard)" 0
    db=$(cat /mnt/secrets/values/db) page=$(cat /mnt/secrets/values/page)
    check 'a value is 32 hexadecimal digits' is "$(printf %s "$db" | tr -d 0-9a-f | wc -c) $(printf %s "$db" | wc -c)" '0 32'
    check 'two values are two' [ "$db" != "$page" ]
    # shellcheck disable=SC2016
    check 'a file has its lines' is "$(cat /mnt/secrets/server.env)" 'A='"$db"' $(id) `id` \n "q" {
B=x'"$page$db"'y {} {"a": "'"$db"'"}'
    check 'and its owner alone' is "$(cd /mnt/secrets && stat -c '%n %a %u:%g' server.env db made values values/db)" \
        'server.env 400 0:0
db 400 999:998
made 644 0:0
values 700 0:0
values/db 600 0:0'
    check 'what is there is told without what is in it' is "$(cat /mnt/secrets/made)" 'value db
value page
file server.env aa11
file db bb22'
    printf '%s\n' '@server.env 0:0 cc33' ' {page}' >/mnt/change/arg/templates
    check 'another content is another file' is "$(secret guard) $(secret apply)" '1 0'
    check 'with the values of before' is "$(cat /mnt/secrets/server.env)" "$page"
    printf '%s\n' '@server.env 0:0 dd44' ' {gone}' >/mnt/change/arg/templates
    check 'a value that is not there is said' has "$(secret apply 2>/dev/null)" 'error: a file could not be written'
    check 'and the file stays' is "$(cat /mnt/secrets/server.env)" "$page"
    rm -rf /mnt/secrets /mnt/change
}

secrets_are_encoded() {
    rm -rf /mnt/secrets /mnt/change
    mkdir -p /mnt/change/arg /mnt/secrets/values
    printf /mnt/secrets >/mnt/change/arg/folder
    : >/mnt/change/arg/values
    printf 'plain\nnasty\npem\n' >/mnt/change/arg/given
    printf 'ge-heim.1~' >/mnt/secrets/values/plain
    # shellcheck disable=SC2016 # none of it is a command
    printf ' AKIA/ab+cd= "$X" \\n #\t\r\303\266'\'' ' >/mnt/secrets/values/nasty
    printf -- '-----BEGIN-----\na/b=\n\n' >/mnt/secrets/values/pem
    # shellcheck disable=SC2016
    printf '%s\n' '@alone 0:0 a' '~{nasty:raw}' '@url 0:0 a' ' p://u:{nasty:url}@h/{plain:url}{pem:url}' \
        '@json 0:0 a' ' {"a": "{nasty:json}", "{b:c}": {}, "p": "{pem:json}"}' '@env 0:0 a' '?A=x{plain:raw}$Y' '=A="x{plain:env}$Y"' \
        '?B={nasty:raw}' '=B="{nasty:env}"' '?C={pem:raw}' '=C="{pem:env}"' '@pem 0:0 a' ' {pem:raw}' ' {.x}{}{' \
        '@pgpass 0:0 a' ' *:{nasty:pgpass}:b\:' '@last 0:0 a' '~{pem:raw}' >/mnt/change/arg/templates
    check 'files with any text are written' is "$(secret apply)" 0
    check 'alone it is what it is' cmp -s /mnt/secrets/alone /mnt/secrets/values/nasty
    check 'however it ends' cmp -s /mnt/secrets/last /mnt/secrets/values/pem
    check 'in an address it is encoded' is "$(cat /mnt/secrets/url)" \
        'p://u:%20AKIA%2Fab%2Bcd%3D%20%22%24X%22%20%5Cn%20%23%09%0D%C3%B6%27%20@h/ge-heim.1~-----BEGIN-----%0Aa%2Fb%3D%0A%0A'
    # shellcheck disable=SC2016
    check 'in JSON it is escaped' is "$(cat /mnt/secrets/json)" \
        '{"a": " AKIA/ab+cd= \"$X\" \\n #\t\rö'\'' ", "{b:c}": {}, "p": "-----BEGIN-----\na/b=\n\n"}'
    # shellcheck disable=SC2016
    check 'in an env_file it is quoted where it has to be' is "$(cat /mnt/secrets/env)" \
        'A=xge-heim.1~$Y
B=" AKIA/ab+cd= \"\$X\" \\n #	\rö'\'' "
C="-----BEGIN-----\na/b=\n\n"'
    check 'lines are whole' is "$(od -An -c /mnt/secrets/pem | tr -d ' \n')" '-----BEGIN-----\na/b=\n\n\n{.x}{}{\n'
    # shellcheck disable=SC2016
    check 'pgpass has its own' is "$(od -An -c /mnt/secrets/pgpass | tr -d ' \n')" '*:AKIA/ab+cd="$X"\\n#\t\r303266'\'':b\:\n'
    # Files used to end with a line break.
    printf '\n' >>/mnt/secrets/last
    stat -c %i /mnt/secrets/last >/mnt/before
    secret apply >/mnt/said
    check 'a line break more is nothing new' is "$(stat -c %i /mnt/secrets/last)" "$(cat /mnt/before)"
    printf '%s\n' '@raw 0:0 a' ' A={plain:line}' ' B={pem:line}' >/mnt/change/arg/templates
    check 'what a place cannot hold is refused' has "$(secret apply 2>&1)" 'error: the secret pem has a line break in it, which raw cannot hold'
    check 'and the file is not there' [ ! -e /mnt/secrets/raw ]
    printf '%s\n' '@raw 0:0 a' ' A={nasty:line}' >/mnt/change/arg/templates
    printf 'x  "$y' >/mnt/secrets/values/nasty
    check 'else it is as it is' is "$(secret apply; cat /mnt/secrets/raw)" '0
A=x  "$y'
    rm -rf /mnt/secrets /mnt/change
}

# --- backups --------------------------------------------------------------------------------

# dump_of END: a dump as pg_dump writes one, on stdout.
dump_of() {
    printf -- '--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version %s (Debian)\n' "$2"
    seq 1 3000
    printf '%b' "$1"
}

# examined FILE: what dump.sh makes of it.
examined() {
    cat >/mnt/examine <<'EXAMINE'
scratch=/mnt
. "$1/dump.sh"
examine "$2"
echo "$verdict $from $unpacked"
EXAMINE
    sh /mnt/examine "$HERE" "$1"
    find /mnt -maxdepth 1 -name 'dump.*'
}

# queued ACTION: what the queues are told, and what comes of an answer.
queued() {
    cat >/mnt/queue <<'QUEUE'
dir=/mnt/runs/20260101-000000-abcd
arg() { [ "$1" != queues ] || echo redis; }
. "$1/steps/backup.sh"
compose() { cat >/mnt/told; cat /mnt/answers; }
queues "$2"
echo "$?"
QUEUE
    sh /mnt/queue "$HERE" "$1"
}

backups_are_examined() {
    whole='--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n'
    dump_of "$whole" 17.12 | gzip >/mnt/whole.gz
    size=$(gzip -dc /mnt/whole.gz | wc -c)
    check 'a whole one' is "$(examined /mnt/whole.gz)" "whole 17.12 $size"
    head -c $(($(wc -c </mnt/whole.gz) / 2)) /mnt/whole.gz >/mnt/half.gz
    check 'half of one is cut' is "$(examined /mnt/half.gz | cut -d ' ' -f 1)" cut
    gzip -dc /mnt/whole.gz | head -n 2000 | gzip >/mnt/short.gz
    check 'one without its end is not complete' is "$(examined /mnt/short.gz | cut -d ' ' -f 1)" unfinished
    gzip -dc /mnt/whole.gz >/mnt/plain.gz
    check 'what is not gzipped is foreign' is "$(examined /mnt/plain.gz)" 'foreign  0'
    echo 'DROP TABLE x;' | gzip >/mnt/other.gz
    check 'other SQL is foreign' is "$(examined /mnt/other.gz | cut -d ' ' -f 1)" foreign
    printf -- '--\n-- PostgreSQL database cluster dump\n--\n' | gzip >/mnt/cluster.gz
    check 'one of a cluster' is "$(examined /mnt/cluster.gz | cut -d ' ' -f 1)" cluster
    : >/mnt/empty.gz
    check 'an empty file is foreign' is "$(examined /mnt/empty.gz)" 'foreign  0'
    rm -f /mnt/*.gz
}

backups_are_listed() {
    mkdir -p /mnt/backups/last /mnt/backups/daily
    dump_of '-- PostgreSQL database dump complete\n' 17.12 | gzip >/mnt/backups/last/a-1.sql.gz
    touch -d @1000 /mnt/backups/last/a-1.sql.gz
    ln /mnt/backups/last/a-1.sql.gz /mnt/backups/daily/a-1.sql.gz
    ln -s a-1.sql.gz /mnt/backups/last/a-latest.sql.gz
    head -c 100 /mnt/backups/last/a-1.sql.gz >/mnt/backups/last/a-2.sql.gz
    touch -d @2000 /mnt/backups/last/a-2.sql.gz
    cp /mnt/backups/last/a-1.sql.gz /mnt/backups/last/b-1.sql.gz
    : >/mnt/backups/last/a-3.sql.gz.provision-new
    cat "$HERE/dump.sh" "$HERE/backup.sh" >/mnt/list
    printf 'verb list\nbackups /mnt/backups\ndatabases a\nbudget 110\n' >>/mnt/list
    check 'newest first, every name, and what was read' is "$(sh /mnt/list | grep ^file | cut -f 2,4,6)" \
        'last/a-2.sql.gz	2000	cut
daily/a-1.sql.gz	1000	unread
last/a-1.sql.gz	1000	unread'
    sed -i 's/^budget .*/budget 1000000/' /mnt/list
    check 'one file under two names is one verdict' is "$(sh /mnt/list | grep -c whole)" 2
    sed -i "s/^databases .*/databases a'b/" /mnt/list
    check 'a name that is none is refused' is "$(sh /mnt/list; echo $?)" 64
    rm -rf /mnt/backups
}

queues_are_set_aside() {
    yes OK | head -n 32 >/mnt/answers
    check 'set aside' is "$(queued aside)" 0
    check 'each takes the place of an empty one' is "$(head -n 3 /mnt/told)" 'SELECT 8
FLUSHDB
SWAPDB 0 8'
    check 'all eight' is "$(tail -n 1 /mnt/told)" 'SWAPDB 7 15'
    check 'back' is "$(queued back; head -n 3 /mnt/told)" '0
SELECT 0
FLUSHDB
SWAPDB 0 8'
    check 'what is forgotten does not come back' is "$(queued forget; grep -c SWAPDB /mnt/told)" '0
0'
    printf 'OK\nNOAUTH Authentication required.\n' >/mnt/answers
    check 'a refusal is said' is "$(queued aside)" 'NOAUTH Authentication required.
1'
}

# prepare_secrets: db and page are made, mail is given; a file for each of two, one for the third.
prepare_secrets() {
    rm -rf /mnt/secrets /mnt/change "$base"
    mkdir -p /mnt/change/arg "$base/stacks/secrets"
    printf /mnt/secrets >/mnt/change/arg/folder
    printf 'db\npage\n' >/mnt/change/arg/values
    printf 'mail\n' | tee /mnt/change/arg/given >/mnt/change/arg/asked
    printf '%s\n' '@db 0:0 aa11' ' {db}' '@page 999:998 bb22' ' {page}' ' {db}' '@mail 0:0 cc33' ' {mail}' \
        >/mnt/change/arg/templates
    echo hash >"$base/stacks/secrets/applied"
}

secrets_are_given() {
    prepare_secrets
    check 'a secret without a value is refused' has "$(secret apply given)" 'error: the secret mail has no value yet'
    check 'and it is not there' is "$(secret guard given)" 1
    printf geheim >/mnt/secrets/values/mail.next
    check 'what a person gave is taken' is "$(secret apply given)" 'took mail
0'
    check 'and is there' is "$(secret guard given) $(cat /mnt/secrets/values/*)" '0 geheim'
    check 'and told' is "$(cat /mnt/secrets/made)" 'given mail'
    check 'the stack is not started with it' is "$(cat "$base/stacks/secrets/applied")" 'hash
secrets'
    check 'the others are made' is "$(secret apply)" 'made db
made page
0'
    check 'all are there' is "$(secret guard) $(cat /mnt/secrets/mail) $(cat /mnt/secrets/made)" '0 geheim value db
value page
given mail
file db aa11
file page bb22
file mail cc33'
    check 'the stack is told once' is "$(wc -l <"$base/stacks/secrets/applied")" 2
    stat -c '%n %i' /mnt/secrets/mail /mnt/secrets/page /mnt/secrets/db >/mnt/before
    printf '%s\n' '@db 0:0 dd44' ' x{db}' '@page 999:998 bb22' ' {page}' ' {db}' '@mail 0:0 cc33' ' {mail}' \
        >/mnt/change/arg/templates
    secret apply >/mnt/said
    check 'a file that is so already stays' is "$(stat -c '%n %i' /mnt/secrets/mail /mnt/secrets/page /mnt/secrets/db | grep -cxFf /mnt/before)" 2
    rm -rf /mnt/secrets /mnt/change "$base"
}

secrets_are_rotated() {
    prepare_secrets
    rm -f /mnt/rotated
    mkdir -p /mnt/secrets/values
    printf geheim >/mnt/secrets/values/mail.next
    secret apply given >/mnt/said
    secret apply >/mnt/said
    echo hash >"$base/stacks/secrets/applied"
    db=$(cat /mnt/secrets/values/db)
    printf db >/mnt/change/arg/name
    printf new >/mnt/change/arg/source
    printf stale >/mnt/secrets/values/db.next
    stat -c '%n %i' /mnt/secrets/mail >/mnt/before
    check 'it is not so yet' is "$(secret guard rotated)" 1
    check 'a value is another' is "$(secret apply rotated) $(secret verify rotated)" '0 0'
    new=$(cat /mnt/secrets/values/db)
    check 'of as many digits' is "$(printf %s "$new" | tr -d 0-9a-f | wc -c) $(printf %s "$new" | wc -c)" '0 32'
    check 'the former one is nowhere' is "$(grep -rl "$db" /mnt/secrets)" ''
    check 'nor is what nobody took' is "$(ls /mnt/secrets/values)" 'db
mail
page'
    check 'files have the new one' is "$(cat /mnt/secrets/db; tail -n 1 /mnt/secrets/page)" "$new
$new"
    check 'their owners are the same' is "$(stat -c '%a %u:%g' /mnt/secrets/page)" '400 999:998'
    check 'a file without it stays' is "$(stat -c '%n %i' /mnt/secrets/mail)" "$(cat /mnt/before)"
    check 'all is told as made' is "$(secret guard)" 0
    check 'the stack is not started with it' is "$(tail -n 1 "$base/stacks/secrets/applied")" secrets
    # One that a person gives.
    rm -f /mnt/rotated
    printf next >/mnt/change/arg/source
    check 'and no value is made up for it' has "$(secret apply rotated)" 'error: the secret db has no value yet'
    printf neu >/mnt/secrets/values/db.next
    check 'what was given is taken' is "$(secret apply rotated) $(cat /mnt/secrets/values/db /mnt/secrets/db)" '0 neuneu'
    # It ends behind each of its steps: whoever comes next writes the files.
    for step in write_made mv write_files list_of_made; do
        rm -f /mnt/rotated
        secret apply >/mnt/said
        echo hash >"$base/stacks/secrets/applied"
        printf "%s" "$step" >/mnt/secrets/values/db.next
        (ends_at=$step secret apply rotated >/mnt/said 2>&1)
        check "ended at $step, the stack is not started" is "$(tail -n 1 "$base/stacks/secrets/applied")" secrets
        [ "$(cat /mnt/secrets/values/db)" != "$step" ] || [ "$(cat /mnt/secrets/db)" = "$step" ] ||
            check "ended at $step, its files are not told as made" is "$(secret guard) $(grep -c 'file db\|file page' /mnt/secrets/made)" '1 0'
        secret apply >/mnt/said
        check "ended at $step, the next run writes what there is" \
            is "$(secret guard) $(cat /mnt/secrets/db) $(tail -n 1 /mnt/secrets/page)" "0 $(cat /mnt/secrets/values/db) $(cat /mnt/secrets/values/db)"
    done
    rm -rf /mnt/secrets /mnt/change /mnt/rotated "$base"
}

# --- what a person asks of the secrets ----------------------------------------------------------

# asked PARAMETER...: secrets.sh with these lines behind it.
asked() {
    sed "s|/etc/provision|/mnt/etc|g" "$HERE/secrets.sh" | grep -v '^[[:space:]]*#' >/mnt/ask
    for line in "$@"; do printf '%s\n' "$line" >>/mnt/ask; done
    sh /mnt/ask
    echo "$?"
}

secrets_are_asked_for() {
    check 'there are none' is "$(asked 'verb list')" 0
    check 'one is kept' is "$(asked 'verb keep' 'stack shop' 'name mail' 'kind given' 'value Z2UtaGVpbS4xfg==')" 0
    check 'and there' is "$(asked 'verb show' 'stack shop' 'name mail')" 'value Z2UtaGVpbS4xfg==
0'
    check 'once' is "$(asked 'verb keep' 'stack shop' 'name mail' 'kind given' 'value b3RoZXI=')" 73
    check 'and told' is "$(cat /mnt/etc/secrets/shop/made)" 'given mail'
    check 'another is kept beside it' is "$(asked 'verb keep' 'stack shop' 'name db' 'kind value' 'value eA==')" 0
    check 'and told as well' is "$(cat /mnt/etc/secrets/shop/made)" 'given mail
value db'
    check 'one lies ready' is "$(asked 'verb put' 'stack shop' 'name mail' 'value bmV1')" 0
    check 'and is not yet there' is "$(asked 'verb show' 'stack shop' 'name mail'; asked 'verb list')" 'value Z2UtaGVpbS4xfg==
0
shop	db
shop	mail
0'
    check 'for root alone' is "$(cd /mnt/etc/secrets && stat -c '%n %a' . shop shop/values shop/values/*)" '. 700
shop 700
shop/values 700
shop/values/db 600
shop/values/mail 600
shop/values/mail.next 600'
    check 'no value is none' is "$(asked 'verb put' 'stack shop' 'name mail' 'value ')" 64
    check 'no path is a name' is "$(asked 'verb put' 'stack shop' 'name ../x' 'value eA==') $(asked 'verb keep' 'stack a/b' 'name x' 'kind value' 'value eA==')" '64 64'
    rm -rf /mnt/etc
}

# --- postgres -------------------------------------------------------------------------------

# postgres_step COMMAND [ARGUMENT]...: a function of postgres.sh, with the values in /mnt/change.
postgres_step() {
    cat >/mnt/postgres <<'STEP'
change=/mnt/change scratch=/mnt dir=/mnt
arg() { if [ -e "$change/arg/$1" ]; then cat "$change/arg/$1"; else printf '%s' "${2-}"; fi; }
say() { echo "$*"; }
notice() { echo "notice: $*"; }
hint() { echo "hint: $*"; }
fail() { echo "error: $*"; exit 1; }
docker() { echo 'psql (PostgreSQL) 17.5 (Debian 17.5-1)'; }
script=$1
shift
. "$script/steps/postgres.sh"
image=postgres:17
listen=/mnt/listen
ask() { cat >/mnt/asked; [ ! -e /mnt/refuses ]; }
"$@"
STEP
    sh /mnt/postgres "$HERE" "$@"
}

# survey_of LINE...: what a good database says of itself, and these lines besides.
survey_of() {
    printf '%s\n' 'version 170005 17.5 (Debian)' 'encoding UTF8' 'tls TLSv1.3' 'owner boss' 'schema public' "$@"
}

a_database_is_judged() {
    rm -rf /mnt/change /mnt/asked /mnt/refuses
    mkdir -p /mnt/change/arg
    for pair in name=prefect database=work user=me port=5432 host=db.example tls=require mode=external backup=no; do
        printf %s "${pair#*=}" >"/mnt/change/arg/${pair%%=*}"
    done
    good='may-extend
may-create
extension pg_trgm there
extension uuid-ossp there'
    check 'a good one is good' is "$(survey_of "$good" | postgres_step judge)" \
        'Postgres 17.5, TLSv1.3, database work of boss'
    check 'one that is migrated is told of' has \
        "$(survey_of "$good" 'tables 40 3' 'revision abc123' | postgres_step judge)" 'notice: the database has tables of Prefect'
    check 'one that is too old is refused' has "$({ survey_of "$good"; echo 'version 140008 14.8'; } | postgres_step judge)" \
        'error: the server is Postgres 14.8, and provision supports 14.9 or newer'
    check 'the oldest that will do' is "$({ survey_of "$good"; echo 'version 140009 14.9'; } | postgres_step judge)" \
        'Postgres 14.9, TLSv1.3, database work of boss'
    check 'a standby is refused' has "$(survey_of standby "$good" | postgres_step judge)" 'error: db.example is a standby'
    check 'so is other text' has "$({ survey_of "$good"; echo 'encoding SQL_ASCII'; } | postgres_step judge)" 'and UTF8 is needed'
    check 'so are tables of others' has "$(survey_of "$good" 'foreign other' | postgres_step judge)" 'that belong to other'
    check 'nothing was asked to be made' [ ! -e /mnt/asked ]
    lacks='extension pg_trgm missing
extension uuid-ossp missing'
    check 'what is missing is made' has "$(survey_of may-extend may-create "$lacks" | postgres_step judge)" 'making pg_trgm uuid-ossp'
    check 'both or none' is "$(cat /mnt/asked)" 'BEGIN;
CREATE EXTENSION IF NOT EXISTS "pg_trgm";
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
COMMIT;'
    rm -f /mnt/asked
    poor=$(survey_of "$lacks" | postgres_step judge)
    check 'a poor role is told the SQL' has "$poor" 'connected to the database work:
  CREATE EXTENSION IF NOT EXISTS "pg_trgm";
  CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
  GRANT USAGE, CREATE ON SCHEMA "public" TO "me";
hint: '
    check 'and nothing is made for it' [ ! -e /mnt/asked ]
    check 'what it may not do is all that it is told' has "$(survey_of may-create "$good" 'extension pg_trgm missing' | postgres_step judge)" 'making pg_trgm'
    : >/mnt/refuses
    check 'a server that refuses' has "$(survey_of may-extend may-create "$lacks" | postgres_step judge)" \
        'error: the server does not let the role me make the extensions pg_trgm uuid-ossp'
    rm -f /mnt/refuses
    printf yes >/mnt/change/arg/backup
    check 'a newer one cannot be backed up' has "$({ survey_of "$good"; echo 'version 180001 18.1'; } | postgres_step judge)" \
        'error: the server is Postgres 18, which the pg_dump of postgres:17'
    check 'one of the same age can' is "$(survey_of "$good" | postgres_step judge)" 'Postgres 17.5, TLSv1.3, database work of boss'
    while IFS='|' read -r said expected; do
        check "$expected" has "$(printf 'psql: error: %s\n' "$said" | postgres_step not_reached)" "error: $expected"
    done <<'CASES'
could not translate host name "db.example" to address: Name or service not known|the name db.example does not resolve
connection to server at "db.example" (10.0.0.1), port 5432 failed: Connection refused|nothing answers at db.example:5432: the connection was refused
connection to server at "db.example" (10.0.0.1), port 5432 failed: timeout expired|db.example:5432 was not reached from a container within 10 seconds
connection to server at "db.example", port 5432 failed: FATAL:  password authentication failed for user "me"|db.example:5432 refuses the password of me
connection to server at "db.example", port 5432 failed: FATAL:  database "work" does not exist|there is no database work at db.example:5432
connection to server at "db.example", port 5432 failed: server does not support SSL, but SSL was required|db.example:5432 does not offer TLS
connection to server at "db.example", port 5432 failed: FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "me", database "work", no encryption|db.example:5432 does not let me in without TLS
connection to server at "db.example", port 5432 failed: FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "me", database "work", SSL encryption|db.example:5432 does not let me in from this host
connection to server at "db.example", port 5432 failed: SSL error: certificate verify failed|the certificate of db.example:5432 is signed by an authority that the host does not trust
server certificate for "other" does not match host name "db.example"|the certificate of db.example:5432 is for another name
connection to server at "db.example", port 5432 failed: FATAL:  sorry, too many clients already|db.example:5432 has no connection left
CASES
    rm -rf /mnt/change /mnt/asked
}

a_server_is_told() {
    rm -rf /mnt/change /mnt/listen
    mkdir -p /mnt/change/arg
    printf prefect >/mnt/change/arg/name
    printf '%s\n' '# BEGIN provision prefect' 'host "work" "me" 172.16.0.0/12 scram-sha-256' '# END provision prefect' \
        >/mnt/change/arg/rules
    theirs='# theirs
local all all peer
# BEGIN provision other
host "x" "x" all reject
# END provision other'
    ours=$(cat /mnt/change/arg/rules)
    once=$(printf '%s\n' "$theirs" | postgres_step with_rules)
    check 'our rules come first, and others stay' is "$once" "$ours
$theirs"
    check 'and once' is "$(printf '%s\n' "$once" | postgres_step with_rules)" "$once"
    listens() { printf %s "$1" | postgres_step listen_text 172.17.0.1 | sed -n '3s/listen_addresses = //p'; }
    check 'the bridge besides' is "$(listens localhost)" "'localhost,172.17.0.1'"
    check 'everywhere is everywhere' is "$(listens '*')" "'*'"
    check 'what is there is enough' is "$(listens 'localhost, 172.17.0.1')" "'localhost, 172.17.0.1'"
    check 'nowhere is the bridge alone' is "$(listens '')" "'172.17.0.1'"
    printf localhost | postgres_step listen_text 172.17.0.1 >/mnt/first
    mv /mnt/first /mnt/listen
    check 'another bridge takes its place' is "$(printf 'localhost,172.17.0.1' | postgres_step listen_text 10.9.0.1 | tail -n 1)" \
        "listen_addresses = 'localhost,10.9.0.1'"
    rm -rf /mnt/change /mnt/listen
}

# --- the first boot -----------------------------------------------------------------------

# first_boot COMMAND [ARGUMENT]...: a function of first-boot.sh, whose files lie in /mnt/boot.
# Files are fetched from the disk; systemd is told things, and answers what /mnt/answer says.
first_boot() {
    mkdir -p /mnt/boot
    {
        sed -e '/^if \[ "$(id -u)"/,$d' -e 's|^base=.*|base=/mnt/boot|' -e 's|^units=.*|units=/mnt/boot/units|' \
            -e 's|^each_boot=.*|each_boot=/mnt/each-boot|' \
            "$HERE/first-boot.sh"
        cat <<'REST'
sleep() { echo "waits $1 s"; }
systemctl() { echo "$*" >>/mnt/told; [ "$1" != is-system-running ] || cat /mnt/answer; }
"$@"
echo "$?"
REST
    } >/mnt/first-boot
    sh /mnt/first-boot "$@" 2>/dev/null
}

a_server_provisions_itself() {
    mkdir -p /mnt/files /mnt/boot
    echo program >/mnt/files/it
    sum=$(sha256sum /mnt/files/it)
    sum=${sum%% *}
    check 'what was promised is taken' is "$(first_boot fetch file:///mnt/files/it "$sum" /mnt/boot/it)" 'provision: fetching file:///mnt/files/it
0'
    check 'as it was' is "$(cat /mnt/boot/it)" program
    check 'and not fetched again' is "$(first_boot fetch file:///mnt/files/gone "$sum" /mnt/boot/it)" 0
    echo other >/mnt/files/it
    got=$(first_boot fetch file:///mnt/files/it "$sum" /mnt/boot/new)
    check 'another is refused' has "$got" 'is not what was promised'
    check 'and not kept' is "$(ls /mnt/boot)" it
    got=$(first_boot fetch file:///mnt/files/gone "$sum" /mnt/boot/new)
    check 'what does not come is tried again' has "$got" 'trying again in 32 s
waits 32 s'
    check 'and given up' has "$got" 'could not be fetched, tried for a minute
1'
    mkdir -p /mnt/files/settings
    printf 'version 1\nurl http://x/y z\n' >/mnt/files/release
    { printf '#!/bin/sh\nexit\n__ARCHIVE__\n'; tar -C /mnt/files -czf - release settings | base64; } >/mnt/user-data
    check 'what stands behind the marker is unpacked' is "$(first_boot unpack /mnt/user-data)" 0
    check 'and read by its keys' is "$(first_boot value release url)" 'http://x/y z
0'
    check 'nothing is nothing' is "$(first_boot value release aarch64)" 0
    rm -f /mnt/told
    echo stopping >/mnt/answer
    : >/mnt/boot/units
    check 'a machine that goes down goes on later' has "$(first_boot finish 6)" 'this continues at the next boot'
    check 'and its unit stays' is "$(cat /mnt/told)" is-system-running
    echo running >/mnt/answer
    check 'a failure is one' has "$(first_boot finish 6)" 'this server is not provisioned (exit code 6)'
    check 'and is written down' is "$(cut -d ' ' -f 1,2 /mnt/boot/state)" 'failed 6'
    check 'and nothing comes again' is "$(tail -n 1 /mnt/told)" '--quiet disable provision-first-boot.service'
    check 'cloud-init sees that for itself' [ ! -e /mnt/each-boot ]
    check 'behind a reboot too' has "$(first_boot finish 6 resume)" 'this server is not provisioned'
    check 'cloud-init is told' is "$(sh /mnt/each-boot/provision 2>&1; echo $?)" 'provision: this server is not provisioned; see /mnt/boot/log
1'
    check 'once' [ ! -e /mnt/each-boot/provision ]
    check 'when all is done' has "$(first_boot finish 0)" 'this server is provisioned'
    check 'only that is left' is "$(cd /mnt/boot && find . -type f | sort | tr '\n' ' ')" './it ./state ./units '
    rm -rf /mnt/each-boot /mnt/boot /mnt/files /mnt/first-boot /mnt/user-data /mnt/told /mnt/answer
}

# Whatever starts `sh` below starts this way's: the runner starts steps so.
sh=$(readlink -f /bin/sh)
for way in dash bash busybox; do
    mount --bind "$(readlink -f "$(command -v "$way")")" "$sh" || exit 2
    before=$passed
    frame
    verbs
    runner
    watching
    going_down
    names_of_bridges
    for others in 0 20; do
        links
        folders_in_the_way
    done
    others=0
    many_files
    bundles_are_sent
    folders_have_permissions
    containers_are_judged
    containers_are_watched
    only_what_ended_at_the_start_is_blamed
    a_project_is_checked
    a_bundle_is_put_together
    the_firewalls_lock
    the_firewall_is_hooked
    keys_have_fingerprints
    secrets_are_made
    secrets_are_encoded
    backups_are_examined
    backups_are_listed
    queues_are_set_aside
    secrets_are_given
    secrets_are_rotated
    secrets_are_asked_for
    a_database_is_judged
    a_server_is_told
    a_server_provisions_itself
    umount -l "$sh"
    printf '%s: %s passed\n' "$way" "$((passed - before))" >&2
done
printf '%s passed, %s failed\n' "$passed" "$failures"
[ "$failures" = 0 ]
