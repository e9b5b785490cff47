#!/bin/sh
# The probe: answers what steps ask about a host, in one go, and changes nothing.
#
# Runs as root with questions behind the last line (src/facts/question.rs) and
# prints facts, a line each, fields separated by tabs (src/facts/parse.rs).
# Where it can it reads files instead of starting programs, and what has to be
# started runs side by side: each program costs one or two milliseconds, and the
# whole probe is what a run with nothing to change waits for.
#
# Every value may be hostile: os-release, names of containers, labels. Nothing is
# evaluated, and one awk writes all of the output and takes the control
# characters out, so that no value can become a line or a field.

LC_ALL=C
PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
export LC_ALL PATH

TAB='	'
NL='
'

# Seconds that Docker, each attempt to reach an address, and sshd may take.
DOCKER_LIMIT=10
REACH_LIMIT=5
SSHD_LIMIT=5

have() { command -v "$1" >/dev/null 2>&1; }

# --- what was asked ----------------------------------------------------------

# Lists hold a value a line: no value can hold a line break.
read_questions() {
    RECORDS='' BUNDLES='' UNITS='' DISKS='' REACH='' PROJECTS='' IMAGES='' NETWORKS='' SOURCES='' DOCKER=''
    PUBLISHED='' FIREWALL='' BRIDGE='' ROUTES='' ROOT='' NAMES='' VOLUMES='' OWNERS='' SERVICE='' ENGINES=''
    QUESTIONS=$(sed '1,/^__QUESTIONS__$/d' "$0")
    case $NL$QUESTIONS in
    *"${NL}if-opened$TAB"*)
        what='/^if-opened/d'
        ! opens || what="s/^if-opened$TAB//"
        QUESTIONS=$(printf '%s\n' "$QUESTIONS" | sed "$what")
        ;;
    esac
    # Questions about files are many: no list of them grows in the shell, a line at a time.
    for line in $(printf '%s\n' "$QUESTIONS" | grep -Ev "^(file|sent-file|secret-file|presence|place)$TAB"); do
        value=${line#*"$TAB"}
        case $line in
        record"$TAB"*) RECORDS=$RECORDS$value$NL ;;
        bundle"$TAB"*) BUNDLES=$BUNDLES$value$NL ;;
        manifest"$TAB"*) manifest_files "$value" ;;
        unit"$TAB"*) add_unit "$value" ;;
        disk"$TAB"*) DISKS=$DISKS$value$NL ;;
        reach"$TAB"*) REACH=$REACH$value$NL ;;
        apt-source"$TAB"* | package"$TAB"*) SOURCES=asked ;;
        docker-root) docker_root ;;
        claims) claims ;;
        docker*)
            DOCKER=asked ENGINES=asked
            service_lines
            ;;
        project"$TAB"*) PROJECTS=$PROJECTS$value$NL DOCKER=asked ;;
        image"$TAB"*) IMAGES=$IMAGES$value$NL DOCKER=asked ;;
        network"$TAB"*) NETWORKS=$NETWORKS$value$NL DOCKER=asked ;;
        container-name"$TAB"*) NAMES=$NAMES$value$NL DOCKER=asked ;;
        volume"$TAB"*) VOLUMES=$VOLUMES$value$NL DOCKER=asked ;;
        volumes"$TAB"*) OWNERS=$OWNERS$value$NL DOCKER=asked ;;
        published) PUBLISHED=asked DOCKER=asked ;;
        firewall) FIREWALL=asked ;;
        bridge) BRIDGE=asked ;;
        routes) ROUTES=asked ;;
        esac
    done
    have docker || DOCKER=''
    ! have docker || REACH=''
}

