#!/bin/sh
# Tells pgAdmin where the database is, as .env says it, and starts it.
set -eu
cat >"$PGADMIN_SERVER_JSON_FILE" <<JSON
{
  "Servers": {
    "1": {
      "Name": "Prefect",
      "Group": "Servers",
      "Host": "$POSTGRES_HOST",
      "Port": $POSTGRES_PORT,
      "MaintenanceDB": "$POSTGRES_DB",
      "Username": "$POSTGRES_USER",
      "SSLMode": "$PGSSLMODE",
      "PassFile": "/.pgpass"
    }
  }
}
JSON
exec /entrypoint.sh "$@"
