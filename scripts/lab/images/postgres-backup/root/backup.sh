#!/bin/bash
# One backup of each database, now: a dump in last/, hard links of it as the latest of
# its day, week and month, and older ones gone. With hooks in /hooks, if there are any.
set -Eeo pipefail

hooks() { [ ! -d /hooks ] || run-parts -a "$1" --exit-on-error /hooks; }
trap 'hooks error || true' ERR

# shellcheck source=env.sh disable=SC1091
. /env.sh

hooks pre-backup
mkdir -p "$BACKUP_DIR/last" "$BACKUP_DIR/daily" "$BACKUP_DIR/weekly" "$BACKUP_DIR/monthly"

# latest FOLDER FILE: FOLDER/DB-latest leads to FILE.
latest() {
    local link="$BACKUP_DIR/$1/$db-latest$BACKUP_SUFFIX"
    case $BACKUP_LATEST_TYPE in
    symlink) ln -sfn "$2" "$link" ;;
    hardlink) ln -f "$BACKUP_DIR/$1/$2" "$link" ;;
    none) ;;
    *) die "BACKUP_LATEST_TYPE is symlink, hardlink or none, not $BACKUP_LATEST_TYPE" ;;
    esac
}

# keep FOLDER TEST: removes what is older; the names of this database alone.
keep() { find "$BACKUP_DIR/$1" -maxdepth 1 "${@:2}" -name "$db-*$BACKUP_SUFFIX" -print -exec rm -rf '{}' ';'; }

for db in $POSTGRES_DBS; do
    now=$(date +%Y%m%d-%H%M%S)
    file=$db-$now$BACKUP_SUFFIX
    dump=$BACKUP_DIR/last/$file
    # POSTGRES_EXTRA_OPTS holds several arguments.
    # shellcheck disable=SC2086
    if [ "$POSTGRES_CLUSTER" = TRUE ]; then
        echo "Creating cluster dump of $db database from $POSTGRES_HOST..."
        pg_dumpall -l "$db" $POSTGRES_EXTRA_OPTS | gzip >"$dump"
    else
        echo "Creating dump of $db database from $POSTGRES_HOST..."
        pg_dump -d "$db" -f "$dump" $POSTGRES_EXTRA_OPTS
    fi
    latest last "$file"
    for each in "daily $(date +%Y%m%d)" "weekly $(date +%G%V)" "monthly $(date +%Y%m)"; do
        folder=${each% *}
        name=$db-${each#* }$BACKUP_SUFFIX
        echo "Replacing $folder backup $name..."
        if [ -d "$dump" ]; then
            rm -rf "${BACKUP_DIR:?}/$folder/$name"
            cp -al "$dump" "$BACKUP_DIR/$folder/$name"
        else
            ln -f "$dump" "$BACKUP_DIR/$folder/$name"
        fi
        latest "$folder" "$name"
    done
    echo "Cleaning older files for $db database from $POSTGRES_HOST..."
    keep last -mmin "+$BACKUP_KEEP_MINS"
    keep daily -mtime "+$BACKUP_KEEP_DAYS"
    keep weekly -mtime "+$((BACKUP_KEEP_WEEKS * 7 + 1))"
    keep monthly -mtime "+$((BACKUP_KEEP_MONTHS * 31 + 1))"
done

echo 'SQL backup created successfully'
hooks post-backup
