#!/usr/bin/env bash
# wilor predict with a hand detector: its options, boxes and detector mixed, no hand, odd pictures, bad
# files. The detector is a small one by formula; what is upstream's in its numbers, the golden tests
# check.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
model
cd "$scratch" || exit 1
"$CLI_MAKE_PICTURE" a.png 96 80 1 && "$CLI_MAKE_PICTURE" b.png 170 90 2 || exit 1
d=(predict "${weights[@]}" --threads 1 --detector random:micro)
box=(--bbox 10,12,60,70,right)
number() { "$CLI_CHECK" print "$1" "$2"; }
differ() { ! "$CLI_CHECK" same "$1" "$2" 0; }

run "${d[@]}" a.png b.png --max-hands 3 --npz d.npz --include det,mano,xr26
is "two pictures" 0
check "three hands each" "$CLI_CHECK" events out 2 6
check "events and npz agree, points of the detector and fit_px too" "$CLI_CHECK" agree out d.npz
check "all were detected" test "$(number d.npz detected)" = "1 1 1 1 1 1"
check "the detector's time is told" grep -q '"timing":{"decode":[0-9]*,"detect":[1-9]' out
check "nothing on stderr" empty err
cp out d.ndjson
run "${d[@]}" a.png b.png --max-hands 3 --include mano --npz e.npz
check "--include without det has no points of the detector" bash -c '! grep -q kp2d_det out'
check "but how well they fit" grep -q fit_px out
check "and the same arrays" "$CLI_CHECK" same d.npz e.npz 0

