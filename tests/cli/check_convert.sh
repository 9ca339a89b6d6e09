#!/usr/bin/env bash
# wilor convert and wilor verify: files of every layout and type from synthetic weights, what info and
# predict say of them, refusals, interruption, full disks.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
cd "$scratch" || exit 1

for to in safetensors mlx; do
    for dtype in f32 f16 bf16 int8 int4; do
        run convert random:tiny "$to-$dtype.st" --to "$to" --dtype "$dtype"
        is "convert to $to $dtype" 0
        check "nothing is said" empty out
        run verify "$to-$dtype.st"
        is "verify $to $dtype" 0
        check "sound" grep -qx sound out
        check "its hash, too" grep -qx 'hash: as the metadata says' out
        run info "$to-$dtype.st"
        check "heads are known" grep -qx 'heads       4' out
        "$WILOR" info "$to-$dtype.st" --json >out && "$CLI_CHECK" json out
        result $? "info's JSON"
    done
done
check "no leftovers" no_leftovers .
run info mlx-f32.st
check "kind of --to mlx" grep -qx 'kind        wilor-mlx' out
run info safetensors-f32.st
check "kind of --to safetensors" grep -qx 'kind        wilor checkpoint' out
check "its label" grep -q "^label       'synthetic" out
run info safetensors-int4.st
check "int4" grep -qx 'quantised   4 bits, affine groups of 64' out
run info safetensors-int8.st
check "int8" grep -qx 'quantised   8 bits, a scale a row' out
run info mlx-int8.st
check "int8 for MLX" grep -qx 'quantised   8 bits, affine groups of 64' out

# There and back; over itself; the same bytes every time.
run convert safetensors-f32.st a.st --to mlx
run convert a.st b.st --to safetensors
run convert b.st b.st --to safetensors
is "over its own source" 0
run verify b.st
is "which is sound" 0
tail -c 900000 b.st >b.tail
tail -c 900000 safetensors-f32.st >f.tail
check "the numbers are those of the start" cmp b.tail f.tail
run convert random:tiny again.st --to mlx --dtype int4
check "the same twice" cmp again.st mlx-int4.st
run convert --to=mlx --dtype=int4 --group-size=32 random:tiny g32.st
run info g32.st --json
check "groups of 32" grep -q '"group_size": 32' out

# Files with float weights run.
if [ -f "$CLI_DATA/hand-cc0.npz" ] && "$CLI_MAKE_PICTURE" a.png 96 80 1; then
    box=(--mano "$CLI_DATA/hand-cc0.npz" --bbox 10,12,60,70,right --threads 1 a.png)
    # Its times and its name for the weights aside.
    pose() { "$WILOR" predict --weights "$1" "${box[@]}" 2>err | grep -o '"kp3d".*' | sed 's/"ms".*//'; }
    pose random:tiny >want
    check "there is a result" test -s want
    pose safetensors-f32.st >got
    check "float32 gives the very numbers of its source" cmp got want
    for file in safetensors-f16 safetensors-int8 safetensors-int4 mlx-f32 mlx-bf16 mlx-int4; do # beside wilor-mlx's files the hand's mean pose wins
        pose $file.st >got
        check "$file runs" test -s got
    done
fi

# Faults.
cp mlx-int4.st bad.st
printf '\377' | dd of=bad.st bs=1 seek=300000 conv=notrunc 2>/dev/null
run verify bad.st
is "verify a changed byte" 1
check "says so" says 'SHA-256'
head -c 300000 mlx-int4.st >cut.st
run verify cut.st
is "verify a cut file" 1
run verify nowhere.st
is "verify no file" 1
run verify --quiet mlx-f32.st
check "quiet: nothing" empty out

# Refusals.
usage_error "--dtype is not for --to packed" convert a.st c.st --to packed --dtype f16
usage_error "--with-mano is not for --to packed" convert a.st c.st --to packed --with-mano
usage_error "--mano is for --to packed" convert a.st c.st --to mlx --mano h.npz
usage_error "safetensors, mlx or packed" convert a.st c.st
usage_error "safetensors, mlx or packed" convert a.st c.st --to npz
usage_error "f32, f16" convert a.st c.st --to mlx --dtype f8
usage_error "32, 64 or 128" convert a.st c.st --to mlx --dtype int4 --group-size 48
usage_error "group-size is for" convert a.st c.st --to mlx --dtype f16 --group-size 64
usage_error "group-size is for" convert a.st c.st --to safetensors --dtype int8 --group-size 64
usage_error "mano.npz" convert a.st c.st --to mlx --with-mano
usage_error "a source and a target" convert a.st --to mlx
usage_error "third name" convert a.st b.st c.st --to mlx
usage_error "no file given" verify
usage_error "one file at a time" verify a.st b.st
fails "no hand to take along" 4 "hand model" convert a.st c.st --to safetensors --with-mano
fails "groups that do not divide" 1 "do not divide" convert a.st c.st --to mlx --dtype int4 --group-size 128
fails "a hand is not the network" 1 "only WiLoR's network" convert "$CLI_DATA/hand-cc0.npz" c.st --to mlx
fails "no source" 1 nowhere convert nowhere.st c.st --to mlx
fails "no such folder" 1 "nowhere/c.st" convert a.st nowhere/c.st --to mlx
fails "a full disk" 1 "No space left" convert a.st /dev/full --to mlx
ln -s linked.st link.st
: >linked.st
run convert a.st link.st --to mlx
check "a link stays, what it leads to is replaced" test -L link.st -a -s linked.st
"$WILOR" convert a.st /dev/stdout --to mlx 2>err | cat >/dev/null
rc=${PIPESTATUS[0]}
is "a pipe cannot be rewound" 1
check "says so" says 'Illegal seek'
check "and none of them left a file" test ! -e c.st
check "no leftovers" no_leftovers .

# Interrupted: the old file stays, no other does. A run that was done before this script came to look is repeated.
for _ in 1 2 3; do
    cp mlx-f32.st kept.st
    "$WILOR" convert random:full kept.st --to mlx 2>err >out &
    job=$!
    until [ -n "$(find . -name '*.tmp')" ] || ! kill -0 $job 2>/dev/null; do sleep 0.05; done
    kill -INT $job 2>/dev/null
    wait $job
    rc=$?
    [ $rc -eq 0 ] || break
done
is "interrupted" 130
check "the old file stays" cmp kept.st mlx-f32.st
check "no leftovers" no_leftovers .
finish
