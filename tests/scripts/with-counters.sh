#!/usr/bin/env bash
# A wrapper round rustc for `fuzz.sh --shared`: cargo calls it for the crates of this workspace alone. What runs while others
# are built (build scripts, macros) is compiled as ever: there is no fuzzer in it.
set -euo pipefail
case " $* " in
    *" --crate-name build_script_"* | *" --crate-type proc-macro "*) exec "$@" ;;
    *" --crate-name "*) exec "$@" $FUZZ_FLAGS ;;
    *) exec "$@" ;;
esac
