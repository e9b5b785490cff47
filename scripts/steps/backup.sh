# shellcheck shell=sh disable=SC2154 # behind stack.sh and dump.sh, sourced by step.sh
# Backups of a database of the stack: one now, and one brought back. No playbook lists
# this step; `provision backup` makes its changes, each for one run.
#
# A restore never leaves the stack without its database. The backup is loaded beside the
# present one; the two change places in one transaction, and change back if the stack
# does not work with the new one. Killed in the middle it leaves one of the two in place,
# services that are stopped (which `up` starts), and databases with a run's id in their
# names, which the next restore takes away.

db=$(arg database)
role=$(arg role)
backups=$(arg backups)
postgres=$(arg postgres)
run=${dir##*/}
tag=$(printf '%s' "$run" | tr - _)
# Names of databases are 63 bytes at most.
short=$(printf '%.32s' "$db")
fresh=${short}_restore_$tag
former=${short}_before_$tag
# Beside those of the schedule, which take each other's places.
own=before-restore

# What a change of this run has done stands in the run's folder: another run does it anew.
is_done() { [ -e "$dir/did-$1" ]; }
done_with() { : >"$dir/did-$1"; }

# --- asking Postgres ------------------------------------------------------------------

# sql DATABASE [ARGUMENT...]: statements on stdin, bare values on stdout.
sql() {
    on=$1
    shift
    psql_as "$superuser" "$on" -At "$@"
}

value() { printf '%s\n' "$2" | sql "$1" 2>/dev/null; }

# there DATABASE
there() { [ "$(printf '%s\n' "SELECT 1 FROM pg_database WHERE datname = :'db';" | sql postgres -v db="$1")" = 1 ]; }

drop() {
    printf '%s\n' "SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', :'db') \\gexec" |
        sql postgres -v db="$1" -o /dev/null
}

# left_over KIND: databases that restores of other runs have left.
left_over() {
    sql postgres -v form="^${short}_$1_[0-9]{8}_[0-9]{6}_[0-9a-f]{4}$" -v not="_$tag" <<'SQL'
SELECT datname FROM pg_database WHERE datname ~ :'form' AND right(datname, length(:'not')) <> :'not' ORDER BY 1;
SQL
}

ready() {
    find_superuser "$role" && return 0
    hint "more details, on the host: sudo docker compose -p $name ps $postgres; sudo docker compose -p $name logs $postgres"
    fail "$postgres does not answer, or has no superuser named postgres or $role"
}

# amount BYTES
amount() {
    awk -v bytes="$1" 'BEGIN {
        split("bytes kB MB GB TB", unit, " ")
        for (i = 1; bytes >= 999.5 && i < 5; i++) bytes /= 1000
        printf (i == 1 || bytes >= 9.95 ? "%.0f %s" : "%.1f %s"), bytes, unit[i]
    }'
}

# must_be_whole FILE NAME
must_be_whole() {
    examine "$1"
    case $verdict in
        whole) ;;
        cut) fail "$2 is cut off: gzip does not read it to an end" ;;
        unfinished) fail "$2 is not complete: its dump ends too early" ;;
        *) fail "$2 is no gzipped SQL dump of one database" ;;
    esac
}

# --- taken: a backup now -------------------------------------------------------------------

taken_guard() { is_done taken; }

taken_apply() {
    : >"$scratch/began"
    if ! compose exec -T "$(arg backup)" /backup.sh </dev/null; then
        hint "more details, on the host: sudo docker compose -p $name logs $(arg backup) $postgres"
        fail "no backup could be taken; the lines above say why"
    fi
    for each in $(arg databases); do
        # The last of those that were not there before, if a scheduled one came in between.
        file=$(find "$backups/last" -type f -name "$each-*.gz" -newer "$scratch/began" 2>/dev/null | sort | tail -n 1)
        [ -n "$file" ] || fail "the backup of $each is not in $backups/last"
        must_be_whole "$file" "the backup ${file#"$backups/"}"
        result "${file#"$backups/"}, $(amount "$(stat -c %s "$file")"), read to its end and whole"
    done
    done_with taken
}

taken_verify() { is_done taken || fail "no backup was taken"; }

# --- loaded: the backup in a database beside the present one -----------------------------------

loaded_guard() { is_done loaded; }

