#!/usr/bin/env bash
# check_completions.sh WILOR FOLDER: the completions of bash, zsh and fish are run as the shells run them. What
# they offer is what `wilor COMMAND --help` says, and every value they offer is one that the program takes.
# Shells that are not there are left out; without any of them: 77.
set -u
wilor=$1 folder=$2
PATH=$(cd "$(dirname "$wilor")" && pwd):$PATH
bad=0 ran=
check() { # what, wanted, got
    if [ "$2" = "$3" ]; then echo "ok - $1"; else
        echo "not ok - $1"
        diff <(echo "$2") <(echo "$3") | sed 's/^/#   /' | head -n 12
        bad=1
    fi
}
sorted() { tr ' ' '\n' | sed '/^$/d' | LC_ALL=C sort -u; }
options=$(wilor predict --help | sed -n 's/^  \(--[-a-z]*\).*/\1/p' | sorted)
[ "$(echo "$options" | wc -l)" -ge 20 ] || { echo "not ok - wilor predict --help lists few options"; exit 1; }

# Each prints what is offered behind the words given, the last of which is being typed.
offer_bash() {
    # shellcheck disable=SC2016
    bash -c '. "$0"/wilor.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wilor 2>/dev/null; printf "%s\n" "${COMPREPLY[@]}"' \
        "$folder" "$@"
}
# As compsys calls it; what it would add is printed instead.
offer_zsh() {
    # shellcheck disable=SC2016
    zsh -f -c 'compadd() { while [[ $1 == -* && $1 != --* ]] shift; [[ $1 == -- ]] && shift; print -l -- "$@" }
        _files() { print FILES }
        words=("$@"); CURRENT=$#; file=$0/wilor.zsh; eval "wilor_completion() { $(<$file) }"; wilor_completion' "$folder" "$@"
}
offer_fish() {
    local line
    line=$(printf '%s ' "$@")
    # shellcheck disable=SC2016
    fish --no-config -c 'source $argv[1]/wilor.fish; complete -C $argv[2]' "$folder" "${line% }" | cut -f 1
}

for shell in bash zsh fish; do
    command -v $shell >/dev/null || { echo "# no $shell"; continue; }
    ran=1
    check "$shell: commands" "$(printf '%s\n' predict info | sorted)" \
        "$(offer_$shell wilor '' | sorted | grep -Fx -e predict -e info)"
    check "$shell: options" "$options" "$(offer_$shell wilor predict -- | sorted | grep -Fx -e "$options")"
    check "$shell: options behind a prefix" "$(echo "$options" | grep '^--mi')" \
        "$(offer_$shell wilor predict --mi | sorted | grep '^--mi')"
    for option in --side --compat --warp --device --dtype --include; do
        values=$(offer_$shell wilor predict $option '' | sorted)
        refused=
        [ "$(echo "$values" | wc -w)" -ge 2 ] || refused="too few are offered"
        for value in $values; do
            # Without a picture it is a wrong call in any case; it must not be wrong for this option.
            wilor predict $option "$value" 2>&1 </dev/null | grep -q -e "$option" && refused="$refused $value"
        done
        check "$shell: values of $option" "" "$refused"
    done
done
[ -n "$ran" ] || { echo "skipped: no bash, zsh or fish"; exit 77; }
exit $bad
