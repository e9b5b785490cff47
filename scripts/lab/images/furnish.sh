# shellcheck shell=sh
# What the images' own files use to put programs into ROOT that Debian has not
# packaged as they are wanted. WORK is a folder for what is only needed meanwhile.

# The one program that installs from PyPI, for all images: the same each time.
UV=uv==0.13.9

# install_python ROOT ARGUMENT…: `uv pip install`, in the image's root and with its own
# Python. The index, the proxy and the certificates are those that the machine's pip
# uses; the image is told of them only for that long.
install_python() {
    into=$1
    shift
    tools=$STATE/cache/$UV
    with_lock uv fetch_uv
    index=${PIP_INDEX_URL:-$(pip_says index-url)}

    [ ! -e "$into/etc/resolv.conf" ] || die "$into has a resolver of its own"
    cp -L /etc/resolv.conf "$into/etc/resolv.conf"
    mkdir -p "$STATE/cache/python" "$into/run/cache"
    mount --bind "$tools" "$into/mnt"
    mount --bind "$STATE/cache/python" "$into/run/cache"
    mount --bind /dev "$into/dev"
    mount -t proc proc "$into/proc"
    chroot "$into" env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/root LANG=C.UTF-8 \
        SSL_CERT_FILE=/mnt/certificates UV_CACHE_DIR=/run/cache UV_LINK_MODE=copy UV_NO_PROGRESS=1 \
        UV_PYTHON_DOWNLOADS=never ${index:+UV_DEFAULT_INDEX="$index"} \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        /mnt/bin/uv pip install "$@"
    umount "$into/proc" "$into/dev" "$into/run/cache" "$into/mnt"
    rmdir "$into/run/cache"
    rm "$into/etc/resolv.conf"
}

# Under the lock: images and a layer may be built at the same time.
fetch_uv() {
    if [ ! -x "$tools/bin/uv" ]; then
        rm -rf "$tools" "$tools.new"
        python3 -m pip install --quiet --no-warn-script-location --target "$tools.new" "$UV"
        mv "$tools.new" "$tools"
    fi
    # The machine may trust others than it did when this was fetched.
    certificates=${PIP_CERT:-$(pip_says cert)}
    cp "${certificates:-/etc/ssl/certs/ca-certificates.crt}" "$tools/certificates.new"
    mv "$tools/certificates.new" "$tools/certificates"
}

# pip_says OPTION: what pip is configured to on this machine, if it is.
pip_says() { python3 -m pip config list | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -n 1; }

# Prometheus and its exporters, unpacked once for all images of them.
PROMETHEUS=$STATE/cache/prometheus

# prometheus_program NAME PLACE: Debian's program of that name, where the official image has it.
prometheus_program() {
    with_lock prometheus unpack_prometheus
    mkdir -p "$ROOT/$(dirname "$2")" "$ROOT/lib64"
    cp "$PROMETHEUS/usr/bin/$1" "$ROOT/$2"
    loader=usr/lib64/ld-linux-x86-64.so.2
    libraries=usr/lib/x86_64-linux-gnu
    cp -L "$PROMETHEUS/$loader" "$ROOT/lib64/"
    mkdir -p "$ROOT/$libraries"
    chroot "$PROMETHEUS" "/$loader" --library-path "/$libraries" --list "/usr/bin/$1" >"$WORK/libraries"
    sed -n "s|.* => /$libraries/\([^ ]*\) .*|\1|p" "$WORK/libraries" | while read -r library; do
        cp -L "$PROMETHEUS/$libraries/$library" "$ROOT/$libraries/"
    done
}

# Under the lock.
unpack_prometheus() {
    if [ ! -d "$PROMETHEUS" ]; then
        extract_packages trixie "$WORK/parts" \
            prometheus,prometheus-node-exporter,prometheus-postgres-exporter,prometheus-redis-exporter,prometheus-nginx-exporter
        rm -rf "$WORK/parts/usr/share/doc"
        mkdir -p "$STATE/cache"
        mv "$WORK/parts" "$PROMETHEUS"
    fi
}
