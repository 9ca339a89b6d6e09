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

for signal in INT TERM; do
    # Into a pipe, of which one line is read: what it does not hold has to wait, so that the run cannot come to its end
    # before the signal. A background job of a shell without job control ignores SIGINT: the program sets its own handler.
    mkfifo "pipe-$signal"
    "$WILOR" "${args[@]}" --npz "$signal.npz" >"pipe-$signal" 2>err &
    pid=$!
    exec 3<"pipe-$signal"
    read -r line <&3
    result $? "$signal: the run has begun"
    kill "-$signal" "$pid"
    { echo "$line" && cat <&3; } >out
    exec 3<&-
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
