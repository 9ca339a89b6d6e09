#!/usr/bin/env bash
# wilor predict on small made-up pictures and weights: what is written where, errors, exit statuses.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
model
cd "$scratch" || exit 1

"$CLI_MAKE_PICTURE" a.png 96 80 1 && "$CLI_MAKE_PICTURE" b.png 70 90 2 &&
    "$CLI_MAKE_PICTURE" crop.png 256 256 3 || exit 1
mkdir pictures other
cp a.png pictures/b2.png
cp b.png pictures/a1.dat # told by content
cp a.png other/b2.png
echo text >pictures/note.jpg
echo text >text.jpg
mkdir pictures/sub.png
head -c 300 a.png >cut.png
box=(--bbox 10,12,60,70,right)
two=("${box[@]}" --bbox 30.5,20.25,80,75,left)
base=(predict "${weights[@]}" --threads 1)

run "${base[@]}" a.png "${two[@]}"
is "two hands" 0
check "one line" lines out 1
check "that is an event" "$CLI_CHECK" events out 1 2
check "nothing on stderr" empty err
cp out two.ndjson

run "${base[@]}" a.png "${two[@]}" --json --npz two.npz --include mano,vertices,xr26,gesture,angles,det
is "JSON and npz with everything" 0
check "JSON is one object" "$CLI_CHECK" events out 1 2
check "JSON and npz agree" "$CLI_CHECK" agree out two.npz
check "the npz is a sound zip archive, also read from its front" "$CLI_CHECK" zip two.npz
if command -v python3 >/dev/null; then
    check "python3 -m json.tool reads it" python3 -m json.tool out
fi
if python3 -c 'import numpy' 2>/dev/null; then
    check "numpy reads the npz" python3 -c 'import numpy
z = numpy.load("two.npz")
assert z["image_path"].tolist() == ["a.png"] and z["image"].tolist() == [0, 0]
assert z["is_right"].tolist() == [1, 0] and z["bbox"].dtype == numpy.float32
assert z["pred_vertices"].shape == (2, 778, 3) and z["hand_pose"].shape == (2, 15, 3)
assert z["global_orient"].shape == (2, 1, 3) and z["faces"].dtype == numpy.int32'
fi
run "${base[@]}" a.png "${two[@]}" --full-path --npz full.npz
is "the full path" 0
check "gives the same" "$CLI_CHECK" same two.npz full.npz 2e-6

run "${base[@]}" pictures a.png "${box[@]}" --json --npz all.npz
is "a folder and a file" 0
check "an array of three" "$CLI_CHECK" events out 3 3
check "array and npz agree" "$CLI_CHECK" agree out all.npz
check "entries that are no pictures are counted" says "2 of its entries are no picture"
mkdir twenty
for i in $(seq 29 -1 10); do ln -s ../a.png "twenty/$i.png"; done
run "${base[@]}" twenty "${box[@]}"
check "sorted by name" test "$(grep -o 'twenty/[0-9]*' out | tr '\n' ' ')" = \
    "$(seq -f 'twenty/%g' 10 29 | tr '\n' ' ')"
run info all.npz
is "info on an npz of ours" 0
run "${base[@]}" pictures "${box[@]}" --quiet
check "--quiet says nothing" empty err

# One bad picture among good ones.
run "${base[@]}" a.png text.jpg none.png cut.png b.png "${box[@]}"
is "bad pictures among good ones" 1
check "the good ones come out" "$CLI_CHECK" events out 2 2
check "one line an error" lines err 3
for name in text.jpg none.png cut.png; do check "$name is named" says "$name"; done
fails "no picture at all" 1 "'none.png'" "${base[@]}" none.png "${box[@]}"
fails "a folder without pictures" 1 "no picture in this folder" "${base[@]}" pictures/sub.png "${box[@]}"
fails "too many pixels" 1 "a.png" "${base[@]}" a.png "${box[@]}" --max-pixels 7679
run "${base[@]}" a.png "${box[@]}" --max-pixels 7680
is "just not too many pixels" 0

# Names.
odd=$'odd \n"n\xc3\xa4me\xff.png'
cp a.png "$odd"
cp a.png -- "-dash.png"
run "${base[@]}" "${box[@]}" --npz odd.npz --obj odd --overlay odd -- "$odd" -dash.png
is "odd names" 0
check "are events" "$CLI_CHECK" events out 2 2
check "in JSON with a replacement" grep -q 'odd \\n\\"näme�.png' out
check "in the npz, too" "$CLI_CHECK" agree out odd.npz
check "their files exist" test -f "odd/${odd%.png}_0_right.obj" -a -f "odd/${odd%.png}.overlay.png"

