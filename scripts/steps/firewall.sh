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
    arg present | while IFS= read -r tuple; do
        has_tuple "$tuple" || {
            say "ufw lacks: ${tuple#'### tuple ### '}"
            return 1
        }
    done || return 1
    arg absent | while IFS= read -r tuple; do
        ! has_ours "$tuple" || {
            say "ufw still has: ${tuple#'### tuple ### '}"
            return 1
        }
    done || return 1
    files_placed || return 1
    hooked || return 1
    grep -qix 'ENABLED=yes' /etc/ufw/ufw.conf || return 1
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

# has_tuple TUPLE: whether ufw has the rule, with or without a remark of somebody's.
has_tuple() {
    grep -qxF "$1" /etc/ufw/user.rules /etc/ufw/user6.rules ||
        grep -qF "$1 comment=" /etc/ufw/user.rules /etc/ufw/user6.rules
}

# has_ours TUPLE: the same with our mark, "provision" in hexadecimal.
has_ours() {
    grep -qxF "$1 comment=70726f766973696f6e" /etc/ufw/user.rules /etc/ufw/user6.rules
}

hooked() {
    [ -x "$etc/after.init" ] && grep -q '^\[ ! -x /etc/ufw/provision.init \]' "$etc/after.init"
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
    arm
    place_files
    hook
    lint
    ufw default deny incoming >/dev/null || undo "ufw did not take the default for what comes in"
    sed -i 's/^IPV6=no$/IPV6=yes/' /etc/default/ufw
    # The ports of ssh are let in before anything else, and before what somebody denied.
    arg add >"$memory/add"
    while read -r place protocol ports source; do
        case $place in first) verb=prepend ;; *) verb= ;; esac
        # shellcheck disable=SC2086 # no word where there is no verb
        ufw $verb allow proto "$protocol" from "$source" to any port "$ports" comment provision </dev/null 2>&1 ||
            undo "ufw did not take $ports/$protocol from $source"
    done <"$memory/add"
    arg remove >"$memory/remove"
    while read -r protocol ports source; do
        ufw delete allow proto "$protocol" from "$source" to any port "$ports" </dev/null 2>&1 ||
            undo "ufw did not take back $ports/$protocol from $source"
    done <"$memory/remove"
    # Enabling it again loads all of it anew, and new connections meet the new rules from here on.
    if grep -qix 'ENABLED=yes' /etc/ufw/ufw.conf && ufw status | grep -q '^Status: active'; then
        ufw reload 2>&1 || undo "ufw could not load its rules"
    else
        ufw --force enable 2>&1 || undo "ufw could not be enabled"
    fi
    rules_stand || undo "the rules are not loaded as they should be"
    prove
    disarm
}

rules_verify() {
    rules_guard || fail "the firewall is not as it should be"
}

# hook: ufw's own place for what is to happen when it starts and stops; the rest of the file stays.
hook() {
    after=$etc/after.init
    if ! hooked; then
        keep "$after"
        {
            head -n 1 "$after" 2>/dev/null | grep '^#!' || printf '#!/bin/sh\n'
            # shellcheck disable=SC2016 # it is written, not expanded
            printf '[ ! -x /etc/ufw/provision.init ] || /etc/ufw/provision.init "$1" # provision\n'
            sed '1{/^#!/d;}; /^\[ ! -x \/etc\/ufw\/provision.init \]/d' "$after" 2>/dev/null
        } >"$after.provision-new"
        { chmod 0750 "$after.provision-new" && mv -f "$after.provision-new" "$after"; } ||
            undo "$after could not be written"
    fi
}

# lint: what does not load must not be found out half way.
lint() {
    iptables-restore -w -n --test </etc/ufw/provision.rules 2>&1 ||
        undo "iptables does not take the rules for containers"
    [ -e /proc/net/if_inet6 ] || return 0
    ip6tables-restore -w -n --test </etc/ufw/provision6.rules 2>&1 ||
        undo "ip6tables does not take the rules for containers"
}

