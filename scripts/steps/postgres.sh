# shellcheck shell=sh disable=SC2154 # sourced by step.sh, which sets dir, change and code
# The postgres step: a database that is not in the stack's own container.

name=$(arg name)
database=$(arg database)
user=$(arg user)
watcher=$(arg watcher)
port=$(arg port 5432)
version=$(arg version)
secrets=/etc/provision/secrets/$name
state=/var/lib/provision/postgres/$name
at=

# repository: PostgreSQL's own packages.

key=/etc/apt/keyrings/pgdg.asc

repository_guard() { files_placed && [ -s "$key" ]; }

repository_apply() {
    take_key PostgreSQL "$key"
    place_files
    try_source pgdg.sources || {
        withdraw_source pgdg.sources
        apt_failed "PostgreSQL's repository does not work; apt is as it was"
    }
}

repository_verify() { repository_guard || fail "apt does not know PostgreSQL's repository as it should"; }

# server: a cluster of the host that listens on localhost and on Docker's bridge, and lets
# the stack's roles into the stack's database.

cluster=/etc/postgresql/$version/main
hba=$cluster/pg_hba.conf
listen=$cluster/conf.d/provision-listen.conf
unit=postgresql@$version-main.service

# bridge: the address at which containers reach the host.
bridge() {
    address=$(ip -o -4 addr show dev docker0 2>/dev/null | sed -n 's/.* inet \([0-9.]*\).*/\1/p' | head -n 1)
    [ -n "$address" ] && printf '%s' "$address"
}

# as_superuser [ARGUMENT]...: psql on the host's own socket. What it runs comes on stdin.
as_superuser() {
    (cd / && runuser -u postgres -- psql --no-psqlrc --quiet -At -v ON_ERROR_STOP=1 -h /var/run/postgresql -p "${at:-$port}" -U postgres "$@")
}

# listens: whether the server is there for containers.
listens() {
    address=$(bridge) || return 1
    pg_isready -q -h "$address" -p "$port" -t 3
}

# with_rules: pg_hba.conf on stdin with this stack's rules before all others, which are
# left as they are. Rules of before go.
with_rules() {
    arg rules
    awk -v name="$name" '
        $0 == "# BEGIN provision " name { ours = 1 }
        !ours { print }
        $0 == "# END provision " name { ours = 0 }'
}

# listen_text ADDRESS: what the server is to listen on; what it listened on before is kept.
# On stdin: what it says itself that it listens on.
listen_text() {
    said=$(cat)
    former=$(sed -n 's/^# before: //p' "$listen" 2>/dev/null)
    base=${former:-$said}
    all=$base
    case ,$(printf %s "$base" | tr -d ' '), in
        *",*,"* | *,0.0.0.0,* | *",$1,"*) ;;
        ,,) all=$1 ;;
        *) all=$base,$1 ;;
    esac
    printf '# Written by provision: containers reach Postgres at the address of Docker%ss bridge.\n' "'"
    printf '# before: %s\n' "$base"
    printf "listen_addresses = '%s'\n" "$all"
}

server_guard() {
    files_placed && has_rules && systemctl is-enabled --quiet postgresql.service && listens
}

has_rules() { [ -e "$hba" ] && [ "$(with_rules <"$hba")" = "$(cat "$hba")" ]; }

server_apply() {
    address=$(bridge) || {
        hint "look with 'ip addr show docker0' on the host; a daemon.json with \"bridge\": \"none\" makes none"
        fail "Docker's bridge docker0 has no address on this host, at which containers could reach Postgres"
    }
    if [ ! -e "$cluster/postgresql.conf" ]; then
        say "making the cluster $version/main"
        pg_createcluster "$version" main || fail "the cluster $version/main could not be created"
    fi
    if systemctl is-active --quiet "$unit"; then
        # At the port of the moment; a new one counts from the restart on.
        at=$(sed -n 4p "/var/lib/postgresql/$version/main/postmaster.pid" 2>/dev/null)
        not_somebody_elses
        at=
    fi
    systemctl enable postgresql.service >/dev/null 2>&1
    place_files
    systemctl daemon-reload
    # With its former settings it can be asked what it listens on.
    systemctl is-active --quiet "$unit" || systemctl start "$unit"
    said=$(asked_at_once listen_addresses) || {
        failed_to_start
        fail "Postgres $version does not start"
    }
    keep "$listen"
    printf '%s' "$said" | listen_text "$address" >"$scratch/listen"
    install -m 0644 "$scratch/listen" "$listen"
    keep "$hba"
    with_rules <"$hba" >"$scratch/hba"
    chmod --reference="$hba" "$scratch/hba"
    chown --reference="$hba" "$scratch/hba"
    # On another file system than its place: beside it first.
    cp -p "$scratch/hba" "$hba.provision-new" && mv -f "$hba.provision-new" "$hba"
    systemctl restart "$unit"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        ! listens || return 0
        sleep 1
    done
    failed_to_start
    say "going back to its previous settings"
    for file in "$listen" "$hba" "$cluster/conf.d/provision.conf"; do
        if [ -e "$dir/kept$file" ]; then cp -a "$dir/kept$file" "$file"; else rm -f "$file"; fi
    done
    [ -e "$hba" ] || mv "$scratch/hba" "$hba"
    systemctl restart "$unit"
    fail "Postgres $version does not listen at $address:$port with its new settings; the previous ones are back"
}