long=$(printf 'long%.0s' $(seq 50)).png
cp a.png "$long"
run "${base[@]}" "$long" "${box[@]}" --json
check "a long name in readable JSON" "$CLI_CHECK" events out 1 1

# The standard input.
"$WILOR" "${base[@]}" - "${box[@]}" <a.png >out 2>err
rc=$?
is "a picture from the standard input" 0
check "is an event" "$CLI_CHECK" events out 1 1

# Files.
run "${base[@]}" pictures other/b2.png "${two[@]}" --obj meshes --overlay meshes -o events.json --json
is "meshes and overlays" 0
check "nothing on stdout" empty out
check "the events are in the file" "$CLI_CHECK" events events.json 3 6
check "equal stems are told apart" test -f meshes/b2_0_right.obj -a -f meshes/b2-2_1_left.obj -a \
    -f meshes/b2.overlay.png -a -f meshes/b2-2.overlay.png
check "as many files as expected" test "$(find meshes -type f | wc -l)" -eq 9
run "${base[@]}" pictures/b2.png "${two[@]}" --obj meshes --npz mesh.npz
check "a mesh is the npz's vertices and faces" "$CLI_CHECK" obj meshes/b2_0_right.obj mesh.npz 0
check "also a left one" "$CLI_CHECK" obj meshes/b2_1_left.obj mesh.npz 1
check "an overlay is a picture" "$WILOR" "${base[@]}" meshes/b2.overlay.png "${box[@]}"
check "no temporary files" no_leftovers .

fails "an output folder that is a file" 1 "'a.png'" "${base[@]}" a.png "${box[@]}" --overlay a.png
fails "an output folder in a file" 1 "'a.png/x'" "${base[@]}" a.png "${box[@]}" --obj a.png/x
fails "an npz in no folder" 1 "'none/x.npz'" "${base[@]}" a.png "${box[@]}" --npz none/x.npz
fails "events in no folder" 1 "'none/x.json'" "${base[@]}" a.png "${box[@]}" -o none/x.json
fails "events into a folder" 1 "'other'" "${base[@]}" a.png "${box[@]}" -o other
echo precious >precious.npz
run "${base[@]}" none.png "${box[@]}" --npz precious.npz -o precious.npz2
is "nothing to do" 1
check "leaves files alone" grep -qx precious precious.npz
mkdir locked
: >locked/b2.overlay.png
rm locked/b2.overlay.png
mkdir locked/b2.overlay.png
run "${base[@]}" pictures/b2.png b.png "${box[@]}" --overlay locked
is "an overlay that cannot be written" 1
check "does not stop the others" test -f locked/b.overlay.png
check "and its event comes" "$CLI_CHECK" events out 2 2

if [ -e /dev/full ]; then
    "$WILOR" "${base[@]}" a.png b.png "${box[@]}" --npz late.npz >/dev/full 2>err
    rc=$?
    is "a full disk" 1
    check "one line" lines err 1
    check "no npz then" test ! -e late.npz
    run "${base[@]}" a.png "${box[@]}" -o /dev/full
    is "a full device as file" 1
fi
run "${base[@]}" a.png "${box[@]}" -o /dev/null
is "a device as file" 0

