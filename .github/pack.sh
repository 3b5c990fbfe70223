#!/usr/bin/env bash
# Packs a binary with its documents: .github/pack.sh target/release/tallyhouse NAME  makes NAME.tar.gz and its checksum.
set -euo pipefail
binary=$(realpath "$1") name=$2
mkdir -p "$name/completions" "$name/man"
cp "$binary" "$name/tallyhouse"
# The README and docs/ link to the rest.
git ls-files README.md CHANGELOG.md 'LICENSE-*' docs deploy examples core/pipeline/examples/embed.rs tests/data/README.md |
    xargs cp --parents -t "$name"
for shell in bash fish; do "$binary" completions $shell >"$name/completions/tallyhouse.$shell"; done
# By this name zsh finds it in a folder of its fpath.
"$binary" completions zsh >"$name/completions/_tallyhouse"
"$binary" man "$name/man"
tar czf "$name.tar.gz" --owner=0 --group=0 "$name"
sha256sum "$name.tar.gz" >"$name.tar.gz.sha256"
