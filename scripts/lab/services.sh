# shellcheck shell=sh
# What the lab serves on its bridge: the apt mirror and the image registry.

MIRROR_TREE=$STATE/mirror
REGISTRY_TREE=$STATE/registry

ensure_mirror() {
    recipe=$(stamp "$LAB/mirror")
    [ "$(cat "$MIRROR_TREE/.stamp" 2>/dev/null)" = "$recipe" ] || build_mirror "$recipe"
    start_service mirror python3 "$LAB/mirror/serve" "$MIRROR_TREE" "$GATEWAY" "$MIRROR_PORT"
    wait_until 10 http_ok "http://$GATEWAY:$MIRROR_PORT/linux/debian/gpg" || die 'the mirror does not answer'
}

build_mirror() {
    say 'building the apt mirror'
    mkdir -p "$STATE/log"
    # Also what a killed build has left.
    rm -rf "$MIRROR_TREE.new" "$STATE"/.parts.*
    if ! "$LAB/mirror/build" "$MIRROR_TREE.new" >"$STATE/log/mirror-build.log" 2>&1; then
        tail -n 20 "$STATE/log/mirror-build.log" >&2
        die "the mirror failed to build: see $STATE/log/mirror-build.log"
    fi
    echo "$1" >"$MIRROR_TREE.new/.stamp"
    stop_service mirror
    rm -rf "$MIRROR_TREE"
    mv "$MIRROR_TREE.new" "$MIRROR_TREE"
}

registry_up() {
    mkdir -p "$REGISTRY_TREE"
    cat >"$STATE/registry.yml" <<CONFIG
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: $REGISTRY_TREE}
  delete: {enabled: true}
http: {addr: "$GATEWAY:$REGISTRY_PORT"}
CONFIG
    # Not answering to what the machine's environment says of proxies or telemetry.
    start_service registry env -i PATH="$PATH" docker-registry serve "$STATE/registry.yml"
    wait_until 10 http_ok "http://$GATEWAY:$REGISTRY_PORT/v2/" || die "the registry does not answer"
}

# With python3, which the mirror needs anyhow: curl may not be on the machine.
http_ok() {
    python3 - "$1" <<'ASK' 2>/dev/null
import sys, urllib.request
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=2)
ASK
}
