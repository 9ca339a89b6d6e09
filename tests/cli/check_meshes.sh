#!/usr/bin/env bash
# OBJ and glTF meshes: the npz's numbers in the documented axes, facing outwards, on the right side.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
# The mean pose: a tiny model's random poses are no surfaces with an inside.
if [ -z "${CLI_MAKE_MODEL:-}" ] || [ ! -f "$CLI_DATA/hand-cc0.npz" ]; then
    skip_all "no maker of test weights"
fi
"$CLI_MAKE_MODEL" demo "$CLI_DATA/hand-cc0.npz" "$scratch/demo.safetensors" >/dev/null || exit 1
cd "$scratch" || exit 1
base=(predict --weights demo.safetensors --threads 1)
"$CLI_MAKE_PICTURE" a.png 96 80 1 && "$CLI_MAKE_PICTURE" b.png 96 80 2 &&
    "$CLI_MAKE_PICTURE" crop.png 256 256 3 || exit 1
two=(--bbox 10,12,60,70,right --bbox 30.5,20.25,80,75,left)

run "${base[@]}" a.png "${two[@]}" --gltf a.glb --obj obj --npz a.npz
is "a picture, a right and a left hand" 0
check "the GLB is the npz" "$CLI_CHECK" gltf a.glb a.npz 96 80
check "the right OBJ is the npz, outwards" "$CLI_CHECK" mesh obj/a_0_right.obj a.npz 0
check "the left OBJ is the npz, outwards" "$CLI_CHECK" mesh obj/a_1_left.obj a.npz 1
run "${base[@]}" a.png "${two[@]}" --gltf a.gltf
is "JSON with the buffer in it" 0
check "is the npz, too" "$CLI_CHECK" gltf a.gltf a.npz 96 80
check "and strict JSON" "$CLI_CHECK" json a.gltf
check "with the nodes' names" bash -c "grep -q '\"a hand 0 right\"' a.gltf && grep -q '\"a hand 1 left\"' a.gltf"
run "${base[@]}" a.png --bbox 30,20,80,75,left --gltf one.GLTF --npz one.npz
check "one hand" "$CLI_CHECK" gltf one.GLTF one.npz 96 80
run "${base[@]}" a.png b.png ./a.png "${two[@]}" --gltf three.glb --npz three.npz
is "several pictures" 0
check "are the npz" "$CLI_CHECK" gltf three.glb three.npz 96 80
run "${base[@]}" a.png "${two[@]}" --mirrored --gltf m.glb --npz m.npz --obj mobj
check "a selfie view is the npz" "$CLI_CHECK" gltf m.glb m.npz 96 80
check "and faces outwards" "$CLI_CHECK" mesh mobj/a_0_left.obj m.npz 0
run "${base[@]}" a.png "${two[@]}" --intrinsics 500,510,40,41 --gltf i.glb --npz i.npz
check "a given camera" "$CLI_CHECK" gltf i.glb i.npz 96 80
run "${base[@]}" crop.png --crops --side left --gltf c.glb --npz c.npz --obj cobj
is "a crop" 0
check "is the npz, without a camera" "$CLI_CHECK" gltf c.glb c.npz 256 256
check "also its OBJ" "$CLI_CHECK" mesh cobj/crop_0_left.obj c.npz 0
odd=$'odd \n"n\xc3\xa4me\xff.png'
cp a.png "$odd"
run "${base[@]}" "${two[@]}" --gltf odd.gltf --npz odd.npz -- "$odd"
check "an odd name" "$CLI_CHECK" gltf odd.gltf odd.npz 96 80

# A NaN in the model's first camera: every hand fails.
head=$(od -An -tu8 -N8 demo.safetensors)
begin=$(grep -ao '"backbone.init_cam":{[^}]*}' demo.safetensors | sed 's/.*data_offsets":\[\([0-9]*\).*/\1/')
cp demo.safetensors nan.safetensors
printf '\000\000\300\177' | dd of=nan.safetensors bs=1 seek=$((8 + head + begin)) conv=notrunc 2>/dev/null
run predict --weights nan.safetensors a.png "${two[@]}" --gltf nan.glb --npz nan.npz --obj nan
check "failed hands are failed" says "hand 1 (left) failed"
check "and are left out" "$CLI_CHECK" gltf nan.glb nan.npz 96 80
check "also of the OBJ files" test -z "$(ls nan)"

# What is not written: nothing half, nothing over what was there.
check "a GLB of another hand is noticed" bash -c "! '$CLI_CHECK' gltf one.GLTF a.npz 96 80"
echo text >text.jpg
run "${base[@]}" text.jpg "${two[@]}" --gltf none.gltf
is "no picture" 1
check "is an empty scene" grep -q '"scenes":\[{"name":"hands"}\]}$' none.gltf
run "${base[@]}" text.jpg "${two[@]}" --gltf none.glb
check "also as GLB" test "$(head -c 4 none.glb)" = glTF -a "$(stat -c %s none.glb)" -lt 300
fails "a glTF in no folder" 1 "'none/x.glb'" "${base[@]}" a.png "${two[@]}" --gltf none/x.glb
echo precious >precious.glb
run predict --weights text.jpg a.png "${two[@]}" --gltf precious.glb
is "no model" 1
check "leaves the file alone" grep -qx precious precious.glb
mkdir folder.glb
fails "a folder" 1 "'folder.glb'" "${base[@]}" a.png "${two[@]}" --gltf folder.glb
if [ -e /dev/full ]; then
    ln -s /dev/full full.glb
    run "${base[@]}" a.png "${two[@]}" --gltf full.glb
    is "a full device" 1
    check "one line that names it" bash -c "[ \"\$(wc -l <err)\" -eq 1 ] && grep -q full.glb err"
fi
check "no temporary files" no_leftovers .
finish