# manifest_files PATH SUM FOLDER, with tabs between: the files of a bundle that was sent, where
# its sum is not the given one. Contents are never read.
manifest_files() {
    manifest=${1%%"$TAB"*}
    folder=${1##*"$TAB"}
    expected=${1#*"$TAB"}
    expected=${expected%%"$TAB"*}
    [ -f "$manifest" ] && [ ! -L "$manifest" ] || return 0
    sum=$(sha256sum <"$manifest")
    [ "${sum%% *}" != "$expected" ] || return 0
    QUESTIONS=$QUESTIONS$NL$(printf '%s\n' "$QUESTIONS" --manifest | FOLDER=$folder awk -F "$TAB" '
        NR == FNR && /^--manifest$/ { next }
        NR == FNR { if ($1 == "file" || $1 == "sent-file" || $1 == "secret-file") asked[$2] = 1; next }
        /\t/ { next }
        {
            name = substr($0, index($0, " ") + 1)
            name = substr(name, index(name, " ") + 1)
            if (name == "" || name ~ /^\.\.\// || name ~ /\/\.\.\//) next
            path = ENVIRON["FOLDER"] "/" name
            if (!(path in asked)) { asked[path] = 1; print "secret-file\t" path }
        }' - "$manifest")
}

# What stacks ask of the host, and what its own file asks.
CLAIMS='/var/lib/provision/claims/*.json /etc/provision/host.toml'

# claims: their files, and where each stack comes from, as if each had been asked for.
claims() {
    set +f
    IFS=' '
    # shellcheck disable=SC2086 # patterns
    set -- $CLAIMS /var/lib/provision/stacks/*/origin /var/lib/provision/stacks/*/folder
    set -f
    IFS=$NL
    for path; do
        case $path in *[!A-Za-z0-9/._-]*) continue ;; esac
        [ -e "$path" ] || continue
        QUESTIONS=$QUESTIONS${NL}file$TAB$path$TAB-
    done
}

# opens: whether one of them lets something in.
opens() {
    # shellcheck disable=SC2086 # those that are there
    (set +f; IFS=' '; cat -- $CLAIMS 2>/dev/null) | grep -q allow
}

# service_lines: what decides how Docker's service is started: its unit, drop-ins, and what they
# take their variables from. Of those, only what may hold an option.
service_lines() {
    [ -z "$SERVICE" ] || return 0
    SERVICE=$NL
    for path in /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
        path=$path/docker.service
        [ ! -f "$path" ] || break
    done
    set +f
    for path in "$path" /lib/systemd/system/docker.service.d/*.conf /run/systemd/system/docker.service.d/*.conf /etc/systemd/system/docker.service.d/*.conf; do
        case $path in *[!A-Za-z0-9/._@-]*) continue ;; esac
        if [ ! -f "$path" ] || [ ! -r "$path" ]; then continue; fi
        # A backslash at its end joins a line with the next.
        # shellcheck disable=SC2162 # without -r, so that read does that
        while IFS=" $TAB" read line || [ -n "$line" ]; do
            case $line in
            ExecStart[!A-Za-z]*) SERVICE=$SERVICE$path$TAB$line$NL ;;
            EnvironmentFile[!A-Za-z]*)
                SERVICE=$SERVICE$path$TAB$line$NL
                variables "${line#*=}"
                ;;
            Environment[!A-Za-z]*) ! has_option || SERVICE=$SERVICE$path$TAB$line$NL ;;
            esac
        done <"$path"
    done
    set -f
}

# variables FILE: those of an EnvironmentFile.
variables() {
    file=${1#"${1%%[! ]*}"}
    file=${file#-}
    case $file in /*[!A-Za-z0-9/._@-]*) return 0 ;; /*) ;; *) return 0 ;; esac
    [ -f "$file" ] && [ -r "$file" ] || return 0
    # shellcheck disable=SC2162
    while IFS=" $TAB" read line || [ -n "$line" ]; do
        case $line in '#'*) continue ;; esac
        ! has_option || SERVICE=$SERVICE$file$TAB$line$NL
    done <"$file"
}

has_option() {
    case $line in *'=-'* | *' -'* | *'"-'* | *"'-"*) return 0 ;; esac
    return 1
}

# engines: what else serves Docker's interface: podman, and Dockers that logins run without root.
engines() {
    path=$(command -v docker)
    if [ -n "$path" ]; then
        target=''
        [ ! -L "$path" ] || target=$(readlink -f -- "$path" 2>/dev/null)
        # A script that is podman's says so.
        while IFS= read -r line; do
            case $line in *podman*) target=$line && break ;; '#'* | '[ -'* | exec* | '') ;; *) break ;; esac
        done <"$path" 2>/dev/null
        case $target in *podman*) printf 'engine\tpodman-command\t%s\n' "$path" ;; esac
    fi
    target=''
    [ ! -L /var/run/docker.sock ] || target=$(readlink -f -- /var/run/docker.sock 2>/dev/null)
    case $target in *podman*) printf 'engine\tpodman-socket\t%s\n' "$target" ;; esac
    [ ! -S /run/podman/podman.sock ] || printf 'engine\tpodman-service\t/run/podman/podman.sock\n'
    rootless=''
    set +f
    for path in /run/user/*/docker.sock; do
        [ -S "$path" ] || continue
        rootless=${path#/run/user/}
        rootless=${rootless%%/*}
        case $rootless in *[!0-9]*) ;; *) printf 'engine\trootless\t%s\t%s\n' "$path" "$rootless" ;; esac
    done
    for path in /home/*/.config/systemd/user/default.target.wants/docker.service; do
        if [ ! -L "$path" ] || [ -n "$rootless" ]; then continue; fi
        rootless=${path#/home/}
        printf 'engine\trootless\t%s\t%s\n' "$path" "${rootless%%/*}"
        rootless=''
    done
    set -f
}

# docker_root: where the daemon's own settings put its data, and the free space there.
docker_root() {
    ROOT=/var/lib/docker
    if [ -f /etc/docker/daemon.json ] && [ -r /etc/docker/daemon.json ]; then
        while IFS= read -r line || [ -n "$line" ]; do
            case $line in *'"data-root"'*:*'"'/*'"'*) ;; *) continue ;; esac
            line=${line#*'"data-root"'*:}
            line=${line#*'"'}
            ROOT=${line%%'"'*}
        done </etc/docker/daemon.json
    fi
    service_lines
    for line in $SERVICE; do
        case $line in
        *--data-root[\ =]*) line=${line##*--data-root?} ;;
        *--graph[\ =]*) line=${line##*--graph?} ;;
        *' -g '*) line=${line##* -g } ;;
        *) continue ;;
        esac
        line=${line#[\"\']}
        line=${line%%[\ \"\']*}
        case $line in /*) ROOT=$line ;; esac
    done
    # Where containerd keeps the images, its store is elsewhere.
    DISKS=$DISKS$ROOT$NL/var/lib/containerd$NL
    QUESTIONS=$QUESTIONS${NL}disk$TAB$ROOT${NL}disk$TAB/var/lib/containerd
}

# systemctl stops at a name that cannot be one, and the rest would go unanswered.
add_unit() {
    case $1 in
    -* | @* | *@.* | *[!A-Za-z0-9:_.@\\-]*) ;;
    *) UNITS=$UNITS$1$NL ;;
    esac
}

# --- what takes a program of its own, and runs meanwhile ----------------------

docker_facts() {
    [ -n "$DOCKER" ] || return 0
    if docker_is_stopped; then
        printf 'docker\t\t\tthe Docker daemon is not running\n'
    elif have perl && docker_is_local; then
        docker_socket
    else
        docker_cli
    fi
}

# Whether systemd has a Docker that it does not run. Its socket may listen all the
# same, and who connects to it starts the daemon.
docker_is_stopped() {
    [ -d /run/systemd/units ] && [ ! -L /run/systemd/units/invocation:docker.service ] || return 1
    [ -e /lib/systemd/system/docker.service ] || [ -e /etc/systemd/system/docker.service ]
}

# Whether the docker program of root would speak to the socket that we know.
docker_is_local() {
    [ -z "${DOCKER_HOST:-}${DOCKER_CONTEXT:-}" ] || return 1
    settings=${DOCKER_CONFIG:-${HOME:-/root}/.docker}/config.json
    [ -r "$settings" ] || return 0
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in *'"currentContext"'*) return 1 ;; esac
        line=''
    done <"$settings"
}

# The daemon's own interface. The docker program would be started once a question
# and takes 16 to 66 ms each time; all of this takes 15, and perl is an essential
# package. Requests go out together, each on a connection of its own, and what is
# printed are the answers' own JSON texts, in which nothing can break a line.
docker_socket() {
    # shellcheck disable=SC2016 # perl expands it
    # shellcheck disable=SC2086 # lists, split at their line breaks
    perl -e '
($limit, $published) = splice @ARGV, 0, 2;
($projects, $images, $networks, $names, $volumes, $owners) = map { [split /\n/] } @ARGV;
$docker = "docker\t\t";
sub stop { print "$docker\t$_[0]\n"; exit }
$SIG{ALRM} = sub { stop("no answer within $limit seconds") };
alarm $limit;
$text = qr/"(?:[^"\\]++|\\.)*+"/s;
$value = qr/(?<v>$text|\{(?:[^{}\[\]"]++|(?&v))*+\}|\[(?:[^{}\[\]"]++|(?&v))*+\]|[^,{}\[\]"\s]++)/;
sub ask {
    my $s;
    socket($s, 1, 1, 0) && connect($s, pack("S a108", 1, "/var/run/docker.sock")) or stop("cannot connect to the Docker daemon at /var/run/docker.sock: $!");
    syswrite($s, "GET $_[0] HTTP/1.0\r\nHost: docker\r\n\r\n");
    return $s;
}
sub answer {
    my $s = shift;
    local $/;
    my ($head, $body) = split /\r\n\r\n/, scalar(<$s>), 2;
    $head =~ m{^HTTP/1\.\d 200 } ? $body : "";
}
sub encode { my $t = shift; $t =~ s{([^A-Za-z0-9._/:@-])}{sprintf "%%%02X", ord $1}ge; $t }
sub object {
    my ($t, %o) = shift;
    while ($t =~ /\G\s*[{,]\s*"((?:[^"\\]++|\\.)*+)"\s*:\s*$value\s*/gc) { $o{$1} = $+{v} }
    %o;
}
sub containers {
    my ($s, $line, $named) = @_;
    $_ = answer($s);
    while (/\G\s*[\[,]\s*$value\s*/gc) {
        my %c = object($+{v});
        my %l = object($c{Labels});
        # What was made with `docker compose run` is none that a service is to have.
        next if !$named && ($l{"com.docker.compose.oneoff"} // "") eq q("True");
        my ($name) = $c{Names} =~ m{"/([^"/]*)"};
        $c{Folder} = $l{"com.docker.compose.project.working_dir"} // q("");
        $c{Made} = $l{"com.docker.compose.image"} // q("");
        push @lines, map { "$_\n" } $line->(\%c, "\"$name\"", $l{"com.docker.compose.project"}, $l{"com.docker.compose.service"});
    }
    /\G\s*\[?\s*\]\s*$/ or stop("the Docker daemon does not list its containers");
}
sub told {
    my $word = shift;
    sub {
        my ($c, @names) = @_;
        join "\t", $word, $c->{Id}, @names, $c->{Image}, $c->{State}, $c->{Status}, $c->{Folder}, $c->{Made};
    }
}
sub volume {
    my ($name, %v) = @_;
    my %l = object($v{Labels});
    push @lines, "volume\t$name\t$v{Name}\t" . $l{"com.docker.compose.project"} . "\n";
}
sub filters { encode(sprintf q({"%s":[%s]}), shift, join ",", map { qq("$_") } @_) }
$label = "com.docker.compose.project" . (@$projects == 1 ? "=$projects->[0]" : "");
$label =~ s/(["\\])/\\$1/g;
$info = ask("/info");
$listed = ask("/containers/json?all=1&filters=" . encode(qq({"label":["$label"]}))) if @$projects;
$running = ask("/containers/json") if $published;
@patterns = map { my $t = $_; $t =~ s/\./[.]/g; qq(^/?$t\$) } grep { /^[A-Za-z0-9_.-]+$/ } @$names;
$namesakes = ask("/containers/json?all=1&filters=" . filters("name", @patterns)) if @patterns;
@made = map { ask("/volumes?filters=" . filters("label", "com.docker.compose.project=$_")) } grep { /^[a-z0-9_-]+$/ } @$owners;
@found = map { ask("/volumes/" . encode($_)) } @$volumes;
@inspected = map { ask("/images/" . encode($_) . "/json") } @$images;
@joined = map { ask("/networks/" . encode($_)) } @$networks;
%info = object(answer($info));
$info{ServerVersion} =~ /^"[^"]/ or stop("the Docker daemon does not tell its version");
$docker = "docker\t$info{ServerVersion}\t$info{Driver}";
containers($listed, told("container")) if @$projects;
containers($namesakes, told("namesake"), 1) if @patterns;
# Between the texts of an array there may be anything that is blank.
containers($running, sub {
    my ($c, @names) = @_;
    (my $ports = $c->{Ports}) =~ s/\s+/ /g;
    $ports =~ /^\[.*"PublicPort"/ ? join("\t", "published", @names, $ports) : ();
}) if $published;
for (0 .. $#$images) {
    %i = object(answer($inspected[$_]));
    $digests = join " ", ($i{RepoDigests} // "") =~ /\@(sha256:[0-9a-f]{64})"/g;
    push @lines, "image\t$images->[$_]\t$i{Id}\t$digests\n";
}
for (0 .. $#$networks) {
    %n = object(answer($joined[$_]));
    %c = object($n{Containers});
    %l = object($n{Labels});
    push @lines, "network\t$networks->[$_]\t$n{Id}\t@{[sort grep { /^[0-9a-f]+$/ } keys %c]}\t$l{qq(com.docker.compose.project)}\n";
}
for (@made) {
    %o = object(answer($_));
    $all = $o{Volumes};
    while ($all =~ /\G\s*[\[,]\s*$value\s*/gc) {
        %v = object($+{v});
        volume($1, %v) if $v{Name} =~ /^"([A-Za-z0-9_.-]+)"$/;
    }
}
volume($volumes->[$_], object(answer($found[$_]))) for 0 .. $#$volumes;
print "$docker\n", @lines;
' "$DOCKER_LIMIT" "$PUBLISHED" "$PROJECTS" "$IMAGES" "$NETWORKS" "$NAMES" "$VOLUMES" "$OWNERS"
}

docker_cli() {
    # A hung daemon is a fact.
    message='docker gave no answer'
    info=$(timeout "$DOCKER_LIMIT" docker info --format "docker$TAB{{json .ServerVersion}}$TAB{{json .Driver}}" 2>&1 </dev/null)
    code=$?
    case $NL$info in
    *"$NL"docker"$TAB"'"'[!'"']*)
        info=${info##*docker"$TAB"}
        printf 'docker\t%s\n' "${info%%"$NL"*}"
        ;;
    *)
        [ "$code" != 124 ] || info="no answer within $DOCKER_LIMIT seconds"
        # Docker prints its empty answer, too, before or behind its message.
        for line in $info; do
            case $line in docker"$TAB"*) ;; *) message=$line ;; esac
        done
        printf 'docker\t\t\t%s\n' "$message"
        return 0
        ;;
    esac
    if [ -n "$PROJECTS" ]; then
        timeout "$DOCKER_LIMIT" docker ps -a --no-trunc --filter label=com.docker.compose.project --format "container$TAB{{json .ID}}$TAB{{json .Names}}$TAB{{json (.Label \"com.docker.compose.project\")}}$TAB{{json (.Label \"com.docker.compose.service\")}}$TAB{{json .Image}}$TAB{{json .State}}$TAB{{json .Status}}$TAB{{json (.Label \"com.docker.compose.project.working_dir\")}}$TAB{{json (.Label \"com.docker.compose.image\")}}$TAB{{json (.Label \"com.docker.compose.oneoff\")}}" 2>/dev/null </dev/null |
            sed "/$TAB\"True\"\$/d; s/${TAB}[^${TAB}]*\$//"
    fi
    if [ -n "$PUBLISHED" ]; then
        timeout "$DOCKER_LIMIT" docker ps --format "published$TAB{{json .Names}}$TAB{{json (.Label \"com.docker.compose.project\")}}$TAB{{json (.Label \"com.docker.compose.service\")}}$TAB{{json .Ports}}" 2>/dev/null </dev/null
    fi
    for image in $IMAGES; do
        answer=$(timeout "$DOCKER_LIMIT" docker image inspect --format "{{json .Id}}$TAB{{range .RepoDigests}}{{.}} {{end}}" -- "$image" 2>/dev/null </dev/null) || answer=''
        digests=''
        IFS=' '
        for digest in ${answer#*"$TAB"}; do
            case $digest in *@sha256:*) digests="$digests ${digest##*@}" ;; esac
        done
        IFS=$NL
        printf 'image\t%s\t%s\t%s\n' "$image" "${answer%%"$TAB"*}" "${digests# }"
    done
    for network in $NETWORKS; do
        answer=$(timeout "$DOCKER_LIMIT" docker network inspect --format "{{json .Id}}$TAB{{range \$id, \$_ := .Containers}}{{\$id}} {{end}}$TAB{{json (index .Labels \"com.docker.compose.project\")}}" -- "$network" 2>/dev/null </dev/null) || answer=''
        printf 'network\t%s\t%s\n' "$network" "$answer"
    done
    cli_neighbours
}

# Containers by their names, and volumes.
cli_neighbours() {
    set --
    for name in $NAMES; do
        case $name in *[!A-Za-z0-9_.-]*) ;; *) set -- "$@" --filter "name=^/?$name\$" ;; esac
    done
    [ "$#" = 0 ] || timeout "$DOCKER_LIMIT" docker ps -a --no-trunc "$@" --format "namesake$TAB{{json .ID}}$TAB{{json .Names}}$TAB{{json (.Label \"com.docker.compose.project\")}}$TAB{{json (.Label \"com.docker.compose.service\")}}$TAB{{json .Image}}$TAB{{json .State}}$TAB{{json .Status}}$TAB{{json (.Label \"com.docker.compose.project.working_dir\")}}$TAB{{json (.Label \"com.docker.compose.image\")}}" 2>/dev/null </dev/null
    made=''
    for owner in $OWNERS; do
        made=$made$(timeout "$DOCKER_LIMIT" docker volume ls --filter "label=com.docker.compose.project=$owner" --format '{{.Name}}' 2>/dev/null </dev/null)$NL
    done
    for volume in $made $VOLUMES; do
        answer=$(timeout "$DOCKER_LIMIT" docker volume inspect --format "{{json .Name}}$TAB{{json (index .Labels \"com.docker.compose.project\")}}" -- "$volume" 2>/dev/null </dev/null) || answer=''
        printf 'volume\t%s\t%s\n' "$volume" "$answer"
    done
}

# compose_version: prints how the plugin's version is learnt: from dpkg, where the
# file that docker would start is a package's, else from the plugin itself.
compose_version() {
    [ -n "$DOCKER" ] || return 0
    for plugins in /root/.docker/cli-plugins /usr/local/lib/docker/cli-plugins /usr/local/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins /usr/libexec/docker/cli-plugins; do
        plugin=$plugins/docker-compose
        [ -x "$plugin" ] || continue
        for package in docker-compose-plugin docker-compose-v2 docker-compose; do
            list=/var/lib/dpkg/info/$package.list
            [ -e "$list" ] || continue
            while IFS= read -r path; do
                if [ "$path" = "$plugin" ]; then
                    printf 'compose-package\t%s\n' "$package"
                    return 0
                fi
            done <"$list"
        done
        # The plugin prints one short line.
        printf 'compose\t%s\n' "$(timeout "$DOCKER_LIMIT" "$plugin" version --short 2>/dev/null </dev/null)"
        return 0
    done
}

unit_facts() {
    if [ -n "$UNITS" ] && [ -d /run/systemd/system ]; then
        # shellcheck disable=SC2086 # a list, split at its line breaks
        systemctl show -p Id,Names,LoadState,ActiveState,UnitFileState -- $UNITS 2>/dev/null
    fi
}

other_facts() {
    # Short lines, below the size up to which a pipe keeps the lines of several writers whole.
    if [ ! -e /run/systemd/container ]; then
        systemd-detect-virt 2>/dev/null &
    fi
    if [ ! -e /run/systemd/timesync/synchronized ] && [ -d "$CGROUP/system.slice/chrony.service" ]; then
        timeout 2 chronyc -c -n tracking 2>/dev/null &
    fi
    for address in $REACH; do
        reach "$address" &
    done
    if [ -n "$FIREWALL" ]; then
        ssh_ports &
        own_addresses &
        loaded_rules 4 ip iptables-save &
        loaded_rules 6 ip6 ip6tables-save &
        foreign_tables &
    fi
    if [ -n "$BRIDGE" ]; then
        bridge_address &
    fi
    if [ -n "$ROUTES" ]; then
        routes 4 &
        routes 6 &
        name_servers &
    fi
    # Many lines: kept until the others have written theirs.
    sockets=$(ss -Hltunpe 2>/dev/null)
    wait
    printf '%s\n' --sockets "$sockets"
}

# What filters packets. All of these run at once and write into one pipe: each keeps
# what its program said and writes a line at a time, so that no line is torn.

ssh_ports() {
    for line in $(timeout "$SSHD_LIMIT" sshd -T 2>/dev/null </dev/null); do
        case $line in
        'port '*[!0-9]*) ;;
        'port '?*) printf 'sshd-port\t%s\n' "${line#port }" ;;
        esac
    done
}

# Addresses that others may reach: not those of container bridges, nor those that pass.
own_addresses() {
    for line in $(ip -o addr show scope global 2>/dev/null </dev/null); do
        case $line in
        *': lo '* | *': docker0 '* | *': docker_gwbridge '* | *': veth'* | *': virbr'*) continue ;;
        *': br-'[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]' '*) continue ;;
        *' deprecated '* | *' tentative '* | *' temporary '*) continue ;;
        *' inet '*) line=${line#*' inet '} ;;
        *' inet6 '*) line=${line#*' inet6 '} ;;
        *) continue ;;
        esac
        printf 'address\t%s\n' "${line%%[/ ]*}"
    done
}

