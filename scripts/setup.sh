#!/bin/sh
# Sets up what Windlass needs on this machine: first says what, then does it. Installs only what is missing.
#   scripts/setup.sh run    what `make demo` needs
#   scripts/setup.sh test   that, and what the tests use
#   scripts/setup.sh bench  that, and what the benchmark uses
set -eu
cd "$(dirname "$0")/.."
mode=${1:-run}

say() { printf '%s\n' "windlass set-up: $*"; }
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }
docker_answers() { have docker && docker info --format '{{.ServerVersion}}' >/dev/null 2>&1; }

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11; do
        if have "$candidate" && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

# --- the distribution's packages -----------------------------------------------------------------------------
packages=''
want() { packages="$packages $*"; }
python=$(find_python)
if [ -z "$python" ]; then
    want python3 python3-venv
elif ! [ -x .venv/bin/python ] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    want python3-venv
fi
[ -e /etc/ssl/certs/ca-certificates.crt ] || [ "$(uname)" = Darwin ] || want ca-certificates
have git || want git
have haproxy || want haproxy
if [ "$(uname)" = Linux ]; then
    have bwrap || want bubblewrap
    have ip || want iproute2
    have ps || want procps
    if ! docker_answers; then
        have podman || want podman
        have runc || want runc
        [ -x /usr/lib/podman/netavark ] || [ -x /usr/libexec/podman/netavark ] || want netavark
        [ -x /usr/lib/podman/aardvark-dns ] || [ -x /usr/libexec/podman/aardvark-dns ] || want aardvark-dns
        have iptables || want iptables
    fi
    have mmdebstrap || want mmdebstrap
fi
if [ "$mode" = bench ]; then
    have wrk || want wrk
    have cc || want gcc libc6-dev
    if [ -n "${PEERS:-}" ]; then
        have rsync || want rsync
        have npm || want npm
    fi
fi
if [ "$mode" != run ]; then
    have kubectl || want kubernetes-client
    have skopeo || want skopeo
    have dockerd || want docker.io
    have chromium || have google-chrome || have chromium-browser || want chromium
    have node || want nodejs
    have curl || want curl
    # The driver of the browser's tests is linked to it.
    if have dpkg-query && ! dpkg-query -s libatomic1 >/dev/null 2>&1; then want libatomic1; fi
fi

if [ -n "$packages" ]; then
    sudo=''
    if [ "$(id -u)" != 0 ]; then sudo='sudo -n'; fi
    install="apt-get install -y --no-install-recommends$packages"
    if ! have apt-get; then
        say "missing here:$packages"
        say "install them with this machine's package manager (on macOS: brew install haproxy git), then run this again"
        exit 1
    fi
    if [ -n "$sudo" ] && ! { have sudo && sudo -n true 2>/dev/null; }; then
        say "these packages are missing and installing them needs root. Run this, then start again:"
        printf '    sudo apt-get update && sudo %s\n' "$install"
        exit 1
    fi
    say "installing from the distribution:$packages"
    log=$(mktemp)
    if ! { $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
           $sudo env DEBIAN_FRONTEND=noninteractive $install -q; } >"$log" 2>&1; then
        tail -n 20 "$log"
        say "apt-get failed; its whole output is in $log"
        exit 1
    fi
    rm -f "$log"
    python=$(find_python)
fi
if [ -z "$python" ]; then
    say "no Python 3.11 or newer: install one and run this again"
    exit 1
fi

# --- the Python packages, by hash ----------------------------------------------------------------------------
requirements=requirements.txt
if [ "$mode" != run ]; then requirements=requirements-dev.txt; fi
stamp=".venv/.windlass-$mode"
wanted=$(cat requirements.txt "$requirements" pyproject.toml | cksum)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
    say "installing Python packages into .venv (from $requirements, by hash)"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    if ! [ -x .venv/bin/uv ]; then
        # uv first, by its own hashes: it installs the rest several times faster than pip.
        awk '/^uv==/ {on = 1} on {print} on && !/\\$/ {exit}' requirements.txt >.venv/uv.txt
        .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.txt
    fi
    if ! UV_NATIVE_TLS=true UV_SYSTEM_CERTS=true VIRTUAL_ENV=.venv .venv/bin/uv pip install -q --require-hashes \
        -r "$requirements" 2>.venv/uv.log; then
        # A machine whose index is configured for pip only.
        .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
        .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$requirements"
    fi
    VIRTUAL_ENV=.venv .venv/bin/uv pip install -q --no-deps --no-build-isolation --offline -e .
    PYTHONDONTWRITEBYTECODE='' .venv/bin/python -m compileall -q .venv/lib src >/dev/null 2>&1 || true
    printf '%s' "$wanted" >"$stamp"
fi
