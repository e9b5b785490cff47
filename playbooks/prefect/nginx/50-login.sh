#!/bin/sh
# Run by the nginx image before nginx itself: tells it the login, so that it counts those who
# do not have it. In a file that only its master reads, as one line of a `map`.
set -eu
umask 077

# As a header says it, with the characters that mean something in a regular expression escaped.
login=$(printf %s "$PREFECT_API_AUTH_STRING" | base64 | tr -d '\n' | sed 's/+/\\+/g')
printf '"~^Basic +%s$" right;\n' "$login" >/etc/nginx/conf.d/login.inc
