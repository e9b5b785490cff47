# shellcheck shell=sh # sourced by step.sh
# The claims step: what a stack asks of the host, for the other stacks to respect.

# record: the claim is written down, or taken back.

record_guard() { files_placed; }

record_apply() {
    (umask 077 && mkdir -p /var/lib/provision/claims)
    place_files
}

record_verify() {
    files_placed || fail "what the stack asks of this host could not be written down"
}