# The address at which containers reach the host.
bridge_address() {
    for line in $(ip -o -4 addr show dev docker0 2>/dev/null </dev/null); do
        case $line in *' inet '*) line=${line#*' inet '} ;; *) continue ;; esac
        printf 'bridge\t%s\n' "${line%%[/ ]*}"
    done
}

# routes 4|6: where the host's routes lead. The default covers nothing.
routes() {
    for line in $(ip "-$1" route show table main 2>/dev/null </dev/null); do
        case $line in default* | [!0-9a-f]*) continue ;; esac
        device=${line#*' dev '}
        [ "$device" != "$line" ] || continue
        case $line in *' via '*) by="${TAB}gateway" ;; *) by='' ;; esac
        printf 'route\t%s\t%s%s\n' "${line%%' '*}" "${device%%' '*}" "$by"
    done
}

# name_servers: those that the host asks; those of systemd-resolved stand in a file of their own.
name_servers() {
    for file in /etc/resolv.conf /run/systemd/resolve/resolv.conf; do
        [ -r "$file" ] || continue
        while IFS= read -r line || [ -n "$line" ]; do
            case $line in nameserver[' '"$TAB"]*) ;; *) continue ;; esac
            line=${line#nameserver}
            line=${line#"${line%%[!" $TAB"]*}"}
            line=${line%%[!0-9A-Fa-f.:]*}
            [ -z "$line" ] || printf 'name-server\t%s\n' "$line"
        done <"$file"
    done
}

# loaded_rules 4|6 FAMILY PROGRAM: of the chains that matter, and what is forwarded. A nat table filters
# nothing; any other that iptables cannot read, or not all of, is somebody else's.
loaded_rules() {
    have "$3" || return 0
    table='' kubernetes=''
    for line in $("$3" 2>/dev/null </dev/null); do
        case $table$line in
        '# Table `'*"' is incompatible"* | '# Table `'*"' contains incompatible"*)
            name=${line#*'`'}
            if [ "${name%%"'"*}" != nat ]; then
                printf 'foreign-table\t%s %s\n' "$2" "${name%%"'"*}"
            elif have nft; then
                # For what it forwards.
                table_filters "$2" nat
            fi
            ;;
        "${table}COMMIT") table='' ;;
        '*filter' | '*mangle' | '*nat' | '*raw' | '*security') table=${line#?} ;;
        'filter:INPUT '* | 'filter:FORWARD '*) printf 'rule\t%s\t%s\t%s\n' "$1" "$table" "${line%% \[*}" ;;
        # Docker's of its networks: they tell its bridges from others that are called alike.
        'filter-A INPUT '* | 'nat-A POSTROUTING '*' ! -o '*' -j MASQUERADE' | 'filter-A DOCKER-USER '* | 'mangle-A FORWARD '* | 'mangle-A PROVISION-FORWARD '*)
            printf 'rule\t%s\t%s\t%s\n' "$1" "$table" "$line"
            ;;
        # What is forwarded, but for Docker's own of its containers; of Kubernetes' thousands one tells enough.
        'nat-A DOCKER '* | 'nat-A OUTPUT '*) ;;
        'nat-A KUBE-'*' -j DNAT '*)
            [ -n "$kubernetes" ] || printf 'rule\t%s\t%s\t%s\n' "$1" "$table" "$line"
            kubernetes=yes
            ;;
        'nat-A '*' -j DNAT '*) printf 'rule\t%s\t%s\t%s\n' "$1" "$table" "$line" ;;
        esac
    done
}