loaded_apply() {
    ready
    file=$backups/$(arg file)
    [ -r "$file" ] || fail "$(arg file) is not there any more; $db was not touched"
    # This very file, also when a scheduled backup takes its name away meanwhile.
    exec 4<"$file"
    sum=$(sha256sum </proc/self/fd/4)
    if [ "${sum%% *}" != "$(arg sum)" ]; then
        hint "a scheduled backup may have taken its name: 'provision backup HOST list' shows what there is now"
        fail "$(arg file) is not the file that was looked at; $db was not touched"
    fi
    for each in $(left_over restore) "$fresh"; do
        there "$each" || continue
        say "removing $each, which an earlier restore has left"
        drop "$each" || fail "$each could not be removed"
    done
    sql postgres -v db="$fresh" -v role="$role" -o /dev/null <<'SQL' || fail "the database $fresh could not be created; $db was not touched"
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0', :'db', :'role') \gexec
SQL
    say "loading $(arg file) into $fresh"
    (while sleep 10 >/dev/null 2>&1 3>&- 4<&-; do
        size=$(value postgres "SELECT pg_database_size(oid) FROM pg_database WHERE datname = '$fresh'")
        say "loading: $(amount "${size:-0}") in the database so far"
    done) &
    telling=$!
    { gzip -dc </proc/self/fd/4; echo $? >"$scratch/unpacked"; } |
        psql_as "$superuser" "$fresh" --single-transaction -o /dev/null -f - >/dev/null 2>"$scratch/complaints"
    loaded=$?
    kill "$telling" 2>/dev/null
    wait "$telling" 2>/dev/null
    read -r unpacked <"$scratch/unpacked"
    if [ "$loaded" -ne 0 ] || [ "$unpacked" -ne 0 ]; then
        head -n 8 "$scratch/complaints" | cut -c 1-300
        drop "$fresh"
        [ "$unpacked" -eq 0 ] || [ "$loaded" -ne 0 ] || fail "$(arg file) could not be read to its end; $db was not touched"
        hint "the backup is whole, but not one that this Postgres takes: the lines above are its own"
        fail "$(arg file) could not be loaded; $db was not touched and serves as before"
    fi
    sound || {
        drop "$fresh"
        fail "$why; $db was not touched and serves as before"
    }
    done_with loaded
}

loaded_verify() { is_done loaded || fail "the backup is not loaded"; }

# sound: makes sure that what was loaded is what the stack needs, and says what it is; sets $why if not.
sound() {
    why='what was loaded could not be looked at'
    # A dump without owners has made all of it the superuser's.
    sql "$fresh" -v role="$role" -o /dev/null <<'SQL' || return 1
SET client_min_messages = warning;
SELECT format('CREATE EXTENSION IF NOT EXISTS %I', name) FROM unnest(ARRAY['pg_trgm', 'uuid-ossp']) name
    WHERE to_regclass('public.flow_run') IS NOT NULL \gexec
CREATE TEMPORARY TABLE ours AS
    SELECT c.oid, c.relkind, c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
        AND (deptype = 'e' OR c.relkind = 'S' AND deptype IN ('a', 'i')));
SELECT NOT EXISTS (SELECT FROM ours WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = :'role')) AS ownerless \gset
\if :ownerless
SELECT format('ALTER TABLE %s OWNER TO %I', oid::regclass, :'role') FROM ours \gexec
SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, :'role') FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e') \gexec
\endif
ANALYZE;
SQL
    tables=$(value "$fresh" "SELECT count(*) FROM pg_tables WHERE schemaname <> 'information_schema' AND schemaname !~ '^pg_'")
    why='there is no table in the backup'
    [ "${tables:-0}" -gt 0 ] || return 1
    said="$tables tables"
    if [ -n "$(value "$fresh" "SELECT to_regclass('public.flow_run')")" ]; then
        why='the tables of Prefect are there, but not the version of its schema (alembic_version)'
        version=$(value "$fresh" 'SELECT version_num FROM alembic_version')
        [ -n "$version" ] || return 1
        why='an extension that Prefect needs is not there'
        extensions=$(value "$fresh" "SELECT string_agg(extname, ', ' ORDER BY 1) FROM pg_extension WHERE extname IN ('pg_trgm', 'uuid-ossp')")
        [ "$extensions" = 'pg_trgm, uuid-ossp' ] || return 1
        said="$said, $(counted flow flow), $(counted flow_run 'flow run'), schema $version, $extensions"
    fi
    why="the tables do not belong to $role"
    [ "$(value "$fresh" "SELECT count(*) FROM pg_tables WHERE tableowner = '$role'")" -gt 0 ] || return 1
    result "$(arg file) holds $said"
}

