#!/usr/bin/env bash
# Looks for inputs that break the laws in tests/fuzz, guided by coverage, beginning with the corpus that is kept there.
#
#   tests/scripts/fuzz.sh                            every target for 10 seconds
#   tests/scripts/fuzz.sh --seconds 600 record sum   these two for 10 minutes each
#   tests/scripts/fuzz.sh --keep                     takes what was found so far into the corpus, minimised
#
#   --runs N   ends a target after so many inputs, instead of after a time: with a seed, the same inputs on every machine
#   --jobs N   how many run at once; as many as there are processors without it
#   --seed N   tries the same inputs in the same order each time; another order each time without it
#   --shared   takes libraries as the tests have built them: soon built, but only our own code has counters then, and
#              all of it is slower
#
# Needs a C++ compiler for libFuzzer, and nothing else: the coverage is put in by rustc itself. There is no sanitizer:
# our own code is safe by `forbid(unsafe_code)`, overflow checks and assertions are on, and a law that is broken panics.
set -euo pipefail
cd "$(dirname "$0")/../.."

all=(record fields ndjson request import queue keys sum plan)
seconds=10 runs=-1 seed=0 jobs=$(nproc) keep=no shared=no targets=()
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) seconds=$2; shift 2 ;;
        --runs) runs=$2 seconds=0; shift 2 ;;
        --jobs) jobs=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --keep) keep=yes; shift ;;
        --shared) shared=yes; shift ;;
        -*) echo "fuzz.sh: unknown option $1" >&2; exit 2 ;;
        *) targets+=("$1"); shift ;;
    esac
done
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")

kept=tests/fuzz/corpus
for target in "${targets[@]}"; do
    if ! compgen -G "$kept/$target/*" >/dev/null; then
        echo "fuzz.sh: $kept/$target is missing: without a corpus a short run shows nothing" >&2
        exit 1
    fi
done

# Flags of `cargo fuzz`, that stable Rust takes too. With a target named, build scripts and macros are built without them;
# otherwise a wrapper gives them to our own crates alone.
host=$(rustc -vV | sed -n 's/^host: //p')
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares"
work=${CARGO_TARGET_DIR:-target}/fuzzing
if [ $shared = yes ]; then
    # As a whole workspace, so that libraries have the features that they have in the tests.
    FUZZ_FLAGS=$(echo $flags) RUSTC_WORKSPACE_WRAPPER=$PWD/tests/scripts/with-counters.sh \
        cargo build --quiet --workspace --bin 'fuzz-*' --features tallyhouse-fuzz/libfuzzer
    binaries=${CARGO_TARGET_DIR:-target}/debug
else
    RUSTFLAGS=$(echo $flags) cargo build --quiet --package tallyhouse-fuzz --bins --features libfuzzer --profile fuzz \
        --target "$host" --target-dir "$work"
    binaries=$work/$host/fuzz
fi

# Runs one target, its output in a file.
fuzz() {
    local target=$1 log=$work/$1.log dictionary=tests/fuzz/dictionaries/$1.dict
    local options=(-seed="$seed" -max_total_time="$seconds" -runs="$runs" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1)
    [ ! -f "$dictionary" ] || options+=(-dict="$dictionary")
    # What is new goes into the first folder.
    mkdir -p "$work/corpus/$target" "$work/found"
    "$binaries/fuzz-$target" "${options[@]}" -artifact_prefix="$work/found/$target-" \
        "$work/corpus/$target" "$kept/$target" >"$log" 2>&1
}

# Takes the smallest set of inputs, of those that are kept and those that were found, that reaches the same code.
minimise() {
    local target=$1 fresh=$work/minimised/$1
    rm -rf "$fresh"
    mkdir -p "$fresh" "$work/corpus/$target"
    # By edges alone: how often each is passed would keep five times as many.
    "$binaries/fuzz-$target" -set_cover_merge=1 -use_counters=0 "$fresh" "$kept/$target" "$work/corpus/$target" >"$work/$target.log" 2>&1
    rm -rf "${kept:?}/$target"
    cp -r "$fresh" "$kept/$target"
}

# Says what a run did, from its own words.
report() {
    local target=$1 log=$work/$1.log
    local counters executed edges inputs
    counters=$(sed -n 's/^INFO: Loaded .*(\([0-9]*\) inline 8-bit counters).*/\1/p' "$log" | head -1)
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    inputs=$(sed -n 's|.* corp: \([0-9]*\)/.*|\1|p' "$log" | tail -1)
    if [ "${counters:-0}" -lt 1000 ]; then
        echo "fuzz.sh: $target was built without coverage counters" >&2
        return 1
    fi
    printf '%-8s %10s inputs tried  %7s of %7s edges reached  %5s inputs kept\n' \
        "$target" "${executed:-?}" "${edges:-?}" "$counters" "${inputs:-?}"
}

if [ $keep = yes ]; then
    for target in "${targets[@]}"; do
        minimise "$target"
        echo "$target: $(ls "$kept/$target" | wc -l) inputs, $(du -sb "$kept/$target" | cut -f1) bytes"
    done
    exit
fi

declare -A running=()
failed=no
# Waits until one of those under way is over.
settle() {
    local pid code=0
    wait -n -p pid "${!running[@]}" || code=$?
    local target=${running[$pid]}
    unset "running[$pid]"
    if [ $code -ne 0 ]; then
        failed=yes
        echo "fuzz.sh: $target broke a law; what it was given is in $work/found" >&2
        grep -v '^#' "$work/$target.log" | tail -40 >&2
    fi
    report "$target" || failed=yes
}
for target in "${targets[@]}"; do
    [ ${#running[@]} -lt "$jobs" ] || settle
    fuzz "$target" &
    running[$!]=$target
done
while [ ${#running[@]} -gt 0 ]; do settle; done
[ $failed = no ]
