#!/bin/bash
# Run at each start of the stack, before anything uses the database: makes sure of the
# roles with their passwords, the database and its extensions, in a new volume as in one
# from before. The image's own scripts for that run in a new volume only.
#
# It reaches Postgres over its socket, which lets every role in: so a password that was
# changed in /etc/provision/secrets takes effect here, without the former one.
#
# The step `postgres` runs it for a Postgres on the host itself, too, and says then where
# the passwords are, how a new database is made, and that the superuser is none of ours.
set -eu
SECRETS=${SECRETS:-/run/secrets}
export SECRETS

# In a volume from elsewhere the superuser may have Prefect's own name.
for superuser in postgres "$POSTGRES_USER"; do
    if psql -U "$superuser" -d postgres -c '' 2>/dev/null; then break; fi
done

sql() { psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -U "$superuser" "$@"; }

sql -d postgres -v superuser="$superuser" -v role="$POSTGRES_USER" -v db="$POSTGRES_DB" \
    -v watcher="${POSTGRES_EXPORTER_USER:-monitoring}" -v new="${NEW_DATABASE-}" \
    -v shared="${SUPERUSER_IS_SHARED:-no}" <<'SQL'
-- No password in the server's log, however slow or wrong this is.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';
SET password_encryption = 'scram-sha-256';
\set password `cat "$SECRETS/postgres_password"`
-- The small stacks have nobody who looks at figures.
\set watching `cat "$SECRETS/postgres_exporter_password" 2>/dev/null || true`
SELECT :'watching' <> '' AS watched \gset

SELECT format('CREATE ROLE %I', :'role')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN PASSWORD :'password';

-- The superuser comes in over the socket only.
SELECT format('ALTER ROLE %I PASSWORD NULL', :'superuser')
    WHERE :'superuser' <> :'role' AND :'shared' <> 'yes' \gexec

\if :watched
SELECT format('CREATE ROLE %I', :'watcher')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'watcher') \gexec
ALTER ROLE :"watcher" LOGIN CONNECTION LIMIT 5 PASSWORD :'watching';
GRANT pg_monitor TO :"watcher";
\endif

SELECT format('CREATE DATABASE %I OWNER %I %s', :'db', :'role', :'new')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'db') \gexec
ALTER DATABASE :"db" OWNER TO :"role";
SQL

sql -d "$POSTGRES_DB" <<'SQL'
SET client_min_messages = 'warning';
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
SQL

sql -d "$POSTGRES_DB" -At -c "SELECT 'extension ' || extname || ' ' || extversion FROM pg_extension ORDER BY 1"
echo "database $POSTGRES_DB is ready for $POSTGRES_USER"