# arm: what stands there is kept, and a timer brings it back; also after a reboot.
arm() {
    seconds=$(arg revert_after 90)
    { mkdir -p "$memory" && chmod 0700 "$memory"; } || fail "$memory could not be made"
    # Of two changes without proof the first found what was good.
    if [ ! -e "$memory/armed" ]; then
        rm -rf "$memory/before"
        { mkdir "$memory/before" && cp -a /etc/ufw "$memory/before/rules" &&
            cp -a /etc/default/ufw "$memory/before/defaults"; } ||
            fail "no copy of /etc/ufw could be kept"
        loaded iptables-save ufw >"$memory/before/loaded"
        loaded ip6tables-save ufw6 >"$memory/before/loaded6"
    fi
    rm -rf "$memory/steps" "$memory/changes"
    { mkdir "$memory/steps" "$memory/changes" &&
        cp "$dir/step.sh" "$memory/" && cp "$dir/steps/firewall.sh" "$memory/steps/" &&
        cp "$dir/changes/list" "$memory/changes/" && cp -a "$change" "$memory/changes/"; } ||
        fail "the way back could not be prepared"
    cat >"$units/$revert_unit.service" <<UNIT
[Unit]
Description=set the firewall back: nobody has proven that this host is still reached
ConditionPathExists=|$memory/armed
ConditionPathExists=|$memory/reverting

[Service]
Type=oneshot
ExecStart=/bin/sh $memory/step.sh $memory revert ${change##*/}
UNIT
    cat >"$units/$revert_unit.timer" <<UNIT
[Unit]
Description=set the firewall back unless somebody proves that this host is still reached

[Timer]
OnActiveSec=$seconds
AccuracySec=1s

[Install]
WantedBy=timers.target
UNIT
    printf '%s\n' "${dir##*/}" >"$memory/armed" || fail "the way back could not be prepared"
    # Not enabled by systemctl: that would reload systemd once more.
    mkdir -p "$units/timers.target.wants"
    ln -sf "../$revert_unit.timer" "$units/timers.target.wants/$revert_unit.timer"
    systemctl daemon-reload
    # It may run for an earlier change, and begins anew.
    systemctl restart "$revert_unit.timer" ||
        fail "the timer that sets the firewall back could not be started"
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

forget() {
    systemctl stop "$revert_unit.timer"
    rm -f "$units/$revert_unit.service" "$units/$revert_unit.timer" "$units/timers.target.wants/$revert_unit.timer"
    systemctl daemon-reload
    find "$memory" -mindepth 1 -maxdepth 1 ! -name reverted -exec rm -rf {} +
}

# undo WHY: sets everything back at once and ends the change.
undo() {
    printf '%s\n' "$*" >"$memory/why"
    systemctl stop "$revert_unit.timer"
    systemctl start "$revert_unit.service"
    rm -f "$memory/reverted"
    fail "$*; the firewall is as it was before"
}

set_back() {
    while [ -e "$memory/reverting" ]; do sleep 0.2; done
    hint "see what else keeps ssh out ('iptables -S', 'ip6tables -S', the provider's own firewall), then run provision again"
    hint "a slow way to the host may want a longer 'revert_after' in [steps.firewall]"
    fail "the firewall has set itself back: $(sed -n 3p "$memory/reverted")"
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
    printf 'await: new-connection\n'
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
        systemctl start "$revert_unit.service"
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

# revert: what the timer does; the former rules are loaded again, and nothing of the new ones remains.
rules_revert() {
    mv "$memory/armed" "$memory/reverting" 2>/dev/null
    [ -e "$memory/reverting" ] || return 0
    read -r run <"$memory/reverting"
    rm -f "/var/lib/provision/runs/$run/awaits"
    printf '%s\n%s\n%s\n' "$(date -u '+%Y-%m-%d %H:%M UTC')" "$run" "$(why)" >"$memory/reverted"
    ufw --force disable
    rm -rf /etc/ufw
    cp -a "$memory/before/rules" /etc/ufw
    cp -a "$memory/before/defaults" /etc/default/ufw
    if grep -qix 'ENABLED=yes' /etc/ufw/ufw.conf; then
        ufw reload
        iptables-restore -w -n <"$memory/before/loaded"
        ip6tables-restore -w -n <"$memory/before/loaded6"
    fi
    forget
}