# asked_at_once SETTING: what the server says of a setting, at its present port.
asked_at_once() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        now=$(pg_lsclusters -h | awk -v version="$version" '$1 == version && $2 == "main" { print $3 }')
        # The port of the moment: a new one counts from the restart on.
        for at in $(sed -n 4p "/var/lib/postgresql/$version/main/postmaster.pid" 2>/dev/null) "${now:-$port}"; do
            ! printf 'SHOW %s' "$1" | as_superuser -d postgres 2>/dev/null || return 0
        done
        sleep 1
    done
    at=
    return 1
}

failed_to_start() {
    tail -n 8 "/var/log/postgresql/postgresql-$version-main.log" 2>/dev/null
    hint "for details, use 'journalctl -u $unit' and in /var/log/postgresql on the host"
}

server_verify() {
    files_placed || fail "the server's settings are not as planned"
    has_rules || fail "$hba does not have the stack's rules"
    listens || fail "Postgres does not answer at Docker's bridge"
}

# not_somebody_elses: a database or a role of that name that is there is the stack's, or the phase ends.
not_somebody_elses() {
    {
        printf '\\set db %s\n\\set role %s\n' "$(quoted "$database")" "$(quoted "$user")"
        cat <<'SQL'
SELECT 'owner ' || pg_get_userbyid(datdba) || ' ' || pg_encoding_to_char(encoding) FROM pg_database WHERE datname = :'db';
SELECT 'role ' || rolsuper FROM pg_roles WHERE rolname = :'role';
SQL
    } | as_superuser -d postgres >"$scratch/found" || fail "the host's Postgres could not be asked"
    create="-c 'CREATE ROLE \"$user\"' "
    ! grep -q '^role ' "$scratch/found" || create=
    while read -r what value encoding; do
        case $what in
            owner)
                if [ "$value" != "$user" ]; then
                    hint "to give it to the stack, on the host: sudo -u postgres psql -p $port $create-c 'ALTER DATABASE \"$database\" OWNER TO \"$user\"' (and its tables); or name another 'database' in [steps.postgres]"
                    fail "the database $database is on the host and belongs to $value; nothing of it was changed"
                fi
                if [ "$encoding" != UTF8 ]; then
                    hint "name another 'database' in [steps.postgres]"
                    fail "the database $database is on the host and holds its text as $encoding, not as UTF8"
                fi
                ;;
            role)
                if [ "$value" = true ]; then
                    hint "name another 'user' in [steps.postgres]"
                    fail "the role $user is a superuser of the host's Postgres, and not for the stack"
                fi
                ;;
        esac
    done <"$scratch/found" || exit 1
}

# database: roles, passwords, database and extensions, by the script of the stack's container.

database_guard() { return 1; }

database_apply() {
    rm -f "$scratch/database"
    # Without anybody who looks at figures there is no role for that.
    for file in postgres_password ${watcher:+postgres_exporter_password}; do
        [ -s "$secrets/$file" ] || fail "$secrets/$file is not there; the step secrets makes it"
    done
    not_somebody_elses
    # The passwords as files that psql, which runs as postgres, can read; in memory, and not for long.
    work=$(mktemp -d /run/provision-postgres.XXXXXX) || fail "/run is full"
    trap 'rm -rf "$work"' EXIT
    arg prepare >"$work/prepare.sh"
    cp "$secrets/postgres_password" ${watcher:+"$secrets/postgres_exporter_password"} "$work/"
    chown -R postgres "$work"
    (cd / && runuser -u postgres -- env SECRETS="$work" SUPERUSER_IS_SHARED=yes \
        PGHOST=/var/run/postgresql PGPORT="$port" \
        POSTGRES_USER="$user" POSTGRES_DB="$database" POSTGRES_EXPORTER_USER="$watcher" \
        NEW_DATABASE="ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8' TEMPLATE template0" \
        bash "$work/prepare.sh" </dev/null 2>&1) || {
        rm -rf "$work"
        fail "the role or the database could not be created; the lines above say why"
    }
    rm -rf "$work"
    : >"$scratch/database"
}

