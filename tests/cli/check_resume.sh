#!/usr/bin/env bash
# --resume: kill, go on, and have what an uninterrupted run gives.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
model
cd "$scratch" || exit 1
mkdir many
"$CLI_MAKE_PICTURE" a.png 96 80 1 && "$CLI_MAKE_PICTURE" b.png 70 90 2 || exit 1
for i in $(seq 1000 1299); do ln -s ../a.png "many/$i.png"; done
box=(--bbox 10,12,60,70,right)
r=(predict "${weights[@]}" --threads 2 "${box[@]}" --quiet)
timeless() { sed -E 's/"timing":\{[^}]*\}//' "$1"; }
same() { cmp <(timeless "$1") <(timeless "$2"); }

# killed FILE.part LINES ARG...: a run that is killed when the file has so many lines, or before it is there. One that
# was done before this script came to look is set back to these lines, and the next one killed.
killed() {
    local file=$1 lines=$2 pid status
    shift 2
    for _ in $(seq 10); do
        "$WILOR" "$@" >out 2>err </dev/null &
        pid=$!
        for _ in $(seq 6000); do
            [ "$lines" -eq 0 ] && break
            [ "$(wc -l 2>/dev/null <"$file")" -ge "$lines" ] 2>/dev/null && break
            kill -0 $pid 2>/dev/null || break
            sleep 0.01
        done
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
        status=$?
        [ $status -eq 0 ] || break
        head -n "$lines" "${file%.part}" >"$file"
        rm "${file%.part}"
    done
    [ $status -eq 137 ]
}

run "${r[@]}" many -o whole.ndjson
is "a run without --resume" 0
check "has all" "$CLI_CHECK" events whole.ndjson 300 300
run "${r[@]}" many -o plain.ndjson --resume
is "one with it" 0
check "gives the same" same whole.ndjson plain.ndjson
check "and leaves no .part" test ! -e plain.ndjson.part

for at in 0 1 50 250; do
    rm -f k.ndjson k.ndjson.part
    killed k.ndjson.part $at "${r[@]}" many -o k.ndjson --resume
    result $? "killed after $at lines"
    check "nothing under its name" test ! -e k.ndjson
    had=$(wc -l 2>/dev/null <k.ndjson.part || echo 0)
    run "${r[@]}" many -o k.ndjson --resume
    is "resumed behind $had" 0
    check "is what an uninterrupted run gives" same whole.ndjson k.ndjson
    check "and leaves no .part" test ! -e k.ndjson.part
done
rm -f k.ndjson
for at in 40 110 190 260; do
    killed k.ndjson.part $at "${r[@]}" many -o k.ndjson --resume --lanes 5
    result $? "killed again, after $at lines"
done
run "${r[@]}" many -o k.ndjson --resume
is "resumed at last" 0
check "is what an uninterrupted run gives" same whole.ndjson k.ndjson

# A line that was cut, at every kind of place.
size=$(head -n 40 whole.ndjson | wc -c)
for cut in 1 2 40 200 600; do
    rm -f k.ndjson
    head -c $((size - cut)) whole.ndjson >k.ndjson.part
    run "${r[@]}" many -o k.ndjson --resume
    is "a last line without its last $cut bytes" 0
    check "is done again" same whole.ndjson k.ndjson
done
rm -f k.ndjson
{ head -n 40 whole.ndjson; head -c 700 /dev/zero; echo; } >k.ndjson.part
run "${r[@]}" many -o k.ndjson --resume
is "zeros where the last line was to be" 0
check "are cut off" same whole.ndjson k.ndjson
rm -f k.ndjson
: >k.ndjson.part
run "${r[@]}" many -o k.ndjson --resume
check "an empty file" same whole.ndjson k.ndjson

# What is no event is not touched.
for what in text '{"v":1,"type":"hands","source":7}' '{"v":1,"type":"hands","source":"x'; do
    { head -n 3 whole.ndjson; echo "$what"; head -n 3 whole.ndjson; } >alien.part
    cp alien.part alien.copy
    fails "a line $what" 1 "'alien.part': line 4 is no event" "${r[@]}" many -o alien --resume
    check "is left alone" cmp alien.part alien.copy
