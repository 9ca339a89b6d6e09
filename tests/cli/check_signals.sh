#!/usr/bin/env bash
# Interrupts and closed pipes.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
model
cd "$scratch" || exit 1
mkdir many
"$CLI_MAKE_PICTURE" a.png 96 80 1 || exit 1
for i in $(seq 1000 3999); do ln -s ../a.png "many/$i.png"; done
args=(predict "${weights[@]}" --threads 1 many --bbox 10,12,60,70,right)

# until FILE: wait until it has a line, at most 60 s.
until_line() {
    for _ in $(seq 600); do
        [ -s "$1" ] && return 0
        sleep 0.1
    done
    return 1
}

for signal in INT TERM; do
    : >out
    # A background job of a shell without job control ignores SIGINT: the program sets its own handler.
    "$WILOR" "${args[@]}" --npz "$signal.npz" >out 2>err &
    pid=$!
    until_line out
    result $? "$signal: the run has begun"
    kill "-$signal" "$pid"
    wait "$pid"
    rc=$?
    is "SIG$signal" 130
    n=$(wc -l <out)
    [ "$n" -lt 3000 ]
    result $? "SIG$signal: it ended early, after $n pictures"
    check "SIG$signal: the events are whole" "$CLI_CHECK" events out "$n" "$n"
    check "SIG$signal: the npz has as many" "$CLI_CHECK" agree out "$signal.npz"
    check "SIG$signal: no temporary files" no_leftovers .
done

"$WILOR" "${args[@]}" --npz pipe.npz 2>err | head -n 1 >out
rc=${PIPESTATUS[0]}
is "a reader that goes away" 1
check "is not an error to talk about" empty err
check "got its line" "$CLI_CHECK" events out 1 1
check "and no npz is left" test ! -e pipe.npz
check "nor a temporary file" no_leftovers .
finish