# Tables of nft that are nobody's whom we know and that may stop a packet. nft puts its
# arguments together and reads them as a command: no odd name becomes one.
foreign_tables() {
    have nft || return 0
    for table in $(nft list tables 2>/dev/null </dev/null); do
        table=${table#table }
        case $table in
        *[!A-Za-z0-9_./\ -]* | -* | *' -'* | *' '*' '* | arp\ *) continue ;;
        'ip filter' | 'ip nat' | 'ip mangle' | 'ip raw' | 'ip security' | 'ip6 filter' | 'ip6 nat' | 'ip6 mangle' | 'ip6 raw' | 'ip6 security')
            # iptables', which tells of them itself.
            ! have iptables-save || continue
            ;;
        *' docker-bridges' | *' f2b-'* | *' crowdsec'* | *' firewalld') continue ;;
        *' '*) ;;
        *) continue ;;
        esac
        ! table_filters "${table%% *}" "${table#* }" || printf 'foreign-table\t%s\n' "$table"
    done
}

# table_filters FAMILY NAME: whether packets that come in or are forwarded pass the
# table, and it drops or rejects some.
table_filters() {
    hooked='' drops=''
    # Without the elements of sets, of which there may be many.
    for line in $(nft -t list table "$1" "$2" 2>/dev/null </dev/null); do
        # What is quoted is said, not done: log prefixes, comments.
        while :; do
            case $line in *'"'*'"'*) ;; *) break ;; esac
            rest=${line#*'"'}
            line=${line%%'"'*}${rest#*'"'}
        done
        # Not `ct status dnat`, which only asks.
        case $line in *'dnat to '* | *'dnat ip to '* | *'dnat ip6 to '*) printf 'rule\t4\tnft\t%s\n' "${line#"${line%%[!"$TAB "]*}"}" ;; esac
        case $line in
        *'type filter hook input '* | *'type filter hook forward '* | *'type filter hook prerouting '* | *'type filter hook ingress '*) hooked=yes ;;
        esac
        case "$line " in *[!A-Za-z0-9_@./-]drop[!A-Za-z0-9_./-]* | *[!A-Za-z0-9_@./-]reject[!A-Za-z0-9_./-]*) drops=yes ;; esac
    done
    [ -n "$hooked" ] && [ -n "$drops" ]
}

# reach HOST:PORT: host and port are arguments, never part of a script.
reach() {
    host=${1%:*}
    port=${1##*:}
    host=${host#\[}
    host=${host%\]}
    case $port in '' | *[!0-9]*) return 0 ;; esac
    case $host in '' | -* | *[!A-Za-z0-9._:%-]*) return 0 ;; esac
    have bash || return 0
    # shellcheck disable=SC2016 # bash expands it
    if timeout "$REACH_LIMIT" bash -c 'exec 3<>"/dev/tcp/$1/$2"' reach "$host" "$port" 2>/dev/null; then
        answer=reached
    elif timeout "$REACH_LIMIT" getent ahosts "$host" >/dev/null 2>&1; then
        answer=no-connection
    else
        answer=no-name
    fi
    printf 'reach\t%s\t%s\n' "$1" "$answer"
}

# --- files -------------------------------------------------------------------

# What tells the time (the file of a process that has just begun is as old as the
# clock's last tick), the age of apt's lists and who locks apt. An update that finds
# nothing new leaves the lists alone and writes srcpkgcache.bin; pkgcache.bin is
# written by every installation.
STAT_TOO='/proc/self/stat
/var/lib/apt/lists
/var/cache/apt/srcpkgcache.bin
/var/lib/apt/periodic/update-success-stamp
/var/lib/dpkg/lock-frontend
/var/lib/dpkg/lock
/var/lib/apt/lists/lock
/var/cache/apt/archives/lock'

# Sections: a word behind two dashes, which begins no line of any of them.
file_facts() {
    printf '%s\n' "--questions" "$QUESTIONS" "--self"
    self_facts
    if [ -n "$DISKS" ]; then
        disk_facts
    fi
    files_asked_for
    [ -n "$BUNDLES" ] || return 0
    bundled=$(cat <&4)
    printf '%s\n' --bundle "$bundled"
    QUESTIONS=$(printf '%s\n' "$bundled" | sed -n "s/^ask$TAB//p")
    [ -n "$QUESTIONS" ] || return 0
    # What was sent of a file decides what is said of it.
    RECORDS=''
    for line in $BUNDLES; do RECORDS="$RECORDS${line%%"$TAB"*}/seeds$TAB-$NL"; done
    QUESTIONS=$QUESTIONS$NL$(printf '%s' "$RECORDS" | sed "s/^/record$TAB/")
    printf '%s\n' --questions "$QUESTIONS"
    files_asked_for
}

# files_asked_for: what $QUESTIONS and $RECORDS ask of files.
files_asked_for() {
    printf '%s\n' --stat
    paths=$(printf '%s\n' "$QUESTIONS" | awk -F "$TAB" '$1 ~ /^(file|sent-file|secret-file|presence|place|record)$/ && !told[$2]++ { print $2 }')
    stats=$(printf '%s\n' "$paths" "$STAT_TOO" | each stat -c "%f$TAB%u:%g$TAB%s$TAB%Y$TAB%i$TAB%n")
    printf '%s\n' "$stats"
    kinds=$(kinds)
    for path in $(of_kind a); do
        target=$(readlink -- "$path" 2>/dev/null) && printf '%s\n' --link "$path" "${target%%"$NL"*}"
    done
    for path in $(of_kind 4); do
        # A folder that holds a file gives way to none; rare, so it may cost a process. Names end with
        # a zero byte: what else is in them breaks no line.
        held=$(find "$path/" -xdev ! -type d -print0 2>/dev/null | tr '\t\n\0' '??\n' |
            awk '(bytes += length($0)) > 65536 || NR > 1000 { exit } { print }')
        [ -z "$held" ] || printf '%s\n' --full "$path" --held "$held"
    done
    regular=$(of_kind 8)
    [ -n "$regular" ] || return 0
    sums=$(printf '%s\n' "$regular" | each sha256sum)
    printf '%s\n' --sum "$sums"
    for path in $(curious); do
        printf '%s\n' --content "$path" "$(base64 -w0 -- "$path" 2>/dev/null)"
    done
    for line in $RECORDS; do
        record "${line%"$TAB"*}" "${line##*"$TAB"}"
    done
}

