# shellcheck shell=sh disable=SC2154 # sourced by step.sh, which sets dir, change and code
# The docker step: Engine, CLI, containerd, buildx and the Compose plugin.

# repository: apt knows Docker's repository, and it is proven to work.

key=/etc/apt/keyrings/docker.asc

repository_guard() {
    files_placed && [ -s "$key" ] && [ -z "$(doubles)" ]
}

# doubles: apt sources besides ours that name the same repository. Two that
# name different keys make every apt run fail (docker/for-linux#1349).
doubles() {
    address=$(arg address)
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
        case $file in
            */docker.sources) continue ;;
            *.list | *.sources) [ ! -e "$file" ] || ! grep -v '^[[:space:]]*#' "$file" | grep >/dev/null -F "$address" || printf '%s\n' "$file" ;;
        esac
    done
}

# withdraw: leaves apt as it was.
withdraw() {
    withdraw_source docker.sources
    [ ! -e "$dir/kept$key" ] || cp -a "$dir/kept$key" "$key"
    fail "$1"
}

repository_apply() {
    take_key Docker "$key"
    doubles | while IFS= read -r file; do
        say "switching off the older entry in $file"
        keep "$file"
        case $file in
            *.list) sed -i "\\|$(arg address)|s|^[[:space:]]*deb|# deb|" "$file" ;;
            *) mv -f "$file" "$file.disabled" ;;
        esac
    done
    place_files
    try_source docker.sources || {
        if grep -q '404\|does not have a Release file' "$scratch/apt.log"; then
            hint "Docker may have no packages for this release yet: try source = \"distribution\" in [steps.docker]"
            withdraw "Docker's repository has nothing for this release"
        fi
        (apt_failed "Docker's repository does not work")
        withdraw "Docker's repository does not work; apt is as it was"
    }
}

repository_verify() {
    repository_guard || fail "apt does not know Docker's repository as it should"
}

# engine: the packages, in one transaction: what conflicts leaves only when its replacement is here.

engine_guard() {
    for package in $(arg packages); do
        installed "$package" >/dev/null || return 1
    done
    for package in $(arg conflicts); do
        ! installed "$package" >/dev/null || return 1
    done
    fits "$(installed "$(arg main)")"
}

# fits VERSION: whether a package's version is within the bounds ("ge 27.0.0", a line each).
fits() {
    version=${1#*:}
    version=${version%%-*}
    version=${version%%+*}
    arg bounds | while read -r relation bound; do
        dpkg --compare-versions "$version" "$relation" "$bound" || exit 1
    done
}

# choose: the newest version of the main package that fits.
choose() {
    apt-cache madison "$(arg main)" | while read -r _ _ candidate _; do
        if fits "$candidate"; then
            printf '%s' "$candidate"
            break
        fi
    done
}

engine_apply() {
    use_proxy
    what_runs >"$scratch/ran"
    if [ "$(arg refresh)" = yes ]; then
        # shellcheck disable=SC2046 # a list of names
        refresh_lists $(arg packages) || apt_failed "the package lists could not be refreshed"
    fi
    main=$(arg main)
    chosen=$(choose)
    if [ -z "$chosen" ]; then
        offered=$(apt-cache madison "$main" | while read -r _ _ candidate _; do printf ' %s' "$candidate"; done)
        hint "the host's repositories offer:${offered:- nothing}"
        fail "no version of $main fits \"$(arg version any)\""
    fi
    say "$main $chosen"
    list=
    for package in $(arg packages); do
        case $package in
            "$main" | docker-ce-cli) list="$list $package=$chosen" ;;
            *) list="$list $package" ;;
        esac
    done
    for package in $(arg conflicts); do
        ! installed "$package" >/dev/null || list="$list $package-"
    done
    held=" $(apt-mark showhold | tr '\n' ' ') "
    # shellcheck disable=SC2086 # a list of names
    {
        apt_get install --download-only --no-install-recommends --allow-downgrades --allow-change-held-packages $list ||
            apt_failed "Docker's packages could not be downloaded; nothing was removed"
        apt_get install --no-install-recommends --allow-downgrades --allow-change-held-packages $list ||
            apt_failed "Docker's packages could not be installed"
    }
    # Installing over a hold has lifted it.
    for package in $(arg packages); do
        case $held in *" $package "*) apt-mark hold "$package" ;; esac
    done
    systemctl enable --now docker.service >/dev/null 2>&1
    answers
    start_again <"$scratch/ran"
}

engine_verify() {
    for package in $(arg packages); do
        installed "$package" >/dev/null || fail "$package is not installed"
    done
    main=$(arg main)
    fits "$(installed "$main")" || fail "$main $(installed "$main") is installed, which does not fit \"$(arg version)\""
    answers
    docker compose version --short >/dev/null 2>&1 || fail "the Compose plugin does not answer"
}

# engine_back PID: a Docker that was not there before is stopped. dpkg goes on to its end. After a boot
# there is no PID, here and below.
engine_back() {
    systemctl mask --runtime --quiet docker.service docker.socket
    systemctl stop docker.socket docker.service
    while [ -n "$1" ] && kill -0 "$1" 2>/dev/null; do sleep 0.2; done
    systemctl unmask --runtime --quiet docker.service docker.socket
    systemctl disable --quiet docker.socket docker.service 2>/dev/null
    remove_bridges
    # A later start would bring the network back for a moment, whatever address its bridge is given by then.
    if [ -e "$memory/network-database" ]; then
        cp -p "$memory/network-database" "$(network_database)"
    else
        rm -f "$(network_database)"
    fi
}

