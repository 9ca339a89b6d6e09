# shellcheck shell=bash
# check WHAT COMMAND...: says whether the command succeeds; `bad` is 1 once one has not. For the benches' scripts, whose
# programs are not the command line's (cli_lib.sh).
# shellcheck disable=SC2034
bad=0
check() {
    local what=$1
    shift
    if "$@"; then echo "ok - $what"; else
        echo "not ok - $what"
        bad=1
    fi
}
