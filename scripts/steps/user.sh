# shellcheck shell=sh # sourced by step.sh
# The user step: who may use Docker without sudo.

# member: a login is in a group.

member_guard() {
    case " $(id -nG "$(arg user)" 2>/dev/null) " in
        *" $(arg group) "*) return 0 ;;
    esac
    return 1
}

member_apply() {
    getent passwd "$(arg user)" >/dev/null || fail "there is no login $(arg user) on this host"
    usermod -aG "$(arg group)" "$(arg user)"
}

member_verify() {
    member_guard || fail "$(arg user) is not in the group $(arg group)"
}

# leave: a login is no longer in a group.

leave_guard() { ! member_guard; }

leave_apply() { gpasswd --delete "$(arg user)" "$(arg group)"; }

leave_verify() {
    leave_guard || fail "$(arg user) is still in the group $(arg group)"
}
