# shellcheck shell=sh disable=SC2154 # sourced by step.sh, which sets dir, change, phase and code
# The firewall step: ufw's rules and those for containers, changed so that nobody is locked out.
#
# Before anything is changed the host learns to set itself back: a timer that also
# survives a reboot restores what stood there. It is taken away only when a new
# connection has succeeded; this one proves nothing, since its packets belong to
# what has begun before.

etc=/etc/ufw
memory=/var/lib/provision/firewall
units=/etc/systemd/system
revert_unit=provision-firewall-revert
boot_unit=provision-firewall-boot
lock=/run/provision/firewall.lock
chain=PROVISION-FORWARD

# rules: ports that are let in, of the host and of its containers.

rules_guard() {
    [ ! -e "$memory/armed" ] && [ ! -e "$memory/reverting" ] || return 1
    rules_stand
}

# What is left undone is said on stdout.
rules_stand() {
    for path in user.rules user6.rules; do
        [ -e "/etc/ufw/$path" ] || return 1
    done
    tuples >"$scratch/tuples"
    missing=$(arg present | grep -vxF -f "$scratch/tuples")
    [ -z "$missing" ] || {
        printf '%s\n' "$missing" | sed 's/^### tuple ###/ufw lacks:/'
        return 1
    }
    # What is no longer asked for and has our mark.
    our_tuples >"$scratch/tuples"
    left=$(arg absent | grep -xF -f "$scratch/tuples")
    [ -z "$left" ] || {
        printf '%s\n' "$left" | sed 's/^### tuple ###/ufw still has:/'
        return 1
    }
    files_placed || return 1
    hooked || return 1
    grep -qix 'ENABLED=yes' /etc/ufw/ufw.conf || return 1
    systemctl is-enabled --quiet ufw.service 2>/dev/null || {
        say "ufw is not started at boot"
        return 1
    }
    {
        read -r count mark
        chains_loaded iptables "$count" "$mark" || return 1
        [ -e /proc/net/if_inet6 ] || return 0
        read -r count mark
        chains_loaded ip6tables "$count" "$mark" || return 1
    } <<MARKS
$(arg marks)
MARKS
}

# tuples: the rules that ufw has, with or without a remark of somebody's.
tuples() { sed -n '/^### tuple ###/{s/ comment=.*//;p;}' /etc/ufw/user.rules /etc/ufw/user6.rules; }

# our_tuples: those with our mark, "provision" in hexadecimal.
our_tuples() { sed -n '/^### tuple ###/s/ comment=70726f766973696f6e$//p' /etc/ufw/user.rules /etc/ufw/user6.rules; }

# hooked: whether ufw calls us before it stops, and after it has started.
hooked() {
    for init in before after; do
        [ -x "$etc/$init.init" ] && grep -q '^\[ ! -x /etc/ufw/provision.init \]' "$etc/$init.init" || return 1
    done
}

# chains_loaded PROGRAM COUNT MARK
chains_loaded() {
    case $1 in ip6*) first=ufw6-before-input ;; *) first=ufw-before-input ;; esac
    "$1" -w -C INPUT -j "$first" 2>/dev/null || {
        say "ufw's rules are not loaded ($1)"
        return 1
    }
    "$1" -w -t mangle -C FORWARD -j "$chain" 2>/dev/null || {
        say "nothing asks the chain $chain ($1)"
        return 1
    }
    "$1" -w -t mangle -C INPUT -j PROVISION-INPUT 2>/dev/null || {
        say "nothing asks the chain PROVISION-INPUT ($1)"
        return 1
    }
    found=$("$1" -w -t mangle -S "$chain")
    case $found in *"provision $3"*) ;; *)
        say "the chain $chain is another one ($1)"
        return 1
        ;;
    esac
    [ "$(printf '%s\n' "$found" | grep -c '^-A')" -eq "$2" ]
}

