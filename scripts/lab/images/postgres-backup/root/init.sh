#!/bin/bash
# The container's command: checks what it was told, and makes backups by SCHEDULE.
set -Eeo pipefail

if [ "$VALIDATE_ON_START" = TRUE ]; then
    # In a process of its own: the passwords are read anew for each backup.
    bash /env.sh
fi
if [ "$BACKUP_ON_START" = TRUE ]; then
    echo 'Launching an startup backup as a background job...'
    /backup.sh &
fi
exec /usr/local/bin/go-cron -s "$SCHEDULE" -p "$HEALTHCHECK_PORT" -- /backup.sh