run "${d[@]}" a.png --max-hands 1 --npz one.npz
check "--max-hands 1 is the best" test "$(number one.npz score)" = "$(number d.npz score | cut -d' ' -f1)"
run "${d[@]}" a.png --npz all.npz --max-hands 0
check "--max-hands 0 is more" test "$(number all.npz score | wc -w)" -gt 3
all=$(number all.npz score | wc -w)
check "the best first" bash -c "number() { '$CLI_CHECK' print all.npz score | tr ' ' '\n' | grep .; }
    [ \"\$(number)\" = \"\$(number | sort -rg)\" ]"
middle=$(number all.npz score | cut -d' ' -f$((all / 2)))
run "${d[@]}" a.png --npz conf.npz --conf "$middle"
n=$(number conf.npz score | wc -w)
check "--conf keeps what scores above" test "$n" -gt 0 -a "$n" -lt $((all / 2 + 1))
run "${d[@]}" a.png --npz iou.npz --iou 0.1
n=$(number iou.npz score | wc -w)
check "--iou 0.1 keeps fewer" test "$n" -gt 0 -a "$n" -lt "$all"
run "${d[@]}" a.png --npz size.npz --max-hands 3 --imgsz 64
check "--imgsz changes what is seen" differ one.npz size.npz
run "${d[@]}" a.png --npz profile.npz --max-hands 1 --detector-profile 8.4.190
check "--detector-profile 8.4.190 does not round" test "$(number profile.npz bbox)" != "$(number one.npz bbox)"
check "8.1.34 does" bash -c "! echo '$(number one.npz bbox)' | grep -q '\.'"
for side in left right; do
    run "${d[@]}" a.png --max-hands 4 --side $side --npz side.npz
    want=$([ $side = left ] && echo "0 0 0 0" || echo "1 1 1 1")
    check "--side $side forces them" test "$(number side.npz is_right)" = "$want"
done
run "${d[@]}" a.png --max-hands 4 --mirrored --npz mirrored.npz
is "--mirrored" 0

run "${d[@]}" a.png "${box[@]}" --npz boxes.npz
is "a box" 0
check "skips the detector" "$CLI_CHECK" events out 1 1
check "says so" test "$(number boxes.npz detected)" = 0
check "does not tell its time" bash -c '! grep -q "detect\":" out'
run predict "${weights[@]}" --threads 1 a.png "${box[@]}" --detector text.pt
is "the detector is not even opened then" 0
run "${d[@]}" a.png "${box[@]}" --detect --max-hands 3 --npz both.npz
is "--detect adds its hands" 0
check "one and three" "$CLI_CHECK" events out 1 4
check "the box first" test "$(number both.npz detected)" = "0 1 1 1"
check "agree" "$CLI_CHECK" agree out both.npz
run "${d[@]}" a.png "${box[@]}" --detect --side left --max-hands 1 --npz both.npz
check "--side forces both" test "$(number both.npz is_right)" = "0 0"

for compat in wilor mlx; do
    run "${d[@]}" a.png --max-hands 3 --compat $compat --npz $compat.npz
    is "--compat $compat" 0
    check "has its own numbers" differ one.npz $compat.npz
done
run "${d[@]}" a.png --max-hands 1 --npz mini.npz --compat mini
check "--compat mini is the default" "$CLI_CHECK" same mini.npz one.npz 0

# No hand is a result.
run "${d[@]}" a.png --conf 1 --npz none.npz --obj none --overlay none
is "no hand" 0
check "is an event" "$CLI_CHECK" events out 1 0
check "with an empty list" grep -q '"hands":\[\]}$' out
check "a word on stderr" grep -qx "wilor: no hand found" err
check "an overlay without hands" test -f none/a.overlay.png -a "$(find none -name '*.obj' | wc -l)" -eq 0
check "arrays without hands" "$CLI_CHECK" agree out none.npz
run "${d[@]}" a.png b.png --conf 1 --expect-hands
is "--expect-hands" 3
check "says in how many" grep -qx "wilor: no hand found in 2 of 2 pictures" err
run "${d[@]}" a.png b.png --conf 1 --quiet
check "--quiet says nothing" empty err

# Pictures at the ends of what there is.
"$CLI_MAKE_PICTURE" dot.png 1 1 1 && "$CLI_MAKE_PICTURE" line.png 3000 1 1 && "$CLI_MAKE_PICTURE" column.png 2 900 1
for odd in dot.png line.png column.png; do
    run "${d[@]}" $odd --max-hands 2
    { [ "$rc" -eq 0 ] && [ "$(wc -l <out)" -eq 1 ]; } ||
        { [ "$rc" -eq 1 ] && empty out && lines err 1 && says "$odd"; }
    result $? "$odd works or is refused with its name (exit $rc)"
done
grey=$CLI_DATA/pictures/sound/png_c0_8_33x17.png
[ -f "$grey" ] || grey=$(find "$CLI_DATA/pictures" -name 'png_c0_8*.png' | head -1)
run "${d[@]}" "$grey" --max-hands 2
is "a grey picture" 0
check "is an event" "$CLI_CHECK" events out 1 2
"$CLI_MAKE_PICTURE" large.jpg 12000 9000 3 || exit 1
run "${d[@]}" large.jpg --max-hands 2
is "12000 x 9000" 0
check "is an event" "$CLI_CHECK" events out 1 2
rm -f large.jpg

# Bad detectors.
echo text >text.pt
: >empty.pt
"$CLI_MAKE_PICTURE" picture.png 10 10 1
p=(predict "${weights[@]}" a.png --threads 1)
fails "a detector that is not there" 4 "--detector 'none.pt'" "${p[@]}" --detector none.pt
for bad in text.pt empty.pt picture.png "$CLI_DATA/hand-cc0.npz" "${weights[1]}"; do
    fails "a detector that is ${bad##*/}" 1 "${bad##*/}" "${p[@]}" --detector "$bad"
done
mkdir folder.pt
fails "a detector that is a folder" 1 "folder.pt" "${p[@]}" --detector folder.pt
fails "no such formula" 1 "huge" "${p[@]}" --detector random:huge
rm -f PICKLE_RAN
if [ -d "$CLI_FIXTURES/detector/malformed" ]; then
    for bad in "$CLI_FIXTURES"/detector/malformed/*.pt "$CLI_FIXTURES"/detector/malformed/*.safetensors; do
        fails "malformed/${bad##*/}" 1 "${bad##*/}" "${p[@]}" --detector "$bad"
    done
    check "nothing in them was run" test ! -e PICKLE_RAN
else
    echo "# no folder $CLI_FIXTURES/detector: its malformed files are not tried"
fi
finish
