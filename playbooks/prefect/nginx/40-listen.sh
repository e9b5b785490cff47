#!/bin/sh
# Run by the nginx image before nginx itself: decides between HTTP and HTTPS, and then
# watches the certificate.
set -eu

tls=/etc/nginx/tls
every=5

listen() {
    if [ -s "$tls/tls.crt" ] && [ -s "$tls/tls.key" ]; then
        printf '%s\n' 'listen 4200 ssl;' \
            "ssl_certificate $tls/tls.crt;" "ssl_certificate_key $tls/tls.key;" \
            'ssl_protocols TLSv1.2 TLSv1.3;' 'ssl_session_cache shared:tls:5m;'
    else
        echo 'listen 4200;'
    fi
}

certificate() { cksum "$tls/tls.crt" "$tls/tls.key" 2>/dev/null || true; }

watch() {
    known=$1
    while sleep "$every"; do
        now=$(certificate)
        [ "$now" != "$known" ] || continue
        listen >/etc/nginx/conf.d/listen.inc
        if nginx -t -q && nginx -s reload; then
            known=$now
            echo '40-listen: reloaded for another certificate'
        fi
    done
}

listen >/etc/nginx/conf.d/listen.inc
watch "$(certificate)" &