# each COMMAND…: with the paths of standard input as arguments, in as many calls as they need.
each() {
    grep . | all "$@"
}

# all COMMAND…: the same where no line is blank.
all() {
    tr '\n' '\0' | xargs -0 "$@" -- 2>/dev/null
}

# kinds: of each file that is looked into, the digit of st_mode that tells its kind, and its path. Where a
# file is to be, only a folder is.
kinds() {
    printf '%s\n' --stat "$stats" --questions "$QUESTIONS" | awk -F "$TAB" '
        /^--/ { section = $0; next }
        section == "--stat" { kind[$6] = tolower(substr($1, 1, length($1) - 3)); next }
        !($2 in kind) || $1 == "place" && kind[$2] != 4 { next }
        $1 ~ /^(file|sent-file|secret-file|place|record)$/ && !told[$2]++ { print kind[$2] "\t" $2 }'
}

of_kind() { printf '%s\n' "$kinds" | sed -n "s/^$1$TAB//p"; }

# Small files of which some question does not expect what is there, none of them a secret: named as
# one by one question, a file stays one whatever others ask. Of a large bundle, only so many as a
# person reads of in a plan.
curious() {
    printf '%s\n' --stat "$stats" --sum "$sums" --secret "$QUESTIONS" --questions "$QUESTIONS" | awk -F "$TAB" '
        /^--/ { section = $0; next }
        section == "--stat" { if ($1 ~ /^8...$/ && $3 <= 65536) small[$6] = 1; next }
        section == "--sum" { sum[substr($0, 67)] = substr($0, 1, 64); next }
        section == "--secret" { if ($1 == "secret-file") secret[$2] = 1; next }
        $1 != "file" && $1 != "sent-file" { next }
        $3 != sum[$2] && ($2 in small) && !($2 in secret) && !told[$2]++ && ($1 == "file" || ++sent <= 40) { print $2 }'
}

# record PATH UNLESS: a list of ours, whole, where its sum is another one. No line of it begins a section.
record() {
    [ -f "$1" ] && [ ! -L "$1" ] || return 0
    sum=$(sha256sum <"$1")
    [ "${sum%% *}" != "$2" ] || return 0
    printf '%s\n' --record "$1"
    head -c 16777216 <"$1" | awk '{ print " " $0 }'
}

# bundle_facts: the files of bundles that were sent, each by one digest over its manifest and over `expected`,
# which says what they and their folders are to be: MODE OWNER SHA256 KIND PATH, a line each. Where both are
# as the digest says, only those that differ are asked for, by lines that begin with "ask".
bundle_facts() {
    for line in $BUNDLES; do
        bundle_files "$line"
    done
}

# bundle_files STATE DIGEST FOLDER, with tabs between.
bundle_files() {
    state=${1%%"$TAB"*}
    folder=${1##*"$TAB"}
    digest=${1#*"$TAB"}
    digest=${digest%%"$TAB"*}
    if [ ! -e "$folder" ] && [ ! -L "$folder" ] && [ ! -e "$state/manifest" ]; then
        printf 'bundle\t%s\tnone\n' "$folder"
        return 0
    fi
    for path in "$state/manifest" "$state/expected"; do
        [ -f "$path" ] && [ -s "$path" ] && [ ! -L "$path" ] || return 0
    done
    sum=$(cat -- "$state/manifest" "$state/expected" | sha256sum)
    [ "${sum%% *}" = "$digest" ] || return 0
    printf 'bundle\t%s\t%s\n' "$folder" "$digest"
    differing
}

# differing: each file and folder that is not as expected, and a question for it; for some, twice. What stat
# and sha256sum say of thousands of files goes from one program to the next: no shell holds it.
differing() {
    # What the first of them knows already goes past the others.
    exec 3>&1
    FOLDER=$folder awk -F "$TAB" '{ print ENVIRON["FOLDER"] "/" $5 }' "$state/expected" |
        all stat -c "%f %a %u:%g %n" |
        LISTS=$state FOLDER=$folder awk '
            function tell(path, asks) { print "differs\t" ENVIRON["FOLDER"] "\t" path "\nask\t" asks >"/dev/fd/3" }
            # Mode and owner without the bit for the group, which comes from the folder above.
            function of_folder(mode, owner) {
                if (mode !~ /^[0-7][0-7][0-7][0-7]$/) return mode " " owner
                return (substr(mode, 1, 1) % 2 ? "1" substr(mode, 2) : substr(mode, 2) + 0) " " owner
            }
            BEGIN {
                while ((getline line < (ENVIRON["LISTS"] "/expected")) > 0) {
                    split(line, a, "\t")
                    path = ENVIRON["FOLDER"] "/" a[5]
                    if (a[4] == "seed") seed[path] = a[3]
                    else if (a[4] == "folder") folder[path] = a[1] == "-" ? "-" : a[1] " " a[2]
                    else wanted[path] = a[1] == "-" ? "-" : a[1] " " a[2]
                    question[path] = a[4] == "file" ? "sent-file\t" path "\t" a[3] : "secret-file\t" path
                }
                while ((getline line < (ENVIRON["LISTS"] "/seeds")) > 0) {
                    i = index(line, " ")
                    sent[ENVIRON["FOLDER"] "/" substr(line, i + 1)] = substr(line, 1, i - 1)
                }
            }
            {
                path = substr($0, length($1 $2 $3) + 4)
                # What was there before us ("-") was never compared. What the application writes may be
                # large, and is not looked into.
                if (path in seed) {
                    if ($1 !~ /^4...$/ && (sent[path] == seed[path] || sent[path] == "-")) delete seed[path]
                } else if (path in folder) {
                    if ($1 ~ /^4...$/ && (folder[path] == "-" || folder[path] == of_folder($2, $3))) delete folder[path]
                } else if ($1 ~ /^8...$/) {
                    print path
                    if (wanted[path] != "-" && wanted[path] != $2 " " $3) tell(path, question[path])
                }
            }
            END {
                for (path in seed) tell(path, "place\t" path)
                for (path in folder) tell(path, "presence\t" path)
            }' |
        all sha256sum |
        LISTS=$state FOLDER=$folder awk '
            BEGIN {
                while ((getline line < (ENVIRON["LISTS"] "/expected")) > 0) {
                    split(line, a, "\t")
                    path = ENVIRON["FOLDER"] "/" a[5]
                    if (a[4] == "seed" || a[4] == "folder") continue
                    wanted[path] = a[3]
                    question[path] = a[4] == "file" ? "sent-file\t" path "\t" a[3] : "secret-file\t" path
                }
            }
            # A name with a backslash in it is escaped, and the line begins with one.
            /^\\/ { name = substr($0, 68); gsub(/\\\\/, "\\", name); sum[name] = substr($0, 2, 64); next }
            { sum[substr($0, 67)] = substr($0, 1, 64) }
            END { for (path in wanted) if (sum[path] != wanted[path]) print "differs\t" ENVIRON["FOLDER"] "\t" path "\nask\t" question[path] }'
}

disk_facts() {
    holders=''
    printf '%s\n' --near
    for path in $DISKS; do
        near=$path
        until [ -e "$near" ]; do
            case $near in
            ?*/*) near=${near%/*} ;;
            *) near=/ ;;
            esac
        done
        holders=$holders$near$NL
        printf '%s\t%s\n' "$path" "$near"
    done
    printf '%s\n' --disk
    # shellcheck disable=SC2086
    stat -f -c "%a$TAB%b$TAB%S$TAB%n" -- $holders 2>/dev/null
}

# What builtins know.
self_facts() {
    [ ! -d /run/systemd/system ] || echo systemd
    [ ! -e /run/systemd/timesync/synchronized ] || echo timesync
    [ ! -d "$CGROUP/system.slice/systemd-timesyncd.service" ] || echo timesyncd
    ssh_connection
    ! have cloud-init || echo cloud-init
    [ ! -e /etc/cloud/cloud-init.disabled ] && [ ! -e /run/cloud-init/disabled ] || echo cloud-init-disabled
    [ ! -e /run/reboot-required ] || echo reboot-required
    ! have docker || echo docker
    [ -z "$ROOT" ] || printf 'docker-root\t%s\n' "$ROOT"
    for line in $SERVICE; do
        printf 'docker-service\t%s\n' "$line"
    done
    [ -z "$ENGINES" ] || engines
    compose_version
    set +f
    for path in /var/lib/dpkg/updates/[0-9]*; do
        case ${path##*/} in *[!0-9]*) ;; *) echo interrupted && break ;; esac
    done
    for path in /var/lib/apt/lists/*_*; do
        [ ! -e "$path" ] || echo lists
        break
    done
    if [ -n "$SOURCES" ]; then
        for path in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
            case $path in *[!!-~]*) continue ;; esac
            [ ! -f "$path" ] || printf 'sources\t%s\n' "$path"
        done
    fi
    # Ids sort by time, so the last one is the newest.
    run=''
    for path in /var/lib/provision/runs/[0-9]*-[0-9]*-*; do
        case ${path##*/} in *[!0-9A-Za-z-]*) continue ;; esac
        [ ! -d "$path" ] || run=${path##*/}
    done
    set -f
    if [ -n "$run" ]; then
        alive=no
        [ ! -d "$CGROUP/system.slice/provision-run-$run.service" ] || alive=yes
        printf 'run\t%s\t%s\n' "$run" "$alive"
    fi
}