database_verify() {
    # What was there before may look as good and be somebody else's.
    [ -e "$scratch/database" ] || fail "the role and the database are not made"
    found=$(printf "SELECT count(*) FROM pg_extension WHERE extname IN ('pg_trgm', 'uuid-ossp')" | as_superuser -d "$database")
    [ "$found" = 2 ] || fail "the database $database does not have pg_trgm and uuid-ossp"
}

# quoted TEXT: as psql's \set takes it.
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; }

# fit: the proof, from a container as the stack's are.

fit_guard() { [ "$(arg again no)" = no ] && [ "$(cat "$state" 2>/dev/null)" = "$(arg hash)" ] && files_placed; }

# ask [ARGUMENT]...: psql in a throw-away container; SQL comes on stdin. The password is in
# a file that only root reads.
ask() {
    host=$(arg host)
    set -- --rm --interactive --entrypoint psql --user 0:0 \
        --add-host host.docker.internal:host-gateway \
        --volume "$scratch/pgpass:/run/pgpass:ro" --env PGPASSFILE=/run/pgpass \
        --env PGCONNECT_TIMEOUT=10 --env "PGSSLMODE=$(arg tls)" --env LC_ALL=C \
        ${ca:+--volume "$ca:/run/ca.crt:ro" --env PGSSLROOTCERT=/run/ca.crt} \
        "$image" --no-psqlrc --quiet -At -w -v ON_ERROR_STOP=1 \
        -h "$host" -p "$port" -U "$user" -d "$database" "$@"
    timeout 90 docker run "$@"
}

fit_apply() {
    place_files
    rm -f "$state"
    image=$(arg image)
    image=${image%% *}
    ca=$(arg ca)
    [ -z "$ca" ] || [ -f "$ca" ] || {
        hint "it comes with the package ca-certificates; or name a file of your own with 'ca' in [steps.postgres]"
        fail "$ca is not on the host, with which the server's certificate is checked"
    }
    [ -s "$secrets/values/postgres" ] || fail "the secret postgres is not on the host; the step secrets makes it"
    (
        umask 077
        printf '*:*:*:*:' >"$scratch/pgpass"
        head -n 1 "$secrets/values/postgres" | sed 's/[\\:]/\\&/g' >>"$scratch/pgpass"
    )
    trap 'rm -f "$scratch/pgpass"' EXIT
    if ! survey | ask >"$scratch/survey" 2>"$scratch/said"; then
        not_reached <"$scratch/said"
    fi
    judge <"$scratch/survey"
    mkdir -p "${state%/*}"
    printf '%s\n' "$(arg hash)" >"$state"
}

fit_verify() { [ "$(cat "$state" 2>/dev/null)" = "$(arg hash)" ] || fail "the database is not proven"; }

# survey: questions to the database; their answers are lines "WORD VALUE...".
survey() {
    cat <<'SQL'
SELECT 'version ' || current_setting('server_version_num') || ' ' || current_setting('server_version');
SELECT 'standby' WHERE pg_is_in_recovery();
SELECT 'encoding ' || current_setting('server_encoding');
SELECT 'tls ' || coalesce(version, '?') FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl;
SELECT 'owner ' || pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database();
SELECT 'may-extend' WHERE has_database_privilege(current_database(), 'CREATE')
    OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
SELECT 'schema ' || coalesce(current_schema(), '-');
SELECT 'may-create' WHERE has_schema_privilege(coalesce(current_schema(), 'public'), 'CREATE');
SELECT 'extension ' || wanted || ' ' || CASE
        WHEN EXISTS (SELECT FROM pg_extension WHERE extname = wanted) THEN 'there'
        WHEN EXISTS (SELECT FROM pg_available_extensions WHERE name = wanted) THEN 'missing'
        ELSE 'unknown' END
    FROM unnest(ARRAY['pg_trgm', 'uuid-ossp']) AS wanted;
SELECT 'hidden ' || nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'pg_trgm' AND NOT nspname = ANY (current_schemas(true));
SELECT 'tables ' || count(*) || ' ' || count(*) FILTER (WHERE tablename IN ('flow_run', 'task_run', 'alembic_version'))
    FROM pg_tables WHERE schemaname = current_schema();
SELECT 'foreign ' || tableowner FROM pg_tables
    WHERE schemaname = current_schema() AND tablename IN ('flow_run', 'task_run', 'alembic_version')
    AND NOT pg_has_role(tableowner, 'USAGE') LIMIT 1;
SELECT 'SELECT ''revision '' || version_num FROM alembic_version'
    WHERE has_table_privilege(to_regclass('alembic_version'), 'SELECT') \gexec
SQL
}

