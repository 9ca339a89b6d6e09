#!/usr/bin/env bash
# The whole program while one allocation after the other fails, inside shared libraries, too, and while each
# rename fails after everything was written well: no signal, one line that says it, no file but whole ones.
# FAIL_PRELOAD is fail_preload.c's library. WILOR_LONG=1 tries every allocation, else one in
# so many where there are thousands.
# shellcheck source=../cli/cli_lib.sh
. "${0%/*}/../cli/cli_lib.sh"
model
cd "$scratch" || exit 1
"$CLI_MAKE_PICTURE" a.png 96 80 1 && "$CLI_MAKE_PICTURE" b.png 96 80 2 || exit 1
jpeg=$CLI_DATA/pictures/sound/exif6.jpg webp=$CLI_DATA/pictures/sound/webp_lossy_33x17.webp
small=(predict "${weights[@]}" --threads 1 --bbox 2,2,30,30,right)
base=("${small[@]}" --include mano,vertices,xr26,gesture)
outputs=(-o made/events --npz made/arrays.npz --gltf made/scene.glb --obj made --overlay made)

# failing VARIABLE=VALUE... -- ARG...: the program with the library in front, into a fresh folder made/.
failing() {
    local settings=()
    while [ "$1" != -- ]; do settings+=("$1"); shift; done
    shift
    rm -rf made
    mkdir made
    timeout 60 env "${settings[@]}" LD_PRELOAD="$FAIL_PRELOAD" "$WILOR" "$@" >stdout 2>err </dev/null
    rc=$?
}

# Times differ from run to run, and nothing else does.
plain() { sed 's/"timing":{[^}]*}//g' "$1"; }

# whole: each file in made/ is that of one of the folders reference*/, with the same bytes.
whole() {
    local file name reference found
    for file in made/*; do
        [ -e "$file" ] || continue
        name=${file##*/}
        found=
        for reference in reference*/"$name"; do
            [ -e "$reference" ] || continue
            if [ "$name" = events ]; then
                [ "$(plain "$file")" = "$(plain "$reference")" ]
            else
                cmp -s "$file" "$reference"
            fi && found=1 && break
        done
        [ -n "$found" ] || { echo "# $file differs or should not be there"; return 1; }
    done
}

# references ARG...: what the program makes, also when one or both of a.png and b.png cannot be read.
references() {
    local keep=
    rm -rf reference*
    for keep in both a b none; do
        mkdir -p pictures
        mv a.png b.png pictures/
        for name in a b; do
            case $keep in both | "$name") cp pictures/$name.png . ;; *) echo none >$name.png ;; esac
        done
        failing -- "$@"
        cp -r made reference-$keep
        mv pictures/*.png .
    done
}

failing WILOR_FAIL_COUNT=count -- "${base[@]}" a.png b.png "${outputs[@]}"
[ -s count ] || skip_all "LD_PRELOAD does not work here"
is "nothing fails" 0
references "${base[@]}" a.png b.png "${outputs[@]}"
read -r allocations renames <count
[ "$renames" -ge 7 ]
result $? "$renames renames are seen"

# ---------------------------------------------------------------- rename

for n in $(seq 0 $((renames - 1))); do
    failing WILOR_FAIL_RENAME="$n" -- "${base[@]}" a.png b.png "${outputs[@]}"
    [ "$rc" -eq 1 ] && lines err 1 && grep -q "made/.*Permission denied" err && no_leftovers . && whole &&
        [ "$(find made -type f | wc -l)" -lt "$(find reference-both -type f | wc -l)" ]
    result $? "rename $n fails: $(head -c 120 err)"
done
# What was there before stays.
for option in -o --npz --gltf; do
    name=old$([ $option = --gltf ] && echo .glb)
    printf before >"$name"
    failing WILOR_FAIL_RENAME=0 -- "${base[@]}" a.png $option "$name"
    [ "$rc" -eq 1 ] && lines err 1 && [ "$(cat "$name")" = before ] && no_leftovers .
    result $? "$option: the old file stays"
done

# ---------------------------------------------------------------- allocations

# sweep WHAT STEP ARG...: allocations fail, alone and with all that follow.
sweep() {
    local what=$1 step=$2 bad=0 tried=0 failed=0 all n total
    shift 2
    failing WILOR_FAIL_COUNT=count -- "$@"
    [ "$rc" -eq 0 ] || { result 1 "$what: nothing fails"; return; }
    cp stdout stdout.before
    references "$@"
    read -r total _ <count
    [ "${WILOR_LONG:-0}" = 1 ] && step=1
    for all in 0 1; do
        for ((n = all; n < total; n += step)); do
            failing WILOR_FAIL_AT="$n" WILOR_FAIL_ALL=$all -- "$@"
            tried=$((tried + 1))
            case $rc in
            0) [ "$(plain stdout)" = "$(plain stdout.before)" ] && no_leftovers . && whole ;; # it did without
            1) failed=$((failed + 1)) && grep -q . err && no_leftovers . && whole ;;
            *) false ;;
            esac || {
                bad=$((bad + 1))
                [ $bad -le 5 ] && echo "# $what: allocation $n (and all after it: $all): exit $rc: $(head -c 200 err)"
            }
        done
    done
    [ $bad -eq 0 ] && [ $failed -gt $((tried / 2)) ]
    result $? "$what: $tried of $total allocations failed; $failed times the program did, $bad times wrongly"
}
sweep "all outputs" 97 "${base[@]}" a.png b.png "${outputs[@]}"
sweep "a JPEG" 4 "${small[@]}" "$jpeg"
sweep "a WebP" 4 "${small[@]}" "$webp"
sweep "a PNG and an overlay" 4 "${small[@]}" a.png --overlay made
printf '1 2 3 4 5 6 7 8 9 10\n' >betas.txt
sweep "betas" 7 "${small[@]}" a.png --betas betas.txt
run "${small[@]}" a.png --npz betas.npz
is "an npz that has betas" 0
sweep "betas of an npz" 7 "${small[@]}" a.png --betas betas.npz
sweep "info" 1 info "$CLI_DATA/hand-cc0.npz"

# ---------------------------------------------------------------- every hand failed

# Infinity as the first weight of the last norm: the network's numbers are no numbers.
poison() {
    local header at
    header=$(od -An -t u8 -N 8 "$1" | tr -d ' ')
    at=$(head -c $((8 + header)) "$1" | tail -c +9 | tr '{' '\n' | grep -A1 "\"$2\":\$" | tail -n 1 | sed -n 's/.*data_offsets":\[\([0-9]*\).*/\1/p')
    [ -n "$at" ] && printf '\0\0\200\177' | dd of="$1" bs=1 seek=$((8 + header + at)) conv=notrunc status=none
}
if [ -f tiny.safetensors ]; then
    cp tiny.safetensors broken.safetensors
    check "a model is poisoned" poison broken.safetensors backbone.last_norm.weight
    args=(predict --weights broken.safetensors --threads 1 --bbox 2,2,30,30,right --bbox 9,9,60,60,left a.png)
    run "${args[@]}" --expect-hands
    [ "$rc" -eq 3 ] && lines out 1 && lines err 2 && says "not finite"
    result $? "all hands failed: --expect-hands (exit 3)"
    rm -rf none
    run "${args[@]}" --obj none --gltf none.glb --npz none.npz --overlay none
    [ "$rc" -eq 0 ] && lines out 1 && [ -z "$(find none -name '*.obj')" ] && [ -s none.npz ] && [ -s none/a.overlay.png ]
    result $? "all hands failed: the outputs are made (exit 0)"
fi
finish
