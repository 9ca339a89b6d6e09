# shellcheck shell=bash disable=SC2034
# Shell functions of the command line's tests. Sourced by check_*.sh, which get in the environment:
#   WILOR           the program                     CLI_MAKE_PICTURE, CLI_CHECK   helper programs
#   CLI_SCRATCH     a folder for this script alone  CLI_DATA, CLI_FIXTURES        committed and other data
#   CLI_MAKE_MODEL  the maker of small test weights, or empty
# Output is TAP; a script ends with `finish`. A script that cannot run at all says why and exits with 77.
set -u
LC_ALL=C.UTF-8
export LC_ALL
unset WILOR_ISA
# Nothing here may ask a network, nor look into the tester's own caches.
export HF_HUB_OFFLINE=1 XDG_CACHE_HOME="$CLI_SCRATCH/cache"
export WILOR_NANO_DIR="$CLI_SCRATCH/no-nano"
unset WILOR_WEIGHTS HF_HOME HF_HUB_CACHE HUGGINGFACE_HUB_CACHE HF_ENDPOINT HF_TOKEN HUGGING_FACE_HUB_TOKEN

count=0
failures=0
rc=0

skip_all() {
    echo "1..0 # SKIP $*"
    exit 77
}

# result STATUS DESCRIPTION: one line of TAP, and what the program said if it failed.
result() {
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        failures=$((failures + 1))
        echo "not ok $count - $2"
        sed 's/^/#   stderr: /' "$scratch/err" 2>/dev/null | head -5
        head -c 300 "$scratch/out" 2>/dev/null | sed 's/^/#   stdout: /'
        echo "#   exit status $rc"
    fi
}

# run ARG...: the program, with its outputs in $scratch/out and $scratch/err and its status in $rc.
run() {
    "$WILOR" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    rc=$?
}

# is DESCRIPTION STATUS: the last run ended with that.
is() {
    [ "$rc" -eq "$2" ]
    result $? "$1 (exit $2)"
}

# check DESCRIPTION COMMAND...: the command succeeds.
check() {
    local what=$1
    shift
    "$@" >>"$scratch/err" 2>&1
    result $? "$what"
}

lines() { [ "$(wc -l <"$1")" -eq "$2" ]; }
empty() { [ ! -s "$1" ]; }
says() { grep -qF -e "$1" "$scratch/err"; }
no_leftovers() { [ -z "$(find "$1" -name '*.tmp' -print)" ]; }

# fails DESCRIPTION STATUS TEXT ARG...: that status, nothing on stdout, one line on stderr with TEXT.
fails() {
    local what=$1 status=$2 text=$3
    shift 3
    run "$@"
    [ "$rc" -eq "$status" ] && empty "$scratch/out" && lines "$scratch/err" 1 && says "$text"
    result $? "$what (exit $status)"
}

usage_error() {
    local text=$1
    shift
    fails "usage: ${*: -3}" 2 "$text" "$@"
}

finish() {
    echo "1..$count"
    [ "$failures" -eq 0 ]
    exit $?
}

# model: fills the array `weights` with options for a tiny model, or skips the script.
model() {
    if [ -n "${CLI_MAKE_MODEL:-}" ] && [ -f "$CLI_DATA/hand-cc0.npz" ]; then
        "$CLI_MAKE_MODEL" tiny "$CLI_DATA/hand-cc0.npz" "$scratch/tiny.safetensors" \
            >"$scratch/out" 2>"$scratch/err" || {
            cat "$scratch/err"
            exit 1
        }
        weights=(--weights "$scratch/tiny.safetensors")
    elif [ -f "$CLI_FIXTURES/tiny/wilor_tiny.ckpt" ]; then
        weights=(--weights "$CLI_FIXTURES/tiny/wilor_tiny.ckpt" --heads 4)
    else
        skip_all "no small model: neither the maker of test weights nor $CLI_FIXTURES"
    fi
}

scratch=$CLI_SCRATCH
rm -rf "$scratch"
mkdir -p "$scratch" || exit 1