# not_reached: why psql came to nothing, of which it spoke on stdin; ends the phase.
not_reached() {
    said=$(grep -v '^$')
    place="$(arg host):$port"
    printf '%s\n' "$said" | tail -n 4
    case $said in
        *"could not translate host name"*)
            hint "check the name in [steps.postgres]; on the host: getent hosts $(arg host)"
            fail "the name $(arg host) does not resolve in a container on the host" ;;
        *"Connection refused"*)
            hint "check host and port in [steps.postgres], and whether that server listens for others"
            fail "nothing answers at $place: the connection was refused" ;;
        *"timeout expired"* | *"timed out"* | *"No route to host"* | *"Network is unreachable"*)
            [ "$(arg mode)" = external ] ||
                hint "a firewall of the host that is not provision's must let containers in at $port/tcp; on the host: ip addr show docker0"
            [ "$(arg mode)" = host ] ||
                hint "look at the firewalls, and at the networks that the database lets in: this host's address must be among them"
            fail "$place was not reached from a container within 10 seconds" ;;
        *"password authentication failed"* | *"no password supplied"*)
            hint "the password is the secret postgres; 'provision secrets HOST set postgres' gives another one"
            fail "$place refuses the password of $user (or knows no such role)" ;;
        *'database "'*'" does not exist'*)
            hint "an administrator creates it: CREATE DATABASE \"$database\" OWNER \"$user\" ENCODING 'UTF8' TEMPLATE template0;"
            fail "there is no database $database at $place" ;;
        *'role "'*'" does not exist'*)
            hint "an administrator creates it: CREATE ROLE \"$user\" LOGIN; and gives it its password with \\password"
            fail "there is no role $user at $place" ;;
        *"does not support SSL"*)
            hint "switch it on at the server; or say tls = \"disable\" in [steps.postgres], with which all of it, the password's proof included, can be read on its way"
            fail "$place does not offer TLS, which tls = \"$(arg tls)\" asks for" ;;
        *"no pg_hba.conf entry"*"no encryption"*)
            hint "where it lets in over TLS only, say tls = \"require\" in [steps.postgres]; else this host's address must be let in at the server"
            fail "$place does not let $user in without TLS, or not from this host" ;;
        *"no pg_hba.conf entry"*)
            hint "the server's administrator lets in this host's address (pg_hba.conf, authorized networks)"
            fail "$place does not let $user in from this host" ;;
        *"does not match host name"*)
            hint "name the server as its certificate does; or take tls = \"verify-ca\", which does not look at the name"
            fail "the certificate of $place is for another name" ;;
        *"certificate verify failed"*)
            hint "give the authority that signed it, as a file: 'ca' in [steps.postgres]"
            fail "the certificate of $place is signed by an authority that the host does not trust" ;;
        *"root certificate file"* | *"could not read root certificate"*)
            fail "the file of 'ca' in [steps.postgres] is none that Postgres can read" ;;
        *"too many"* | *"remaining connection slots"*)
            hint "raise max_connections at the server; a Prefect process uses up to 15 connections"
            fail "$place has no connection left" ;;
        *"permission denied for database"*)
            hint "an administrator says: GRANT CONNECT, CREATE ON DATABASE \"$database\" TO \"$user\";"
            fail "$user may not connect to the database $database" ;;
    esac
    hint "the lines above are psql's, from a container of $image on the host"
    fail "$place could not be asked"
}

