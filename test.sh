#!/usr/bin/env bash
# Passes all tests. Installs the servers that they start by themselves, where they are missing: PostgreSQL, Redis and
# Prometheus (only the programs are needed; nothing is configured, and no server that runs already is touched), Chromium with
# its driver for the dashboard, and a C++ compiler for libFuzzer.
#
#   ./test.sh             everything
#   ./test.sh flights     the tests whose names contain "flights"
set -euo pipefail
cd "$(dirname "$0")"

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
command -v python3 >/dev/null || missing+=(python3)
command -v openssl >/dev/null || missing+=(openssl)
command -v c++ >/dev/null || missing+=(g++)
command -v prometheus >/dev/null && command -v promtool >/dev/null || missing+=(prometheus)
command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        echo "test.sh: please install these first, with initdb and redis-server on the PATH: ${missing[*]}" >&2
        echo "  Fedora: dnf install postgresql-server redis python3 chromium chromedriver" >&2
        echo "  macOS: brew install postgresql redis python chromedriver, and Chrome" >&2
        exit 2
    fi
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    echo "test.sh: installing ${missing[*]}" >&2
    "${as_root[@]}" apt-get update -qq
    # On Debian, installing a server starts it, too: the tests have no use for that one.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# The suite runs the real binary.
cargo build --workspace --bins
cargo test --workspace --doc --quiet
# A short look for inputs that break a law, at the same ones each time, so that a change is not blamed for what a lucky
# throw finds. `tests/scripts/fuzz.sh --seconds 600` looks for longer and elsewhere.
[ $# -gt 0 ] || tests/scripts/fuzz.sh --shared --runs 10000 --seed 1
# Last, so that the run ends with the summary of the largest part.
cargo test --workspace --lib --bins --tests -- "$@"
