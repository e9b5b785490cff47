# shellcheck shell=sh
# How the lab's hosts are reached: one key, one configuration file with a block a
# host, and a known_hosts of its own.

ssh_key() {
    [ -f "$SSH_DIR/id_ed25519.pub" ] && return 0
    mkdir -p "$SSH_DIR"
    chmod 700 "$SSH_DIR"
    ssh-keygen -q -t ed25519 -N '' -C provision-lab -f "$SSH_DIR/id_ed25519"
}

ssh_add() { with_lock ssh ssh_rewrite "$1" "$2" add; }
ssh_forget() { with_lock ssh ssh_rewrite "$1" "$2"; }

# The key exchange is the cheapest of the safe ones: OpenSSH's own choice costs each connection a
# tenth of a second of both processors, and stories connect thousands of times.
# ssh_rewrite NAME ADDRESS [add]: the file is replaced in one move, since others
# are reading it. A name or an address that changes hands forgets its host keys.
ssh_rewrite() {
    mkdir -p "$SSH_DIR"
    touch "$SSH_CONFIG"
    new=$(mktemp "$SSH_DIR/.config.XXXXXX")
    awk -v name="$1" '$1 == "Host" { skip = ($2 == name) } !skip' "$SSH_CONFIG" >"$new"
    [ -z "${3:-}" ] || cat >>"$new" <<BLOCK
Host $1
    HostName $2
    Port 22
    User deploy
    IdentityFile $SSH_DIR/id_ed25519
    IdentitiesOnly yes
    KexAlgorithms curve25519-sha256
    UserKnownHostsFile $SSH_DIR/known_hosts
    StrictHostKeyChecking accept-new
BLOCK
    chmod 644 "$new"
    mv "$new" "$SSH_CONFIG"
    [ -f "$SSH_DIR/known_hosts" ] || return 0
    new=$(mktemp "$SSH_DIR/.known_hosts.XXXXXX")
    awk -v name="$1" -v address="$2" '$1 != name && $1 != address' "$SSH_DIR/known_hosts" >"$new"
    mv "$new" "$SSH_DIR/known_hosts"
}