rules_apply() {
    command -v ufw >/dev/null 2>&1 || fail "there is no ufw on the host"
    understands_hook
    arm
    place_files
    hook
    lint
    # What is off is only written: nothing is loaded before all of it is there, and each call is quick.
    sed -i 's/^[[:space:]]*ENABLED=.*/ENABLED=no/I' /etc/ufw/ufw.conf || undo "/etc/ufw/ufw.conf could not be written"
    ufw default deny incoming >/dev/null || undo "ufw did not take the default for what comes in"
    # What the host forwarded before ufw came goes on.
    [ "$(arg routed)" != allow ] || ufw default allow routed >/dev/null ||
        undo "ufw did not take the default for what is forwarded"
    [ "$(sed -n 's/^[[:space:]]*IPV6=//p' /etc/default/ufw | tail -n 1)" = yes ] ||
        { sed -i '/^[[:space:]]*IPV6=/d' /etc/default/ufw && printf 'IPV6=yes\n' >>/etc/default/ufw; } ||
        undo "/etc/default/ufw could not be written"
    # The ports of ssh are let in before anything else, and before what somebody denied.
    arg add >"$memory/add"
    while read -r place protocol ports source interface; do
        case $place in first) verb=prepend ;; *) verb= ;; esac
        # shellcheck disable=SC2086 # no word where there is no verb, and three where there is an interface
        ufw $verb allow ${interface:+in on $interface} proto "$protocol" from "$source" to any port "$ports" comment provision </dev/null 2>&1 ||
            undo "ufw did not take $ports/$protocol from $source"
    done <"$memory/add"
    arg remove >"$memory/remove"
    while read -r protocol ports source interface; do
        # shellcheck disable=SC2086 # three words where there is an interface
        ufw delete allow ${interface:+in on $interface} proto "$protocol" from "$source" to any port "$ports" </dev/null 2>&1 ||
            undo "ufw did not take back $ports/$protocol from $source"
    done <"$memory/remove"
    at_boot
    # From here on new connections meet the new rules: the time for the proof begins now.
    systemctl restart "$revert_unit.timer" || undo "the timer that reverts the firewall could not be started"
    # Its time was over while all of it was written: it waits for the lock, and has done nothing.
    systemctl stop "$revert_unit.service" 2>/dev/null
    load
    rules_stand || undo "the rules are not loaded as they should be"
    exec 9>&-
    prove
    disarm
}

# load: all of it anew, whatever of it is loaded already.
load() {
    set -- --force enable
    ! iptables -n -L ufw-user-input >/dev/null 2>&1 || set -- reload
    sed -i 's/^[[:space:]]*ENABLED=.*/ENABLED=yes/I' /etc/ufw/ufw.conf
    grep -qx 'ENABLED=yes' /etc/ufw/ufw.conf || printf 'ENABLED=yes\n' >>/etc/ufw/ufw.conf
    ufw "$@" </dev/null 2>&1 || undo "ufw could not load its rules"
}

# at_boot: what is loaded now is loaded again after a reboot.
at_boot() {
    systemctl is-enabled --quiet ufw.service 2>/dev/null && return 0
    systemctl unmask ufw.service 2>&1
    systemctl enable ufw.service 2>&1 || undo "ufw could not be set to start at boot (systemctl enable ufw)"
}

rules_verify() {
    rules_guard || fail "the firewall is not as it should be"
}

# understands_hook: a line for a shell is nothing to write into what another program reads.
understands_hook() {
    for init in before after; do
        [ -s "$etc/$init.init" ] || continue
        read -r first <"$etc/$init.init" || continue
        case $first in
            '#!'*[/\ ]sh | '#!'*[/\ ]sh\ * | '#!'*[/\ ]bash | '#!'*[/\ ]bash\ * | '#!'*[/\ ]dash | '#!'*[/\ ]dash\ *) ;;
            '#!'*)
                hint "make it a shell script that starts the other program, and run provision again"
                fail "$etc/$init.init is no shell script ($first), and a line of provision's would break it; nothing was changed"
                ;;
        esac
    done
}

# hook: ufw's own places for what is to happen when it starts and stops; the rest of each file stays.
hook() {
    # shellcheck disable=SC2016 # it is written, not expanded
    {
        hook_into before '[ ! -x /etc/ufw/provision.init ] || /etc/ufw/provision.init "before-$1" # provision'
        hook_into after '[ ! -x /etc/ufw/provision.init ] || /etc/ufw/provision.init "$1" # provision'
    }
}

