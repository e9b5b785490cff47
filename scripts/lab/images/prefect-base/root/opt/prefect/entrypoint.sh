#!/bin/bash
# The official image's contract: EXTRA_PIP_PACKAGES are installed first, and without a
# command there is a shell.
set -e

if [ -f ~/.bashrc ]; then
    # shellcheck source=/dev/null
    . ~/.bashrc
fi

if [ -n "$EXTRA_PIP_PACKAGES" ]; then
    echo "+uv pip install $EXTRA_PIP_PACKAGES"
    # A list of packages, one a word.
    # shellcheck disable=SC2086
    uv pip install --system $EXTRA_PIP_PACKAGES
fi

if [ $# = 0 ]; then
    exec bash --login
fi
exec "$@"