done
mkdir folder.part
fails "a .part that is a folder" 1 "'folder.part'" "${r[@]}" many -o folder --resume
fails "a device" 1 "'/dev/null'" "${r[@]}" many -o /dev/null --resume
fails "a file in no folder" 1 "none/x" "${r[@]}" many -o none/x --resume

# A file that is complete.
cp k.ndjson before
run predict "${weights[@]}" "${box[@]}" many -o k.ndjson --resume
is "nothing left to do" 0
check "is said" says "300 of 300 pictures are done"
check "the file is as it was" cmp k.ndjson before
check "and no .part" test ! -e k.ndjson.part
for i in 0999 1300 1301; do ln -s ../b.png "many/$i.png"; done
run "${r[@]}" many -o k.ndjson --resume
is "three new pictures" 0
check "come behind the old ones" test "$(tail -n 3 k.ndjson | grep -o 'many/[0-9]*' | tr '\n' ' ')" = \
    "many/0999 many/1300 many/1301 "
check "which are as they were" cmp <(head -n 300 k.ndjson) before
cp k.ndjson k.ndjson.part && sleep 0.02 && touch k.ndjson
fails "a .part older than the file" 1 "'k.ndjson' is newer than 'k.ndjson.part'" "${r[@]}" many a.png -o k.ndjson --resume
rm -f k.ndjson.part

# Pictures that failed are tried again.
mkdir few
cp a.png few/1.png && cp a.png few/3.png && head -c 300 a.png >few/2.png
run "${r[@]}" few -o f.ndjson --resume
is "a picture that fails" 1
check "the others are there" "$CLI_CHECK" events f.ndjson 2 2
run "${r[@]}" few -o f.ndjson --resume
is "still fails" 1
cp a.png few/2.png
run "${r[@]}" few -o f.ndjson --resume --lanes 2
is "is done when it can be read" 0
check "once" test "$(grep -o 'few/[0-9]' f.ndjson | tr '\n' ' ')" = "few/1 few/3 few/2 "

# The same picture twice, and names that are not UTF-8.
cp a.png $'bad\xff.png' && cp a.png $'bad\xfe.png'
run "${r[@]}" a.png b.png a.png $'bad\xff.png' $'bad\xfe.png' -o twice --resume
is "a picture given twice, and names that read alike" 0
check "has all its events" "$CLI_CHECK" events twice 5 5
head -n 2 twice >twice.part && rm -f twice
run "${r[@]}" a.png b.png a.png $'bad\xff.png' $'bad\xfe.png' -o twice --resume
check "also when resumed" "$CLI_CHECK" events twice 5 5

# Interrupted by hand; and two runs at once.
for _ in $(seq 10); do # until one is stopped before it is done
    rm -f i.ndjson
    "$WILOR" "${r[@]}" many -o i.ndjson --resume >out 2>err </dev/null &
    pid=$!
    for _ in $(seq 6000); do
        [ -s i.ndjson.part ] && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.01
    done
    kill -STOP $pid 2>/dev/null
    [ "$(wc -l 2>/dev/null <i.ndjson.part)" -lt 300 ] 2>/dev/null && break
    kill -CONT $pid 2>/dev/null
    wait $pid
done
fails "another run at work" 1 "'i.ndjson.part': another run is at work on it" "${r[@]}" many -o i.ndjson --resume
kill -INT $pid
kill -CONT $pid
wait $pid
rc=$?
is "SIGINT" 130
check "leaves a .part" test -s i.ndjson.part -a ! -e i.ndjson
check "of whole lines" "$CLI_CHECK" events i.ndjson.part "$(wc -l <i.ndjson.part)" "$(wc -l <i.ndjson.part)"
run "${r[@]}" many -o i.ndjson --resume --obj meshes
is "resumed" 0
check "is complete" "$CLI_CHECK" events i.ndjson 303 303
run "${r[@]}" --expect-hands many -o i.ndjson --resume
is "--expect-hands counts what was done before" 0
check "no temporary files" no_leftovers .
finish