# hook_into before|after LINE
hook_into() {
    init=$etc/$1.init
    [ ! -x "$init" ] || ! grep -qxF -- "$2" "$init" || return 0
    keep "$init"
    {
        head -n 1 "$init" 2>/dev/null | grep '^#!' || printf '#!/bin/sh\n'
        printf '%s\n' "$2"
        sed '1{/^#!/d;}; /^\[ ! -x \/etc\/ufw\/provision.init \]/d' "$init" 2>/dev/null
    } >"$init.provision-new"
    { chmod 0750 "$init.provision-new" && mv -f "$init.provision-new" "$init"; } || undo "$init could not be written"
}

# lint: what does not load must not be found out half way.
lint() {
    iptables-restore -w -n --test </etc/ufw/provision.rules 2>&1 ||
        undo "iptables does not take the rules for containers"
    [ -e /proc/net/if_inet6 ] || return 0
    ip6tables-restore -w -n --test </etc/ufw/provision6.rules 2>&1 ||
        undo "ip6tables does not take the rules for containers"
}

# Whoever can open a file can hold a lock on it, readers too: this one is in a folder for root alone.
room_for_lock() {
    (umask 077 && mkdir -p "${lock%/*}") && chmod 0700 "${lock%/*}"
}

# arm: what stands there is kept, and a timer brings it back; also after a reboot.
arm() {
    seconds=$(arg revert_after 90)
    # A change and its way back never go at the same time.
    if [ -e "$memory/reverting" ]; then
        systemctl start --wait "$revert_unit.service"
        [ ! -e "$memory/reverting" ] || fail "the firewall is still being reverted after an earlier change"
    fi
    { room_for_lock && exec 9>"$lock" && flock -w 60 9; } ||
        fail "the firewall is being changed by another process: $lock is held"
    { mkdir -p "$memory" && chmod 0700 "$memory"; } || fail "$memory could not be created"
    # Of two changes without proof the first found what was good.
    if [ ! -e "$memory/armed" ]; then
        rm -rf "$memory/before"
        # What is in it, wherever it is: the folder may be a link.
        { mkdir -p "$memory/before/rules" && cp -a "$etc/." "$memory/before/rules/" &&
            cp -pL /etc/default/ufw "$memory/before/defaults"; } || {
            rm -rf "$memory/before"
            fail "no copy of $etc could be kept in $memory; nothing was changed"
        }
        loaded iptables-save ufw >"$memory/before/loaded"
        loaded ip6tables-save ufw6 >"$memory/before/loaded6"
        systemctl is-enabled ufw.service >"$memory/before/at-boot" 2>/dev/null
    fi
    rm -rf "$memory/steps" "$memory/changes"
    { mkdir "$memory/steps" "$memory/changes" &&
        cp "$dir/step.sh" "$memory/" && cp "$dir/steps/firewall.sh" "$memory/steps/" &&
        cp "$dir/changes/list" "$memory/changes/" && cp -a "$change" "$memory/changes/"; } ||
        fail "the way back could not be prepared"
    cat >"$units/$revert_unit.service" <<UNIT || fail "the way back could not be prepared"
[Unit]
Description=set the firewall back: nobody has proven that this host is still reached
ConditionPathExists=|$memory/armed
ConditionPathExists=|$memory/reverting

[Service]
# Not oneshot: with its file it loses that it may take its time, and is ended at the next reload.
Type=exec
ExecStart=/bin/sh $memory/step.sh $memory revert ${change##*/}
UNIT
    # systemd counts OnActiveSec anew whenever it is reloaded, by whomever: this holds all the same. The
    # minute is for writing the rules. An empty line would take away what stands before it, so it is first.
    latest=$(date -u -d "@$(($(date +%s) + seconds + 60))" '+%Y-%m-%d %H:%M:%S UTC')
    cat >"$units/$revert_unit.timer" <<UNIT || fail "the way back could not be prepared"
[Unit]
Description=set the firewall back unless somebody proves that this host is still reached

[Timer]
OnCalendar=$latest
OnActiveSec=$seconds
AccuracySec=1s

[Install]
WantedBy=timers.target
UNIT
    # No proof can arrive after a reboot, and ufw must not start with half-written rules.
    cat >"$units/$boot_unit.service" <<UNIT || fail "the way back could not be prepared"
[Unit]
Description=set the firewall back before it starts: its new rules were not proven
DefaultDependencies=no
ConditionPathExists=|$memory/armed
ConditionPathExists=|$memory/reverting
After=local-fs.target
Before=ufw.service network-pre.target

[Service]
Type=oneshot
ExecStart=/bin/sh $memory/step.sh $memory boot ${change##*/}
UNIT
    mkdir -p "$units/sysinit.target.wants"
    ln -sf "../$boot_unit.service" "$units/sysinit.target.wants/$boot_unit.service"
    printf '%s\n' "${dir##*/}" >"$memory/armed" || fail "the way back could not be prepared"
    find "$memory" "$units/$boot_unit.service" -type f -exec sync {} + 2>/dev/null
    # Not enabled by systemctl: that would reload systemd once more.
    mkdir -p "$units/timers.target.wants"
    ln -sf "../$revert_unit.timer" "$units/timers.target.wants/$revert_unit.timer"
    systemctl daemon-reload
    # It may run for an earlier change, and begins anew.
    systemctl restart "$revert_unit.timer" ||
        fail "the timer that reverts the firewall could not be started"
}

# loaded PROGRAM NAME: the rules of ufw's chains and of ours as the kernel has them just now. Files
# are not enough: somebody may have edited them and not loaded them since.
loaded() {
    "$1" -t filter | grep -E "^(\*|COMMIT|:$2-|-A $2-)"
    "$1" -t mangle | grep -E "^(\*|COMMIT|:$chain |-A $chain )"
}

# disarm: the new rules stay.
disarm() {
    systemctl stop "$revert_unit.timer"
    rm -f "$dir/awaits"
    # Only one of two can take it: this, or the timer that has just begun.
    mv "$memory/armed" "$memory/proven" 2>/dev/null || set_back
    forget
    rm -f "$memory/reverted"
}

# Whoever is ended in the middle of it has set back, or proven, all the same: what says otherwise goes
# first, so that nothing is set back a second time from what is half gone.
forget() {
    systemctl stop "$revert_unit.timer"
    rm -f "$memory/reverting" "$memory/armed"
    forget_units
    find "$memory" -mindepth 1 -maxdepth 1 ! -name reverted -exec rm -rf {} +
    systemctl daemon-reload
}

forget_units() {
    rm -f "$units/$revert_unit.service" "$units/$revert_unit.timer" "$units/timers.target.wants/$revert_unit.timer" \
        "$units/$boot_unit.service" "$units/sysinit.target.wants/$boot_unit.service"
}

# undo WHY: sets everything back at once and ends the change.
undo() {
    printf '%s\n' "$*" >"$memory/why"
    exec 9>&-
    systemctl stop "$revert_unit.timer"
    systemctl start --wait "$revert_unit.service"
    [ ! -e "$memory/reverting" ] || {
        hint "'journalctl -u $revert_unit' on the host tells why; what stood there before is kept in $memory/before"
        fail "$*; and the firewall could not be reverted"
    }
    rm -f "$memory/reverted"
    fail "$*; the firewall is as it was before"
}

set_back() {
    while [ -e "$memory/reverting" ]; do sleep 0.2; done
    hint "see what else keeps ssh out ('iptables -S', 'ip6tables -S', the provider's own firewall), then run provision again"
    hint "on a slow connection, raise 'revert_after' in [steps.firewall]"
    fail "the firewall was reverted: $(sed -n 3p "$memory/reverted")"
}

why() {
    if [ -e "$memory/why" ]; then
        cat "$memory/why"
    elif [ "$(arg proof)" = local ]; then
        printf 'a try on the host itself did not get in by ssh'
    else
        printf 'no new connection from the laptop succeeded within %s seconds' "$(arg revert_after 90)"
    fi
}

# prove: waits for the proof that a new connection gets in.
prove() {
    if [ "$(arg proof)" = local ]; then
        prove_here
        return 0
    fi
    rm -f "$dir/proven"
    : >"$dir/awaits"
    await_proof
    while [ ! -e "$dir/proven" ]; do
        [ -e "$memory/armed" ] || set_back
        sleep 0.1
    done
}

# prove_here: nobody else is there to try. A network of its own beside the host's stands for the
# outside: its packets come in by an interface, and meet the rules as anybody's do.
prove_here() {
    arg ssh >"$memory/ssh"
    while read -r port source; do
        enters "$source" "$port" && continue
        printf 'from an address beside it the host itself is not reached at port %s\n' "$port" >"$memory/why"
        systemctl stop "$revert_unit.timer"
        systemctl start --wait "$revert_unit.service"
        set_back
    done <"$memory/ssh"
}

# enters ADDRESS PORT
enters() {
    space=provision-outside outside=prov-out inside=prov-in
    case $1 in
        *:*) here=fd70:726f:7669:7369::1 bits=128 known=nodad ;;
        *) here=192.0.2.1 bits=32 known= ;;
    esac
    ip netns delete "$space" 2>/dev/null
    entered=1
    # shellcheck disable=SC2086 # no word where there is none
    if ! { ip netns add "$space" &&
        ip link add "$inside" type veth peer name "$outside" netns "$space" &&
        ip address add "$here/$bits" dev "$inside" $known &&
        ip link set "$inside" up &&
        ip route add "$1/$bits" dev "$inside" &&
        ip -n "$space" address add "$1/$bits" dev "$outside" $known &&
        ip -n "$space" link set "$outside" up &&
        ip -n "$space" route add "$here/$bits" dev "$outside"; }; then
        notice "no network could be made beside the host to try its firewall; the rules were only read"
        entered=0
    fi
    # shellcheck disable=SC2016 # bash expands it
    if [ "$entered" = 1 ] && ip netns exec "$space" timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"' enters "$here" "$2" 2>/dev/null; then
        entered=0
    fi
    ip netns delete "$space" 2>/dev/null
    ip link delete "$inside" 2>/dev/null
    return "$entered"
}