# Choices that change numbers do; those that should not do not.
number() { "$CLI_CHECK" print "$1" "$2"; }
run "${base[@]}" a.png "${two[@]}" --npz t2.npz --threads=2
is "--threads is given twice" 2
run predict "${weights[@]}" a.png "${two[@]}" --npz t2.npz --threads=2
check "two threads give the same bits" "$CLI_CHECK" same two.npz t2.npz 0
run "${base[@]}" a.png "${two[@]}" --warp cv4 --npz cv4.npz
check "--warp cv4 differs" bash -c "! '$CLI_CHECK' same two.npz cv4.npz 0"
# A box at least 4/3 as high as wide: there WiLoR's demo differs in nothing but the factor.
tall=(--bbox 20,10,50,70,right)
run "${base[@]}" a.png "${tall[@]}" --npz mini.npz
run "${base[@]}" a.png "${tall[@]}" --compat wilor --npz wilor.npz
run "${base[@]}" a.png "${tall[@]}" --rescale 2 --npz r2.npz
check "--compat wilor is --rescale 2" "$CLI_CHECK" same wilor.npz r2.npz 0
check "and not 2.5" bash -c "! '$CLI_CHECK' same mini.npz wilor.npz 0"
run "${base[@]}" a.png "${tall[@]}" --rescale 2.5 --compat wilor --npz r25.npz
check "--rescale wins over --compat" "$CLI_CHECK" same mini.npz r25.npz 0
run "${base[@]}" a.png --bbox 20,10,70,50,right --compat wilor --npz wide.npz
run "${base[@]}" a.png --bbox 20,10,70,50,right --rescale 2 --npz r2.npz
check "a wide box gets more room" bash -c "! '$CLI_CHECK' same wide.npz r2.npz 0"
run "${base[@]}" a.png --bbox 10,12,60,70 --bbox 30.5,20.25,80,75,right --side left --npz left.npz
check "--side overrides" test "$(number left.npz is_right)" = "0 0"
run "${base[@]}" a.png "${two[@]}" --mirrored --npz mirrored.npz
check "--mirrored swaps sides" test "$(number mirrored.npz is_right)" = "0 1"
run "${base[@]}" a.png "${two[@]}" --focal 1000 --npz focal.npz
check "--focal" test "$(number focal.npz scaled_focal_length)" = "1000 1000"
check "is said to be given" grep -q '"fx":1000.0,"fy":1000.0,"cx":48.0,"cy":40.0,"source":"given","metric":true' out
run "${base[@]}" a.png "${two[@]}" --fov 90 --npz fov.npz
check "--fov 90 is half the width" test "$(number fov.npz scaled_focal_length)" = "48 48"
run "${base[@]}" a.png "${two[@]}" --intrinsics 500,510,40,41 --distortion 0.1,0,0,0,0 --npz given.npz
check "--intrinsics in the npz" test "$(number given.npz scaled_focal_length)" = "500 500"
check "--intrinsics" grep -q '"fx":500.0,"fy":510.0,"cx":40.0,"cy":41.0,"source":"given"' out
run "${base[@]}" a.png "${two[@]}" --fov 90 --distortion 0.1,0,0,0,0 --npz lens.npz
is "a lens with a field of view" 0
check "moves the points" bash -c "! '$CLI_CHECK' same fov.npz lens.npz 0"
run "${base[@]}" a.png "${two[@]}" --palm 0.1 --npz palm.npz
check "--palm" "$CLI_CHECK" palm palm.npz 0.1
echo '[0.5, -1, 0,0,0,0,0,0,0, 2]' >betas.json
run "${base[@]}" a.png "${box[@]}" --betas betas.json --npz betas.npz
check "--betas" test "$(number betas.npz betas)" = "0.5 -1 0 0 0 0 0 0 0 2"
run "${base[@]}" a.png "${box[@]}" --betas betas.npz --npz betas2.npz
check "--betas from an npz of ours" "$CLI_CHECK" same betas.npz betas2.npz 0
echo 1 2 3 >few.txt
fails "too few betas" 1 "there should be 10 numbers" "${base[@]}" a.png "${box[@]}" --betas few.txt
echo 1 2 3 4 5 6 7 8 9 1e9 >large.txt
fails "betas that are no shape" 1 "-1000 to 1000" "${base[@]}" a.png "${box[@]}" --betas large.txt
fails "betas of a picture" 1 "a.png" "${base[@]}" a.png "${box[@]}" --betas a.png

# Crops.
run "${base[@]}" crop.png --crops --npz crop.npz --json --include mano,vertices,gesture,angles
is "a crop" 0
check "is an event without a camera" "$CLI_CHECK" events out 1 1
check "has none" bash -c "! grep -qE 'camera|cam_t|kp2d|\"box\"|wrist' out"
check "and an npz without one" "$CLI_CHECK" agree out crop.npz
check "is a right hand" test "$(number crop.npz is_right)" = 1
run "${base[@]}" crop.png --crops --side left --npz crop.npz
check "or a left one" test "$(number crop.npz is_right)" = 0
fails "a picture that is no crop" 1 "'a.png': a crop is 256 x 256 pixels, this is 96 x 80" "${base[@]}" a.png --crops

run "${base[@]}" a.png "${box[@]}" --expect-hands
is "--expect-hands with a hand" 0
fails "damaged weights" 1 "text.jpg" predict --weights text.jpg a.png "${box[@]}"
fails "weights that are another thing" 1 "two.npz" predict --weights two.npz a.png "${box[@]}"
finish
