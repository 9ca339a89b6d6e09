#!/usr/bin/env bash
# The program on Windows, here under Wine: names in UTF-8 and with spaces, paths with backslashes and drives,
# patterns that no shell expands, line ends, what is not in this build. With WILOR_NATIVE, a wilor of the
# machine itself, also that its numbers are the same.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
model
cd "$scratch" || exit 1

mkdir "hände"
"$CLI_MAKE_PICTURE" "a.png" 96 80 1 && cp a.png "hände/手.png" && cp a.png "hände/mit Leerzeichen.png" &&
    "$CLI_MAKE_PICTURE" crop.png 256 256 3 || exit 1
box=(--bbox 10,12,60,70,right --bbox 30.5,20.25,80,75,left)
base=(predict "${weights[@]}" --threads 2)

run "${base[@]}" 'hände\手.png' 'hände/mit Leerzeichen.png' "${box[@]}" --npz 'über 手.npz' --obj 'netze' \
    --gltf 'Szene 手.glb' --overlay 'drüber'
is "pictures by UTF-8 names" 0
check "a line a picture" lines out 2
check "that are events" "$CLI_CHECK" events out 2 4
check "no carriage return" test -z "$(tr -dc '\r' <out)"
check "the name as it was given" grep -qF 'hände\\手.png' out
check "the npz" "$CLI_CHECK" zip 'über 手.npz'
check "the meshes" test "$(ls netze)" = "$(printf '%s\n' 'mit Leerzeichen_0_right.obj' 'mit Leerzeichen_1_left.obj' \
    '手_0_right.obj' '手_1_left.obj')"
check "the scene" test "$(head -c 4 'Szene 手.glb')" = glTF
check "the overlay is a picture" test "$(head -c 4 'drüber/手.overlay.png' | tail -c 3)" = PNG
check "nothing unfinished" no_leftovers .

run "${base[@]}" "$(printf %s "Z:$scratch/hände/手.png" | tr / '\\')" "${box[@]}"
is "a drive and backslashes" 0
run "${base[@]}" 'h*\*.png' "${box[@]}"
is "a pattern that no shell expanded" 0
check "its two pictures, sorted" test "$(grep -o '"source":"[^"]*png"' out | tr '\n' ' ')" = \
    '"source":"hände\\mit Leerzeichen.png" "source":"hände\\手.png" '
run "${base[@]}" 'hände' "${box[@]}"
is "a folder" 0
check "its two pictures" lines out 2
deep=$(printf 'ein-langer-Name-%.0s' $(seq 12))
mkdir -p "$deep/$deep" && cp a.png "$deep/$deep/a.png"
run "${base[@]}" "${deep}\\$deep\\a.png" "${box[@]}" -o "$deep/$deep/out.ndjson"
is "a path above 260 characters" 0
check "and its events" lines "$deep/$deep/out.ndjson" 1
fails "a pattern for nothing" 1 "'*.jpg': no file matches" "${base[@]}" '*.jpg' "${box[@]}"
fails "a missing picture" 1 "'hände\\fehlt.png': No such file or directory" "${base[@]}" 'hände\fehlt.png' "${box[@]}"
fails "missing weights" 4 "No such file or directory" predict --weights 'kein\modell.safetensors' a.png
fails "a folder that cannot be" 1 "cannot make the folder" "${base[@]}" a.png "${box[@]}" --overlay 'no\such\folder'
printf 'not a picture' >text.png
fails "no picture" 1 "'text.png' is not a JPEG, PNG or WebP picture" "${base[@]}" text.png "${box[@]}"

run "${base[@]}" --crops crop.png --npz crops.npz
is "a crop" 0
run "${base[@]}" a.png --detector random:micro --conf 0.001 --max-hands 3 --npz found.npz
is "a detector" 0
"$WILOR" "${base[@]}" - "${box[@]}" <a.png >out 2>err
rc=$?
is "a picture from the standard input" 0
"$WILOR" "${base[@]}" a.png "${box[@]}" -o 'ereignisse 手.ndjson' >out 2>err
"$WILOR" "${base[@]}" a.png "${box[@]}" -o 'ereignisse 手.ndjson' >out 2>err
rc=$?
is "events over an older file" 0
cp 'ereignisse 手.ndjson' events.ndjson
check "the file" "$CLI_CHECK" events events.ndjson 1 2
WILOR_WEIGHTS="$(printf %s "${weights[1]}")" run predict a.png "${box[@]}"
is "weights from the environment" 0
cp "${weights[1]}" 'gewichte 手.safetensors'
WILOR_WEIGHTS='gewichte 手.safetensors' run predict a.png "${box[@]}"
is "with a UTF-8 name" 0

run info "${weights[1]}"
is "info" 0
run convert "${weights[1]}" 'klein 手.safetensors' --to safetensors --dtype bf16
is "convert" 0
run verify 'klein 手.safetensors'
is "verify" 0
run bench --weights random:tiny --hands 1 --runs 2 --size 96x80 --detector random:micro
is "bench" 0

fails "serve" 1 "this build has no server" serve
fails "download" 4 "this build cannot download" download mini
fails "a video" 1 "video" live a.mp4 "${weights[@]}" --detector random:micro

# Ctrl-C: Wine makes it of the signal.
"$WILOR" live 'hände' --loop "${weights[@]}" --detector random:micro >out 2>err </dev/null &
running=$!
for _ in $(seq 100); do
    grep -q '"type":"hands"' out && break
    sleep 0.2
done
kill -INT $running
wait $running
check "Ctrl-C ends a stream in order" grep -q '"type":"bye".*"reason":"interrupted"' out

# native NAME OPTION...: the same with the machine's own program.
native() {
    local name=$1
    shift
    check "$name: the machine's program" "$WILOR_NATIVE" "${base[@]}" "$@" --npz native.npz -o native.ndjson
    check "$name: the same numbers" "$CLI_CHECK" same "$name.npz" native.npz 2e-6
}
if [ -n "${WILOR_NATIVE:-}" ]; then
    native crops --crops crop.png
    native found a.png --detector random:micro --conf 0.001 --max-hands 3
fi
finish