# rules_boot: the same at a boot, before ufw and the network have started: nothing is loaded yet.
rules_boot() {
    mv "$memory/armed" "$memory/reverting" 2>/dev/null
    read -r run <"$memory/reverting" || return 0
    rm -f "/var/lib/provision/runs/$run/awaits"
    printf '%s\n%s\n%s\n' "$(date -u '+%Y-%m-%d %H:%M UTC')" "$run" 'the host was restarted before a new connection had succeeded' >"$memory/reverted"
    put_back
    rm -f "$memory/reverting"
    forget_units
    find "$memory" -mindepth 1 -maxdepth 1 ! -name reverted -exec rm -rf {} +
    # They were read when this boot began.
    systemctl --no-block stop "$revert_unit.timer" 2>/dev/null
    systemctl daemon-reload
}

# put_back: ufw's files as they were.
put_back() {
    # Away with the new ones first: a full disk has room for the old ones then.
    find "$etc/" -mindepth 1 -delete
    cp -a "$memory/before/rules/." "$etc/" || fail "$etc could not be written; what stood there is kept in $memory/before"
    cp -p "$memory/before/defaults" /etc/default/ufw
    case $(cat "$memory/before/at-boot") in
        masked*) systemctl --no-reload mask ufw.service ;;
        disabled) systemctl --no-reload disable ufw.service ;;
    esac
}

# revert: what the timer does; the former rules are loaded again, and nothing of the new ones remains.
rules_revert() {
    room_for_lock
    exec 9>"$lock"
    # Who changes the rules gets to the point where a proof can be awaited, or has hung.
    flock -w 120 9 || ! read -r run <"$memory/armed" || systemctl kill -s KILL "provision-run-$run.service"
    mv "$memory/armed" "$memory/reverting" 2>/dev/null
    [ -e "$memory/reverting" ] || return 0
    read -r run <"$memory/reverting"
    rm -f "/var/lib/provision/runs/$run/awaits"
    printf '%s\n%s\n%s\n' "$(date -u '+%Y-%m-%d %H:%M UTC')" "$run" "$(why)" >"$memory/reverted"
    ufw --force disable 9>&-
    # What would stand in for ufw during a reload is not wanted here.
    [ ! -x "$etc/provision.init" ] || "$etc/provision.init" flush-all 9>&-
    put_back
    if grep -qix 'ENABLED=yes' /etc/ufw/ufw.conf; then
        ufw reload 9>&-
        iptables-restore -w -n <"$memory/before/loaded"
        [ ! -s "$memory/before/loaded6" ] || ip6tables-restore -w -n <"$memory/before/loaded6"
    fi
    forget
}
