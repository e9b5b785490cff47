#!/bin/sh
# Run by the nginx image before nginx itself: decides between HTTP and HTTPS, waits for
# the first API replica, and then watches the replicas' addresses and the certificate.
set -eu

tls=/etc/nginx/tls
every=2

replicas() { getent ahostsv4 prefect-api | cut -d ' ' -f 1 | sort -u; }

listen() {
    if [ -s "$tls/tls.crt" ] && [ -s "$tls/tls.key" ]; then
        printf '%s\n' 'listen 4200 ssl;' \
            "ssl_certificate $tls/tls.crt;" "ssl_certificate_key $tls/tls.key;" \
            'ssl_protocols TLSv1.2 TLSv1.3;' 'ssl_session_cache shared:tls:5m;'
    else
        echo 'listen 4200;'
    fi
}

# Everything that nginx reads only when it is reloaded.
state() {
    replicas
    cksum "$tls/tls.crt" "$tls/tls.key" 2>/dev/null || true
}

watch() {
    known=$1
    while sleep "$every"; do
        now=$(state)
        # No replica at all: the addresses that are known are as good as any.
        if [ "$now" = "$known" ] || [ -z "$(replicas)" ]; then continue; fi
        listen >/etc/nginx/conf.d/listen.inc
        if nginx -t -q && nginx -s reload; then
            known=$now
            echo "40-replicas: reloaded for $(replicas | tr '\n' ' ')"
        fi
    done
}

until [ -n "$(replicas)" ]; do
    echo '40-replicas: waiting for prefect-api'
    sleep "$every"
done
listen >/etc/nginx/conf.d/listen.inc
watch "$(state)" &