# remove_bridges: those that Docker has made; it leaves them behind when it stops.
remove_bridges() {
    bridges | while read -r bridge; do
        ! is_dockers "$bridge" || grep -qxF "$bridge" "$memory/bridges" || ip link delete "$bridge"
    done
}

# parts: what is missing beside an Engine that stays as it is, whatever pins and holds its owner has.

parts_guard() {
    for package in $(arg packages); do
        installed "$package" >/dev/null || return 1
    done
}

parts_apply() {
    use_proxy
    if [ "$(arg refresh)" = yes ]; then
        # shellcheck disable=SC2046 # a list of names
        refresh_lists $(arg packages) || apt_failed "the package lists could not be refreshed"
    fi
    # shellcheck disable=SC2046 # a list of names
    apt_get install --no-install-recommends --no-remove $(arg packages) || apt_failed "$(arg packages) could not be installed"
}

parts_verify() {
    parts_guard || fail "not all of $(arg packages) are installed"
    docker compose version --short >/dev/null 2>&1 || fail "the Compose plugin does not answer"
}

# answers: waits until the daemon does.
answers() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ ! -e "$scratch/lost" ] || exit 1
        if timeout 10 docker version >/dev/null 2>&1; then
            return 0
        fi
        sleep 1
    done
    journalctl -u docker.service -n 8 --no-pager -o cat 2>/dev/null
    hint "for details, use 'journalctl -u docker' on the host"
    fail "the Docker daemon does not answer"
}

# daemon: daemon.json, merged on the laptop, checked by dockerd itself before it counts.

daemon_guard() { files_placed; }

daemon_apply() {
    if command -v dockerd >/dev/null 2>&1 &&
        ! complaints=$(dockerd --validate --config-file "$change/files/1" 2>&1); then
        printf '%s\n' "$complaints" | sed "s|$change/files/1|daemon.json|g"
        hint "fix 'daemon' in [steps.docker], or /etc/docker/daemon.json on the host"
        fail "dockerd does not accept the new daemon.json; the previous one and the running Docker are untouched"
    fi
    place_files
    what_runs >"$scratch/ran"
    case $(arg activate) in
        reload) systemctl reload docker.service ;;
        restart)
            if ! systemctl restart docker.service; then
                say "dockerd does not start with it; going back to the previous daemon.json"
                former_daemon
                start_again <"$scratch/ran"
                fail "dockerd did not start with the new daemon.json; the previous one is back"
            fi
            ;;
        *) return 0 ;;
    esac
    answers
    start_again <"$scratch/ran"
}

# what_runs: the ids of all containers that run, in this project or not; none if the daemon does not answer.
what_runs() { timeout 20 docker ps -q --no-trunc 2>/dev/null || :; }

# start_again: starts containers that ran before a restart of Docker, with their ids on stdin. Docker itself
# starts only those with a restart policy. A container in the network of another one needs a second try.
start_again() {
    cat >"$scratch/stopped"
    for _ in 1 2 3; do
        xargs -r docker inspect --format '{{.ID}} {{.State.Running}}' <"$scratch/stopped" 2>/dev/null |
            sed -n 's/ false$//p' >"$scratch/down"
        [ -s "$scratch/down" ] || return 0
        while read -r id; do docker start "$id" >/dev/null 2>&1; done <"$scratch/down"
    done
    xargs -r docker inspect --format '{{slice .Name 1}} {{.State.Running}}' <"$scratch/down" 2>/dev/null |
        sed -n 's/ false$//p' | while read -r container; do
        notice "the container $container ran before Docker was restarted, and did not start again"
    done
}

daemon_before() { what_runs >"$memory/ran"; }

# former_file: the daemon.json that stood there before.
former_file() {
    former=$dir/kept/etc/docker/daemon.json
    if [ -e "$former" ]; then cp -a "$former" /etc/docker/daemon.json; else rm -f /etc/docker/daemon.json; fi
}

# former_daemon: the same, and Docker with it.
former_daemon() {
    former_file
    systemctl reset-failed docker.service
    systemctl restart docker.service
}

# daemon_back PID
daemon_back() {
    [ -z "$1" ] || kill -s KILL -- "-$1" 2>/dev/null
    systemctl stop docker.service
    remove_bridges
    ip link delete docker0 2>/dev/null
    # Docker gives its bridge the network that it had last, and only a `bip` changes that: it starts once
    # with the address of before.
    if [ -n "$(arg back)" ]; then
        former_file
        (umask 077 && arg back >/etc/docker/daemon.json)
        systemctl reset-failed docker.service
        systemctl start docker.service
        former_file
    else
        former_daemon
    fi
    [ ! -s "$memory/ran" ] || start_again <"$memory/ran"
}

daemon_verify() {
    files_placed || fail "/etc/docker/daemon.json is not as planned"
}

# service: enabled, active and answering.

service_guard() {
    systemctl is-enabled --quiet docker.service && systemctl is-active --quiet docker.service &&
        timeout 10 docker version >/dev/null 2>&1
}

service_apply() {
    systemctl unmask docker.service docker.socket >/dev/null 2>&1
    systemctl reset-failed docker.service >/dev/null 2>&1
    systemctl enable --now docker.service
    answers
}

# service_back PID
service_back() { engine_back "$1"; }

service_verify() {
    service_guard || fail "docker.service is not enabled, active and answering"
}

# hold: apt and unattended-upgrades leave the packages alone.

hold_guard() {
    held=" $(apt-mark showhold | tr '\n' ' ') "
    for package in $(arg packages); do
        case $held in *" $package "*) ;; *) return 1 ;; esac
    done
}

hold_apply() {
    # shellcheck disable=SC2046 # a list of names
    apt-mark hold $(arg packages)
}

hold_verify() {
    hold_guard || fail "apt does not hold Docker's packages"
}