counted() {
    count=$(value "$fresh" "SELECT count(*) FROM $1")
    [ "$count" = 1 ] && printf '1 %s' "$2" || printf '%s %ss' "${count:-no}" "$2"
}

# --- kept: what is there now, so that a restore can itself be undone ----------------------------

kept_guard() { is_done kept; }

kept_apply() {
    ready
    if ! there "$db"; then
        say "there is no database $db to back up"
        done_with kept
        return
    fi
    umask 077
    mkdir -p "$backups/$own"
    file=$own/$db-$run.sql.gz
    say "backing up $db as it is"
    { compose exec -T "$postgres" pg_dump -U "$superuser" --no-password -d "$db" </dev/null 2>"$scratch/complaints"; echo $? >"$scratch/dumped"; } |
        gzip -6 >"$backups/$file.provision-new"
    packed=$?
    read -r dumped <"$scratch/dumped"
    if [ "$packed" -eq 0 ] && [ "$dumped" -eq 0 ] && examine "$backups/$file.provision-new" && [ "$verdict" = whole ]; then
        mv -f "$backups/$file.provision-new" "$backups/$file"
        result "what was there before is in $file, $(amount "$(stat -c %s "$backups/$file")"): restore that to undo this"
    else
        rm -f "$backups/$file.provision-new"
        head -n 5 "$scratch/complaints" | cut -c 1-300
        notice "$db could not be backed up as it is; it will be kept as the database $former"
    fi
    # Three of them are kept, and the one that is being restored: what a person tries again
    # must not push it out.
    find "$backups/$own" -type f -name "$db-*.sql.gz" | sort -r | tail -n +4 | while IFS= read -r old; do
        [ "$old" != "$backups/$(arg file)" ] || continue
        say "removing ${old#"$backups/"}, the oldest of these"
        rm -f "$old"
    done
    done_with kept
}

kept_verify() { is_done kept || fail "what is there now is not backed up"; }

# --- restored: the two change places -------------------------------------------------------------

restored_guard() { is_done restored; }

restored_apply() {
    ready
    there "$fresh" || fail "the database $fresh, into which the backup was loaded, is not there any more"
    wait_for_dumps
    # From here on `up` knows that a start is not finished.
    rm -f "$state/applied" "$state/proven"
    stopped=$(date +%s)
    stop_those_that_use_it || {
        start_again
        fail "what uses $db could not be stopped; it is as it was"
    }
    queues aside || {
        start_again
        fail "the queues could not be set aside; $db is as it was"
    }
    [ -z "$(arg queues)" ] || say "what $(arg queues) holds is set aside: it is about what was there before"
    had_one=
    there "$db" && had_one=1
    if ! change_places "$db" "$former" "$fresh" "$db"; then
        queues back
        start_again
        fail "$db and $fresh could not be swapped; $db is as it was"
    fi
    say "the backup is $db now${had_one:+, and what was there is $former}"
    if works; then
        down=$(($(cat "$scratch/up") - stopped))
        result "the stack was down for $down s, and works with $(arg file)"
        queues forget || notice "what the queues held before could not be thrown away"
        take_away_former
        done_with restored
        return
    fi
    if [ -z "$had_one" ]; then
        hint "there was no $db before, so there is nothing to go back to; once it is fixed, 'provision up HOST' starts it"
        fail "$(arg file) is loaded and is $db now, but the stack does not work with it: $why"
    fi
    say "going back to what was there"
    stop_those_that_use_it
    queues back || notice "what the queues held before could not be brought back"
    if ! change_places "$db" "$fresh" "$former" "$db"; then
        hint "the previous one is the database $former; by hand, on the host: sudo docker compose -p $name exec $postgres psql -U $superuser -d postgres"
        fail "the stack does not work with $(arg file), and the previous database could not be put back"
    fi
    hint "what was loaded is kept as the database $fresh until the next restore"
    [ -z "$why" ] || hint "with $(arg file): $why"
    if start_again; then
        fail "the stack does not work with $(arg file); the previous database is back in its place and serves"
    fi
    fail "the stack does not work with $(arg file); the previous database is back in its place, and does not serve either"
}

restored_verify() {
    is_done restored || fail "the backup is not in its place"
    up_guard || fail "the stack is not as it should be: $(told "$(settled)")"
}

