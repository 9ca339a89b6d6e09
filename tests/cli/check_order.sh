#!/usr/bin/env bash
# Several pictures in flight: the output is that of one after the other, patterns, progress.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
model
cd "$scratch" || exit 1
mkdir many
for i in $(seq 10 59); do
    "$CLI_MAKE_PICTURE" "many/$i.png" $((60 + i % 7 * 20)) $((50 + i % 5 * 31)) "$i" || exit 1
done
"$CLI_MAKE_PICTURE" many/11-slow.png 1600 1200 7 || exit 1 # a straggler among the first
head -c 3000 many/20.png >many/20b.png
head -c 2000 many/57.png >many/99.png
# without the times, which differ
timeless() { sed -E 's/"timing":\{[^}]*\}//' "$1"; }
d=(predict "${weights[@]}" --detector random:micro --max-hands 2)

for lanes in 1 2 3 8 64; do
    run "${d[@]}" many none.png many/12.png --threads 2 --lanes $lanes --npz $lanes.npz --gltf $lanes.glb \
        --obj obj$lanes --overlay obj$lanes
    is "$lanes lanes" 1
    check "all good ones" "$CLI_CHECK" events out 52 104
    timeless out >$lanes.out
    cp err $lanes.err
    (cd obj$lanes && cat -- * | cksum && ls) >$lanes.files
done
check "one lane says what there is to say" lines 1.err 3
for lanes in 2 3 8 64; do
    for what in out err npz glb files; do
        check "$lanes lanes: the same $what as one" cmp 1.$what $lanes.$what
    done
done
run "${d[@]}" many --json --lanes 3 --threads 1
check "an array, too" "$CLI_CHECK" events out 51 102
run "${d[@]}" many
check "as many lanes as threads, without being told" test "$(grep -c source out)" -eq 51
check "in order" test "$(grep -o 'many/[^"]*' out)" = "$(grep -o 'many/[^"]*' out | sort)"

# What ends the run ends all lanes, and leaves nothing.
if [ -e /dev/full ]; then
    "$WILOR" "${d[@]}" many --lanes 4 --npz late.npz >/dev/full 2>err
    rc=$?
    is "a full disk with four lanes" 1
    check "one line" lines err 1
    check "no npz then" test ! -e late.npz
fi
check "no temporary files" no_leftovers .

# Patterns.
box=(--bbox 10,12,60,70,right)
b=(predict "${weights[@]}" --threads 1 "${box[@]}")
run "${b[@]}" 'many/1[0-3].png'
is "a pattern" 0
check "finds its files in order" test "$(grep -o 'many/[0-9]*' out | tr '\n' ' ')" = \
    "many/10 many/11 many/12 many/13 "
run "${b[@]}" 'many/12.pn?' --json
check "is a list even with one match" bash -c "head -c 1 out | grep -q '\['"
fails "a pattern without a file" 1 "'many/*.tiff': no file matches" "${b[@]}" 'many/*.tiff'
cp many/12.png 'a[1].png'
run "${b[@]}" 'a[1].png'
is "a file whose name is a pattern" 0
check "is that file" grep -q '"source":"a\[1\].png"' out
mkdir -p deep/x1 deep/x2 && cp many/12.png deep/x1 && cp many/13.png deep/x2
run "${b[@]}" 'deep/x*'
is "a pattern of folders" 0
check "takes what is in them" "$CLI_CHECK" events out 2 2

# Progress is for terminals.
check "no progress in a file" bash -c '! grep -q "pictures/s" 1.err'
if script -qec true /dev/null >/dev/null 2>&1; then
    cmd="'$WILOR' ${d[*]} many --threads 1 >shown.out"
    script -qec "$cmd" shown </dev/null >/dev/null
    check "a bar, the rates and the time left on one" grep -qE \
        '\[#+-+\] [0-9]+/53  [0-9.e+]+ pictures/s  [0-9.e+]+ hands/s  [0-9]+:[0-9]{2}:[0-9]{2} left' shown
    check "and away at the end" bash -c "tr '\r' '\n' <shown | tail -2 | grep -vq pictures/s"
    script -qec "$cmd --quiet" shown </dev/null >/dev/null
    check "not with --quiet" bash -c '! grep -q "pictures/s" shown'
else
    echo "# no script(1): the progress bar is not looked at"
fi
finish