# Where systemd keeps the control groups of its services.
find_cgroup() {
    for CGROUP in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ ! -d "$CGROUP/system.slice" ] || break
    done
}

# The server's port and the client's address in this connection. sudo drops the variable,
# but sudo itself, our parent, still has the environment that it was started with.
ssh_connection() {
    connection=${SSH_CONNECTION:-}
    if [ -z "$connection" ] && [ -n "${SUDO_USER:-}" ] && [ -r "/proc/$PPID/environ" ]; then
        # read leaves the zero bytes out: the variables stand behind one another.
        while IFS= read -r line || [ -n "$line" ]; do
            case $line in *SSH_CONNECTION=*) connection=${line#*SSH_CONNECTION=} && break ;; esac
            line=''
        done <"/proc/$PPID/environ"
    fi
    port=${connection#* * * }
    [ "$port" != "$connection" ] || return 0
    port=${port%%[!0-9]*}
    [ -z "$port" ] || printf 'ssh-port\t%s\n' "$port"
    client=${connection%%[!0-9A-Fa-f.:]*}
    [ -z "$client" ] || printf 'ssh-client\t%s\n' "$client"
}

# --- the report ----------------------------------------------------------------

# Reads the sections on stdin, files by itself, and what ran meanwhile on the
# descriptors 5 (short lines), 6 (units) and 7 (docker).
report() {
    awk '
function clean(s) {
    if (s ~ /[\001-\037\177]/) gsub(/[\001-\037\177]/, "?", s)
    return s
}
function f(s) { return "\t" clean(s) }
function first(path,    l) {
    l = ""
    if ((getline l < path) < 0) l = ""
    close(path)
    return l
}
function unquote(v,    q) {
    q = substr(v, 1, 1)
    if (length(v) > 1 && (q == "\"" || q == "\047") && substr(v, length(v)) == q) {
        v = substr(v, 2, length(v) - 2)
        if (q == "\"") gsub(/\\/, "", v)
    }
    return v
}
# What is no number is none: a mangled file must not make the whole answer unreadable.
function num(s) { return "\t" (s ~ /^[0-9]+$/ ? s : 0) }
function yes(b) { return b ? "\tyes" : "\tno" }

function os_release(    path, l, i, v) {
    path = "/etc/os-release"
    if ((getline l < path) < 0) {
        path = "/usr/lib/os-release"
        if ((getline l < path) < 0) l = ""
    }
    do {
        i = index(l, "=")
        if (i > 1) v[substr(l, 1, i - 1)] = unquote(substr(l, i + 1))
    } while ((getline l < path) > 0)
    close(path)
    print "os" f(v["ID"]) f(v["ID_LIKE"]) f(v["VERSION_ID"]) f(v["UBUNTU_CODENAME"] != "" ? v["UBUNTU_CODENAME"] : v["VERSION_CODENAME"]) f(v["PRETTY_NAME"])
}

function machine(    l, a, n, i, r) {
    print "kernel" f(first("/proc/sys/kernel/osrelease"))
    print "hostname" f(first("/proc/sys/kernel/hostname"))
    split(first("/proc/uptime"), a, /[. ]/)
    print "uptime" num(a[1])
    while ((getline l < "/proc/meminfo") > 0) {
        split(l, a, /[ \t]+/)
        if (a[1] == "MemTotal:") printf "memory\t%.0f\n", a[2] * 1024
        if (a[1] == "SwapTotal:") { printf "swap\t%.0f\n", a[2] * 1024; break }
    }
    virtualization = first("/run/systemd/container")
    # 0-3,6: much cheaper than /proc/cpuinfo, which asks each processor.
    n = split(first("/sys/devices/system/cpu/online"), a, ",")
    cpus = 0
    for (i = 1; i <= n; i++) cpus += split(a[i], r, "-") > 1 ? r[2] - r[1] + 1 : 1
    if (!cpus) while ((getline l < "/proc/stat") > 0) if (l ~ /^cpu[0-9]/) cpus++
    print "cpus" num(cpus)
}

function package_ends() {
    if (p == "") return
    if (p == "dpkg") architecture = arch
    words = split(status, s, " ")
    state = s[words]
    if (s[1] == "hold") print "held" f(p)
    if (state == "half-installed" || state == "half-configured" || state == "unpacked" || state ~ /^triggers-/ || s[2] == "reinstreq") print "half-configured" f(p)
    if (state != "not-installed" && state != "config-files" && (!(p in version) || !configured[p])) {
        version[p] = v
        configured[p] = state == "installed"
    }
    p = v = status = arch = ""
}
function packages(    l, c, path) {
    path = "/var/lib/dpkg/status"
    p = v = status = arch = ""
    while ((getline l < path) > 0) {
        c = substr(l, 1, 5)
        if (c == "Packa") { if (l ~ /^Package: /) p = substr(l, 10) }
        else if (c == "Statu") { if (l ~ /^Status: /) status = substr(l, 9) }
        else if (c == "Versi") { if (l ~ /^Version: /) v = substr(l, 10) }
        else if (c == "Archi") { if (l ~ /^Architecture: /) arch = substr(l, 15) }
        else if (c == "") package_ends()
    }
    package_ends()
    close(path)
    print "architecture" f(architecture)
}

function accounts(    l, a) {
    while ((getline l < "/etc/passwd") > 0) {
        split(l, a, ":")
        if (!(a[1] in uid)) { uid[a[1]] = num(a[3]) num(a[4]); home[a[1]] = a[6] }
        if (!(a[3] in login)) login[a[3]] = a[1]
    }
    while ((getline l < "/etc/group") > 0) {
        split(l, a, ":")
        if (!(a[1] in gid)) { gid[a[1]] = a[3]; members[a[1]] = a[4] }
        if (!(a[3] in team)) team[a[3]] = a[1]
    }
}
function identity(    l, a, who, how) {
    who = ENVIRON["SUDO_USER"]
    how = "sudo"
    if (who == "") {
        how = "root"
        while ((getline l < "/proc/self/status") > 0) if (l ~ /^Uid:/) {
            split(l, a, /[ \t]+/)
            who = a[2] in login ? login[a[2]] : a[2]
            break
        }
    }
    print "identity" f(who) f(how)
}

# Kernel tables of sockets: local address and port in hexadecimal, state, inode.
function sockets(protocol, path, state,    l, a, k) {
    while ((getline l < path) > 0) {
        split(l, a, " ")
        if (a[4] != state) continue
        k = protocol "\t" a[2]
        if (!(k in socket)) order[++listening] = k
        if (!(k in socket) || socket[k] == "") socket[k] = process[a[10]]
    }
}

# Locks that another process holds: by inode, then made sure of by its descriptors.
function locks(    l, n, a, i, r, cmd) {
    while ((getline l < "/proc/locks") > 0) {
        n = split(l, a, " ")
        if (a[2] == "->" || a[5] !~ /^[1-9][0-9]*$/) continue
        split(a[6], i, ":")
        if (!(i[3] in lock)) continue
        cmd = "for d in /proc/" a[5] "/fd/*; do [ \"$d\" -ef " lock[i[3]] " ] && echo y && break; done 2>/dev/null"
        r = ""
        cmd | getline r
        close(cmd)
        if (r == "y") print "lock" num(a[5]) f(first("/proc/" a[5] "/comm")) f(lock[i[3]])
    }
}

function text(path,    l, t) {
    t = ""
    while ((getline l < path) > 0 && length(t) < 65536) t = t l
    close(path)
    gsub(/[ \t\r]/, "", t)
    return t
}
function cloud_init(    result, status) {
    if (!("cloud-init" in self)) return
    status = text("/run/cloud-init/status.json")
    result = text("/run/cloud-init/result.json")
    if ("cloud-init-disabled" in self) status = "disabled"
    else if (result ~ /"errors":\[[^]]/) status = "error"
    else if (result status ~ /"recoverable_errors":[{][^}]/ && result != "") status = "degraded"
    else if (result != "") status = "done"
    else if (status != "") status = "running"
    else status = "not-started"
    print "cloud-init" f(status)
}

function reboot(    l) {
    if (!("reboot-required" in self)) return
    print "reboot-required"
    while ((getline l < "/run/reboot-required.pkgs") > 0) if (!(l in rebooting)) {
        rebooting[l] = 1
        print "reboot-package" f(l)
    }
}

# What scripts/first-boot.sh left, and its last words where it failed.
function first_boot(    l, a, n, i, last, path) {
    path = "/var/lib/provision/first-boot/"
    if ((getline l < (path "state")) <= 0) return
    split(l, a, " ")
    print "first-boot" f(a[1]) num(a[2]) num(a[3])
    if (a[1] != "failed") return
    while ((getline l < (path "log")) > 0) last[n++ % 20] = l
    for (i = n > 20 ? n - 20 : 0; i < n; i++) print "first-boot-log" f(last[i % 20])
}

function last_run(    l, a, path, state, change, stack) {
    if (run == "") return
    path = "/var/lib/provision/runs/" run "/journal"
    state = "running"
    while ((getline l < path) > 0) {
        # Most of a journal is output.
        if (l !~ /^[0-9]+ (run|change) /) continue
        split(l, a, " ")
        if (a[2] == "run" && (a[3] == "completed" || a[3] == "failed" || a[3] == "cancelled")) state = a[3]
        else if (a[2] == "run" && a[3] == "start") state = "running"
        else if (a[2] == "change" && a[3] == "start") { sub(/^[^ ]+ +change +start +[^ ]+ */, "", l); change = l }
    }
    stack = first("/var/lib/provision/runs/" run "/stack")
    print "last-run" f(run) f(state) f(alive) f(change) f(first("/var/lib/provision/runs/" run "/holder")) (stack == "" ? "" : f(stack))
}
function lease(    l, i, v) {
    while ((getline l < "/var/lib/provision/lease") > 0) {
        i = index(l, " ")
        v[substr(l, 1, i - 1)] = substr(l, i + 1)
    }
    if (v["until"] ~ /^[0-9]+$/ && v["until"] + 0 >= clock + 0) print "lease" f(v["run"]) f(v["holder"]) num(v["since"]) num(v["until"])
}

function sources(path,    l, on, kept, address, nr, start, said, w, option, i) {
    kept = ""
    split("", has)
    on = 1
    while ((getline l < path) > 0) {
        nr++
        if (path ~ /\.list$/) {
            if (!is_entry(l)) print "apt-malformed" f(path) num(nr "")
            if (l !~ /^[ \t]*deb/) continue
            address = l
            sub(/^[ \t]*deb(-src)?[ \t]+/, "", address)
            said = ""
            if (match(address, /^\[[^]]*\]/)) said = substr(address, 2, RLENGTH - 2)
            sub(/^\[[^]]*\][ \t]*/, "", address)
            if (address !~ /^cdrom:/) {
                split(address, w, /[ \t]+/)
                split("", has)
                # apt takes capitals in the names of options.
                for (i = split(said, option, /[ \t]+/); i > 0; i--) if (match(option[i], /[+-]?=/)) {
                    has[tolower(substr(option[i], 1, RSTART - 1))] = substr(option[i], RSTART + RLENGTH)
                }
                release(path, nr, w[1], w[2])
            }
            said = ""
            sub(/[ \t].*/, "", address)
            source(path, l, address)
            continue
        }
        if (l ~ /^#/) continue
        if (l ~ /^[ \t]*$/) {
            stanza(path, on, kept, start, said)
            split("", has)
            kept = said = ""
            start = 0
            on = 1
            continue
        }
        if (!start) start = nr
        if (l ~ /^[ \t]/) {
            if (field == "uris") kept = kept " " substr(l, 2)
            has[field] = has[field] " " l
            said = said " " field ":" l
        } else {
            field = tolower(l)
            sub(/[ \t]*:.*/, "", field)
            if (field == "uris") kept = l
            if (field == "enabled" && tolower(l) ~ /:[ \t]*(no|false|without|off|disable)[ \t]*$/) on = 0
            address = l
            sub(/^[^:]*:?/, "", address)
            has[field] = address
            said = said " " field ":" address
        }
    }
    stanza(path, on, kept, start, said)
    close(path)
}

# stanza: of a .sources file, with what it says: " field: values field: values".
function stanza(path, on, kept, start, said,    ok, u, v, i, j, n, m) {
    if (!start || !on) return
    if (kept != "") source(path, kept, kept)
    n = split(has["uris"], u, " ")
    m = split(has["suites"], v, " ")
    for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) release(path, start, u[i], v[j])
    gsub(/[ \t]+/, " ", said)
    ok = said ~ / types: ?deb(-src)?( deb(-src)?)*( |$)/ && said ~ / uris: ?[^ :]+:/ && said ~ / suites: ?[^ ]/
    # A suite that is a path has no components, any other has.
    if ((said ~ / components: ?[^ ]/) == (said ~ / suites: ?[^:]*\/( |$)/)) ok = 0
    if (!ok) print "apt-malformed" f(path) num(start "")
}

