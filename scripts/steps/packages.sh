# shellcheck shell=sh disable=SC2154 # sourced by step.sh, which sets dir, change and code
# The packages step: apt without prompts, and dpkg as it should be.

# repair: finishes what an interrupted dpkg left.

repair_guard() {
    for update in /var/lib/dpkg/updates/[0-9]*; do
        [ ! -e "$update" ] || return 1
    done
    [ -z "$(dpkg --audit 2>/dev/null)" ]
}

repair_apply() {
    wait_for_apt
    dpkg --configure -a --force-confdef --force-confold </dev/null ||
        say "dpkg could not configure everything; letting apt complete it"
    apt_get install -f || apt_failed "dpkg could not be repaired"
}

repair_verify() {
    repair_guard || fail "dpkg still has packages that are not configured: $(dpkg --audit | grep '^ ' | tr -s ' \n' ' ')"
}

# install: packages by name.

install_guard() {
    for package in $(arg packages); do
        installed "$package" >/dev/null || return 1
    done
}

install_apply() {
    use_proxy
    # Old lists name versions that are gone; without lists nothing is found.
    if [ "$(arg refresh)" = yes ]; then
        # shellcheck disable=SC2046 # a list of names
        refresh_lists $(arg packages) || apt_failed "the package lists could not be refreshed"
    fi
    # shellcheck disable=SC2046 # a list of names
    set -- $(arg packages)
    apt_get install --no-install-recommends "$@" || apt_failed "packages could not be installed"
    [ ! -e /var/run/reboot-required ] || notice "the host asks for a reboot; provision never reboots by itself"
}

install_verify() {
    for package in $(arg packages); do
        installed "$package" >/dev/null || fail "$package is not installed"
    done
}
