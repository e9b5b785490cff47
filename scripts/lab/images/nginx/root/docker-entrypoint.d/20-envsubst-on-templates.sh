#!/bin/sh
# /etc/nginx/templates/X.conf.template becomes /etc/nginx/conf.d/X.conf, with the
# environment's variables filled in (those that NGINX_ENVSUBST_FILTER matches, if it is
# set) and nginx's own left alone.
set -eu

from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}

[ -d "$from" ] || exit 0
names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' | grep -E "${NGINX_ENVSUBST_FILTER:-}" | sed 's/.*/${&}/' | tr '\n' ' ')
find "$from" -follow -type f -name "*$suffix" | while read -r template; do
    path=${template#"$from/"}
    mkdir -p "$to/$(dirname "$path")"
    envsubst "$names" <"$template" >"$to/${path%"$suffix"}"
done