# release: an entry for a suite at an address, with the options in has. apt takes both ways of access for one.
function release(path, nr, uri, suite) {
    sub(/^https:/, "http:", uri)
    sub(/\/*$/, "/", uri)
    releases++
    release_of[releases] = uri " " suite
    release_at[releases] = path "\t" sprintf("%9d", nr)
    release_has[releases, "Signed-By"] = signers(has["signed-by"])
    release_has[releases, "Trusted"] = truth(has["trusted"])
    release_has[releases, "Check-Valid-Until"] = truth(has["check-valid-until"])
}
# signers: keys and their files, with commas between them; a key that stands there itself stays one text.
function signers(t,    w, n, i, out) {
    if (t ~ /-----BEGIN/) { gsub(/[ \t]+/, " ", t); return t }
    n = split(t, w, /[ \t,]+/)
    for (i = 1; i <= n; i++) {
        if (w[i] == "") continue
        if (w[i] ~ /^[0-9A-Fa-f]+!?$/) w[i] = toupper(w[i])
        out = out (out == "" ? "" : ",") w[i]
    }
    return out
}
function truth(t) {
    t = tolower(t)
    gsub(/[ \t]/, "", t)
    if (t ~ /^(yes|true|with|on|enable|1)$/) return "yes"
    return t ~ /^(no|false|without|off|disable|0)$/ ? "no" : ""
}
# conflicts: entries for one suite that have different options: apt reads none of its sources then.
function conflicts(    i, k, other, said) {
    for (i = 1; i <= releases; i++) for (k in release_option) {
        # The first that has the option, in the order in which apt reads.
        if (release_has[i, k] == "") continue
        other = release_first[release_of[i], k]
        if (!other || release_at[i] < release_at[other]) release_first[release_of[i], k] = i
    }
    for (i = 1; i <= releases && said < 8; i++) for (k in release_option) {
        other = release_first[release_of[i], k]
        if (!other || release_has[i, k] == release_has[other, k]) continue
        # One without a key may stand before one that has it.
        if (k == "Signed-By" && release_has[i, k] == "" && release_at[i] < release_at[other]) continue
        print "apt-conflict" f(k) place(release_at[other]) place(release_at[i])
        said++
    }
}
function place(at,    a) {
    split(at, a, "\t")
    return f(a[1]) num(a[2] + 0 "")
}

# is_entry: whether apt reads a line of a .list file: type, options, address, suite, components.
function is_entry(l,    w, n) {
    sub(/^[ \t]+/, "", l)
    if (l == "" || l ~ /^#/) return 1
    if (l !~ /^deb(-src)?[ \t]/) return 0
    sub(/^deb(-src)?[ \t]+/, "", l)
    if (l ~ /^\[/ && !sub(/^\[[^]]*\][ \t]*/, "", l)) return 0
    # The name of a disc has blanks in it.
    if (l ~ /^cdrom:/ || l ~ /"/) return 1
    sub(/[ \t]+#.*/, "", l)
    sub(/[ \t]+$/, "", l)
    n = split(l, w, /[ \t]+/)
    return n >= 2 && w[1] ~ /:/ && (w[2] ~ /\/$/ ? n == 2 : n >= 3)
}
function source(path, l, address,    i) {
    for (i = 1; i <= wanted_sources; i++) if (index(address, wanted_source[i])) {
        print "apt-source" f(path) f(l)
        return
    }
}

# Octal permissions out of the hexadecimal st_mode, of which the last three digits hold them.
function digit(h, i) { return index("0123456789abcdef", tolower(substr(h, length(h) - i, 1))) - 1 }
function file(path,    a, o, h, bits, kind) {
    if (!(path in stat)) { print "file" f(path); return }
    split(stat[path], a, "\t")
    h = a[1]
    bits = digit(h, 2) * 256 + digit(h, 1) * 16 + digit(h, 0)
    split(a[2], o, ":")
    kind = digit(h, 3)
    kind = kind == 8 ? "regular" : kind == 4 ? "directory" : kind == 10 ? "symlink" : "other"
    printf "file%s\t%o%s%s\t%s%s%s\n", f(path), bits, f((o[1] in login ? login[o[1]] : o[1]) ":" (o[2] in team ? team[o[2]] : o[2])), f(a[3]), kind, f(sum[path]), f(target[path]) f(a[2]) (path in full ? full[path] : "")
}

function unit_ends(    a, n, i) {
    n = split(unit["Names"], a, " ")
    a[++n] = unit["Id"]
    for (i = 1; i <= n; i++) units[a[i]] = f(unit["LoadState"]) f(unit["ActiveState"]) f(unit["UnitFileState"])
    split("", unit)
}
function unit_answers(    l, i, n) {
    while ((getline l < "/dev/fd/6") > 0) {
        i = index(l, "=")
        if (l == "") unit_ends()
        else if (i) unit[substr(l, 1, i - 1)] = substr(l, i + 1)
    }
    if ("Id" in unit) unit_ends()
}
function unit_answer(name,    full) {
    full = name ~ /\./ ? name : name ".service"
    print "unit" f(name) (full in units ? units[full] : "\t\t\t")
}

function other_answers(    l, a, n) {
    while ((getline l < "/dev/fd/5") > 0 && l != "--sockets") {
        n = split(l, a, "\t")
        if (a[1] == "reach") print "reach" f(a[2]) f(a[3])
        else if (l ~ /^[a-z0-9-]+$/) virtualization = l
        else if (a[1] == "sshd-port") { if (a[2] ~ /^[0-9]+$/) print "sshd-port" f(a[2]) }
        else if (a[1] == "address" || a[1] == "bridge") print a[1] f(a[2])
        else if (a[1] == "rule") print "rule" f(a[2]) f(a[3]) f(substr(l, length(a[1] a[2] a[3]) + 4))
        else if (a[1] == "route") print "route" f(a[2]) f(a[3]) (n > 3 ? f(a[4]) : "")
        else if (a[1] == "name-server") print "name-server" f(a[2])
        else if (a[1] == "foreign-table") print "foreign-table" f(a[2])
        else if (split(l, a, ",") > 13) chrony = a[14]
    }
    while ((getline l < "/dev/fd/5") > 0) if (match(l, /ino:[0-9]+/)) {
        n = substr(l, RSTART + 4, RLENGTH - 4)
        if (match(l, /users:\(\("[^"]*"/)) process[n] = substr(l, RSTART + 9, RLENGTH - 10)
    }
}
function docker_answers(    l, a, n, i, o) {
    while ((getline l < "/dev/fd/7") > 0) {
        n = split(l, a, "\t")
        if (a[1] == "container" && !(substr(a[4], 2, length(a[4]) - 2) in project)) continue
        o = clean(a[1])
        answered[o] = 1
        for (i = 2; i <= n; i++) o = o f(a[i])
        print o
    }
    # Never "no docker" where there is one.
    if (("docker" in self) && ("docker" in asked) && !("docker" in answered)) print "docker\t\t\tdocker gave no answer"
}

function answer(l,    a, k) {
    split(l, a, "\t")
    k = a[1]
    if (k == "package") print "package" f(a[2]) (a[2] in version ? f(version[a[2]]) yes(configured[a[2]]) : "")
    else if (k == "group") print "group" f(a[2]) (a[2] in gid ? num(gid[a[2]]) f(members[a[2]]) : "")
    else if (k == "user") print "user" f(a[2]) (a[2] in uid ? uid[a[2]] f(home[a[2]]) : "")
    else if (k ~ /^(file|sent-file|secret-file|presence|place|record)$/) { if (!(a[2] in told)) file(a[2]); told[a[2]] = 1 }
    else if (k == "unit") unit_answer(a[2])
    else if (k == "disk") print "disk" f(a[2]) free[near[a[2]]]
}

BEGIN {
    print "provision-facts 1"
    os_release()
    machine()
    packages()
    accounts()
    identity()
}
substr($0, 1, 2) == "--" { section = $0; at = 0; next }
section == "--questions" {
    question[++questions] = $0
    split($0, a, "\t")
    asked[a[1] == "project" || a[1] == "image" || a[1] == "published" ? "docker" : a[1]] = 1
    if (a[1] == "apt-source") wanted_source[++wanted_sources] = a[2]
    else if (a[1] == "project") project[a[2]] = 1
    next
}
section == "--self" {
    n = split($0, a, "\t")
    if (a[1] == "ssh-port" || a[1] == "ssh-client") print a[1] f(a[2])
    else if (a[1] == "docker-root") print "docker-root" f(a[2])
    else if (a[1] == "docker-service") print "docker-service" f(a[2]) f(substr($0, length(a[2]) + 17))
    else if (a[1] == "engine") print "engine" f(a[2]) f(a[3]) (n > 3 ? f(a[4] in login ? login[a[4]] : a[4]) : "")
    else if (a[1] == "compose") print "compose" f(a[2])
    else if (a[1] == "compose-package") print "compose" f(version[a[2]])
    else if (a[1] == "interrupted") print "interrupted"
    else if (a[1] == "sources") sources(a[2])
    else if (a[1] == "run") { run = a[2]; alive = a[3] }
    else self[a[1]] = 1
    next
}
section == "--stat" {
    n = split($0, a, "\t")
    stat[a[6]] = $0
    if (a[6] == "/proc/self/stat") print "clock" num(clock = a[4])
    if (a[6] == "/var/lib/apt/lists" || a[6] == "/var/cache/apt/srcpkgcache.bin" || a[6] ~ /stamp$/) { if (a[4] > lists) lists = a[4] }
    if (a[6] ~ /\/lock(-frontend)?$/) lock[a[5]] = a[6]
    next
}
section == "--bundle" {
    split($0, a, "\t")
    if (a[1] == "bundle" || a[1] == "differs") print a[1] f(a[2]) f(a[3])
    next
}
section == "--near" { i = index($0, "\t"); near[substr($0, 1, i - 1)] = substr($0, i + 1); next }
section == "--disk" { split($0, a, "\t"); free[a[4]] = sprintf("\t%.0f\t%.0f", a[1] * a[3], a[2] * a[3]); next }
section == "--link" { if (at++) target[linked] = $0; else linked = $0; next }
section == "--full" { full[holder = $0] = "\tfull"; next }
section == "--held" { full[holder] = full[holder] "\t" substr($0, length(holder) + 2); next }
section == "--sum" {
    # A name with a backslash in it is escaped, and the line begins with one.
    if (substr($0, 1, 1) == "\\") { name = substr($0, 68); gsub(/\\\\/, "\\", name); sum[name] = substr($0, 2, 64) }
    else sum[substr($0, 67)] = substr($0, 1, 64)
    next
}
section == "--record" { if (at++) print "record" f(recorded) f(substr($0, 2)); else recorded = $0; next }
section == "--content" { if (at++) { if (length($0) <= 87384) print "content" f(contained) f($0) } else contained = $0; next }
END {
    other_answers()
    print "virtualization" f(virtualization)
    print "systemd" yes("systemd" in self)
    if ("timesync" in self) print "clock-synchronised\tyes"
    else if (chrony != "") print "clock-synchronised" yes(chrony != "Not synchronised")
    else if ("timesyncd" in self) print "clock-synchronised\tno"
    release_option["Signed-By"] = release_option["Trusted"] = release_option["Check-Valid-Until"] = 1
    conflicts()
    if ("lists" in self) print "lists-age" num(clock > lists ? clock - lists : 0)
    locks()
    reboot()
    cloud_init()
    first_boot()
    last_run()
    lease()
    sockets("tcp", "/proc/net/tcp", "0A")
    sockets("tcp", "/proc/net/tcp6", "0A")
    sockets("udp", "/proc/net/udp", "07")
    sockets("udp", "/proc/net/udp6", "07")
    for (i = 1; i <= listening; i++) print "listening" f(substr(order[i], 1, 3)) f(substr(order[i], 5)) f(socket[order[i]])
    unit_answers()
    for (i = 1; i <= questions; i++) answer(question[i])
    docker_answers()
    print "end"
}
'
}

main() {
    set -f
    IFS=$NL
    find_cgroup
    read_questions
    docker_facts | {
        exec 7<&0 </dev/null
        unit_facts | {
            exec 6<&0 </dev/null
            other_facts | {
                exec 5<&0 </dev/null
                bundle_facts | {
                    exec 4<&0 </dev/null
                    file_facts | report
                }
            }
        }
    }
}

main
exit 0
# shellcheck disable=SC2317 # no command: what follows is asked
__QUESTIONS__
