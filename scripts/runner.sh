#!/bin/sh
# Executes a run on the host. Started by run.sh as a transient systemd unit, so
# it goes on when the connection breaks; everything it does stands in the journal.
#
#   runner.sh DIR
#
# DIR holds:
#   changes/list       a line each: NNN STEP ACTION SECONDS ID TITLE
#   changes/NNN/arg/   a file a value
#   changes/NNN/files/ list (MODE, OWNER, SHA256, PATH, tab-separated) and contents by line number
#   step.sh            performs one phase of one change
#   place.pl           places many files
#   steps/*.sh         ACTION_guard, ACTION_apply, ACTION_verify of each step
#   journal            what happened: MILLISECONDS-SINCE-1970 RECORD
#   mark               what no program can know that a step starts: lines with it are the step's own words
#   kept/              former versions of files that a change replaced
#   room               given up for the journal's last lines when the disk is full
#
# What else it needs to know lies in memory, below /run/provision.
set -u
umask 022
dir=$1
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
lease=/var/lib/provision/lease

run=${dir##*/}
scratch=/run/provision/$run
(umask 077 && mkdir -p "$scratch")
# A lock in it is for root alone: whoever can open a file can also hold a lock on it.
chmod 0700 "${scratch%/*}" "$scratch"
head -c 65536 /dev/zero >"$dir/room"
read -r mark </proc/sys/kernel/random/uuid
(umask 077 && printf '%s\n' "$mark" >"$dir/mark")
# Milliseconds without starting a program: the clock once, then the time since boot.
read -r up _ </proc/uptime
offset=$(($(date +%s) * 1000 - ${up%.*}${up#*.}0))

journal() {
    read -r up _ </proc/uptime
    line="$((offset + ${up%.*}${up#*.}0)) $*"
    printf '%s\n' "$line" >>"$dir/journal" || {
        rm -f "$dir/room"
        # What was begun of it ends here.
        printf '\n%s\n' "$line" >>"$dir/journal"
    }
}

# lines_to_journal NNN: what a phase says.
lines_to_journal() {
    while IFS= read -r text || [ -n "$text" ]; do
        case $text in
            "$mark notice: "* | "$mark result: "* | "$mark error: "* | "$mark hint: "* | "$mark await: "*)
                text=${text#"$mark "}
                journal "${text%%: *} $1 ${text#*: }"
                ;;
            *) journal "output $1 $text" ;;
        esac
    done
}

# perform PHASE NNN SECONDS: one phase of one change; its output goes to the journal, its code comes back.
perform() {
    code=$({
        {
            timeout -k 10 "$3" sh "$dir/step.sh" "$dir" "$1" "$2" </dev/null 2>&1 3>&-
            echo $? >&3
        } | lines_to_journal "$2"
    } 3>&1)
    return "${code:-1}"
}

renew_lease() {
    while sleep 15; do
        now=$(date +%s)
        printf 'run %s\nholder %s\nsince %s\nuntil %s\n' "$run" "$holder" "$since" "$((now + 60))" >"$lease.new.$run" &&
            mv -f "$lease.new.$run" "$lease"
    done
}

finish() {
    # What was sent may hold what only the host should know; its files stand where they belong by now.
    rm -rf "$dir/changes" "$dir/steps" "$dir/step.sh" "$dir/place.pl" "$dir/room" "$dir/mark" "$scratch"
    kill "$renewing" 2>/dev/null
    wait "$renewing" 2>/dev/null
    ! grep -qx "run $run" "$lease" 2>/dev/null || rm -f "$lease"
    journal "run $1"
    exit "$2"
}

read -r holder <"$dir/holder"
since=$(date +%s)
count=$(wc -l <"$dir/changes/list")
journal 'journal 2'
journal "run start $run $((count)) $holder"
renew_lease &
renewing=$!

while read -r number _ _ seconds id title <&3; do
    if [ -e "$dir/cancel" ]; then
        finish cancelled 3
    fi
    [ -z "$title" ] || journal "change title $number $title"
    journal "change start $number $id"
    if timeout -k 10 "$seconds" sh "$dir/step.sh" "$dir" guard "$number" </dev/null >/dev/null 2>&1; then
        journal "change already-so $number $id"
        continue
    fi
    perform apply "$number" "$seconds"
    applied=$?
    # Verifying decides, not the exit code of apt: but a failure that has said
    # why is not asked again.
    if [ "$applied" -eq 0 ]; then
        perform verify "$number" "$seconds" || {
            journal "change failed $number verify $? $id"
            finish failed 1
        }
    elif ! timeout -k 10 "$seconds" sh "$dir/step.sh" "$dir" verify "$number" </dev/null >/dev/null 2>&1; then
        journal "change failed $number apply $applied $id"
        finish failed 1
    fi
    journal "change applied $number $id"
done 3<"$dir/changes/list"
finish completed 0