# wait_for_dumps: a scheduled backup that is under way would be cut off.
wait_for_dumps() {
    waited=0
    while [ "$(value postgres "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db' AND application_name = 'pg_dump'")" -gt 0 ] 2>/dev/null; do
        [ "$waited" -gt 0 ] || say "waiting for a backup that is under way"
        [ "$waited" -lt 600 ] || fail "a backup of $db has been under way for 10 minutes; $db was not touched"
        sleep 2
        waited=$((waited + 2))
    done
}

stop_those_that_use_it() {
    set --
    for each in $(arg stop); do set -- "$@" "$each"; done
    [ $# -gt 0 ] || return 0
    say "stopping $*"
    compose stop "$@" </dev/null
}

# change_places FROM TO...: renames in one transaction, so that there is no moment without
# a database; a FROM that is not there is passed over.
change_places() {
    set -- "$1" "$2" "$3" "$4" 0
    until sql postgres -v a="$1" -v b="$2" -v c="$3" -v d="$4" -o /dev/null <<'SQL'
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (:'a', :'c') AND pid <> pg_backend_pid();
BEGIN;
SELECT format('ALTER DATABASE %I RENAME TO %I', datname, :'b') FROM pg_database WHERE datname = :'a' \gexec
SELECT format('ALTER DATABASE %I RENAME TO %I', :'c', :'d') \gexec
COMMIT;
SQL
    do
        # Somebody has come in again: a person at psql, a page.
        [ "$5" -lt 5 ] || return 1
        set -- "$1" "$2" "$3" "$4" $(($5 + 1))
        sleep 1
    done
}

# works: the stack starts, migrates what may be older than itself, settles and proves
# itself. Its words are told, but are no verdict yet.
works() {
    {
        (
            up_apply
            date +%s >"$scratch/up"
            [ -z "$(arg service)" ] || proof_apply
        ) 2>&1
        echo $? >"$scratch/works"
    } | sed -u "s/^${run_mark}error: /it failed: /; s/^${run_mark}hint: /  /" | tee "$scratch/words"
    # Said once more at the very end: much is told in between.
    why=$(sed -n 's/^it failed: //p' "$scratch/words" | tail -n 1)
    [ "$(cat "$scratch/works")" = 0 ]
}

# start_again: what was there before, which was proven then.
start_again() {
    say "starting again what was stopped"
    {
        (up_apply) 2>&1
        echo $? >"$scratch/works"
    } | sed -u "s/^${run_mark}error: /it failed: /; s/^${run_mark}hint: /  /"
    [ "$(cat "$scratch/works")" = 0 ]
}

# take_away_former: of this restore and of others, where there is a backup of each.
take_away_former() {
    for each in $(left_over before) "$former"; do
        there "$each" || continue
        id=$(printf '%s' "${each#"${short}_before_"}" | tr _ -)
        if [ -e "$backups/$own/$db-$id.sql.gz" ]; then
            drop "$each" || notice "the previous database $each could not be removed"
        else
            notice "the previous database stays as $each, because there is no backup of it; once you do not need it, on the host: cd $folder && sudo docker compose exec $postgres dropdb -U $superuser $each"
        fi
    done
}

# queues aside|back|forget: Redis services that hold nothing but what belongs to the
# database's present state: events that are on their way, tasks and leases of runs. With
# another state they would be about what is not there. Databases 0 to 7 change places with
# 8 to 15, so that all of it can come back.
queues() {
    for each in $(arg queues); do
        # shellcheck disable=SC2016 # it is the container's shell that reads it
        answers=$(queue_commands "$1" | compose exec -T "$each" sh -c '
            password=/run/secrets/redis_password
            [ ! -r "$password" ] || REDISCLI_AUTH=$(cat "$password")
            [ -z "${REDISCLI_AUTH:-}" ] || export REDISCLI_AUTH
            exec redis-cli') || return 1
        if printf '%s\n' "$answers" | grep >/dev/null -vx 'OK'; then
            printf '%s\n' "$answers" | grep -vx 'OK' | sort -u | head -n 3
            return 1
        fi
    done
}

queue_commands() {
    for number in 0 1 2 3 4 5 6 7; do
        aside=$((number + 8))
        case $1 in
            aside | forget) printf 'SELECT %s\nFLUSHDB\n' "$aside" ;;
            back) printf 'SELECT %s\nFLUSHDB\n' "$number" ;;
        esac
        [ "$1" = forget ] || printf 'SWAPDB %s %s\n' "$number" "$aside"
    done
}