# judge: whether the database is fit, by the survey on stdin; makes the extensions where it may.
judge() {
    number='' full='' tls='' owner='' extend=no schema='' create=no missing='' hidden='' tables=0 theirs=0 foreign='' revision='' encoding=''
    while read -r word value rest; do
        case $word in
            version) number=$value full=$rest ;;
            standby) fail "$(arg host) is a standby, which nothing can be written to; name the primary" ;;
            encoding) encoding=$value ;;
            tls) tls=$value ;;
            owner) owner=$value ;;
            may-extend) extend=yes ;;
            schema) schema=$value ;;
            may-create) create=yes ;;
            extension)
                case $rest in
                    missing) missing="$missing $value" ;;
                    unknown)
                        hint "on a server of your own it is in the package postgresql-contrib"
                        fail "the server does not have the extension $value, which is wanted"
                        ;;
                esac
                ;;
            hidden) hidden=$value ;;
            tables) tables=$value theirs=$rest ;;
            foreign) foreign=$value ;;
            revision) revision=$value ;;
        esac
    done
    case $number in '' | *[!0-9]*) fail "the database said nothing of itself" ;; esac
    say "Postgres ${full%% *}${tls:+, $tls}, database $database of $owner"
    if [ "$number" -lt 140009 ]; then
        hint "bring the server to a newer version first; nothing was changed"
        fail "the server is Postgres ${full%% *}, and provision supports 14.9 or newer"
    fi
    if [ "$encoding" != UTF8 ]; then
        hint "an administrator creates another: CREATE DATABASE name OWNER \"$user\" ENCODING 'UTF8' TEMPLATE template0;"
        fail "the database $database stores text as $encoding, and UTF8 is needed"
    fi
    can_back_up "$number"
    if [ -n "$foreign" ]; then
        hint "an administrator gives them over, connected to $database: REASSIGN OWNED BY \"$foreign\" TO \"$user\";"
        fail "the database $database has tables of Prefect's that belong to $foreign; a migration as $user would stop half-way"
    fi
    if [ "$theirs" -gt 0 ]; then
        notice "the database has tables of Prefect's (revision ${revision:-unknown}); the migration continues from there"
    elif [ "$tables" -gt 0 ]; then
        notice "the database already has $tables tables; the stack adds its own"
    fi
    orders=$(orders)
    if [ -n "$orders" ]; then
        say "SQL for an administrator (a superuser or an owner), connected to the database $database:"
        printf '%s\n' "$orders" | while IFS= read -r line; do say "  $line"; done
        hint "an administrator runs the SQL above, connected to the database $database at $(arg host); then run provision again"
        fail "the role $user is not allowed to do what the stack needs in the database $database; nothing was changed there"
    fi
    [ -n "$missing" ] || return 0
    say "making$missing"
    # Both or none.
    if ! { printf 'BEGIN;\n'; for each in $missing; do extension "$each"; done; printf 'COMMIT;\n'; } | ask 2>&1; then
        say "SQL for an administrator, connected to the database $database:"
        for each in $missing; do say "  $(extension "$each")"; done
        hint "an administrator runs the SQL above, connected to the database $database at $(arg host); then run provision again"
        fail "the server does not let the role $user make the extensions$missing; nothing was changed there"
    fi
}

extension() { printf 'CREATE EXTENSION IF NOT EXISTS "%s";\n' "$1"; }

# orders: what an administrator has to do first, as SQL; nothing where the role may do all of it.
orders() {
    if [ "$extend" = no ] || [ "$create" = no ]; then
        for each in $missing; do extension "$each"; done
    fi
    if [ "$create" = no ]; then
        if [ "$schema" = - ]; then
            printf 'GRANT USAGE, CREATE ON SCHEMA public TO "%s";\n' "$user"
        else
            printf 'GRANT USAGE, CREATE ON SCHEMA "%s" TO "%s";\n' "$schema" "$user"
        fi
    fi
    [ -z "$hidden" ] ||
        printf 'ALTER ROLE "%s" IN DATABASE "%s" SET search_path = public, "%s";\n' "$user" "$database" "$hidden"
}

# can_back_up NUMBER: a pg_dump knows no server that is newer than itself.
can_back_up() {
    [ "$(arg backup no)" = yes ] || return 0
    own=$(docker run --rm --entrypoint psql "$image" --version </dev/null 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    case $own in '' | *[!0-9]*) return 0 ;; esac
    if [ "$1" -ge $(((own + 1) * 10000)) ]; then
        hint "in [steps.stack.env] set POSTGRES_IMAGE and BACKUP_IMAGE to images of $(($1 / 10000)); or leave backup out of COMPOSE_PROFILES"
        fail "the server is Postgres $(($1 / 10000)), which the pg_dump of $image (and of BACKUP_IMAGE, which goes with it) cannot back up"
    fi
}
