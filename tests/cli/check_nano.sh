#!/usr/bin/env bash
# The free model that comes with wilor, from an empty home and without a network: where it is looked for, what is
# said of it, what a broken one gives. Stand-ins of its shapes by formula, but for the last check.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"

[ -n "${CLI_MAKE_MODEL:-}" ] && [ -n "${CLI_MAKE_DETECTOR:-}" ] || skip_all "no maker of stand-ins"
export HOME=$scratch/home
unset XDG_CACHE_HOME WILOR_WEIGHTS
mkdir -p "$HOME" "$scratch/nano" "$scratch/none"
"$CLI_MAKE_MODEL" nano "$CLI_DATA/hand-cc0.npz" "$scratch/nano/nano.safetensors" &&
    "$CLI_MAKE_DETECTOR" nano "$scratch/nano/hand-detector-nano.safetensors" || exit 1
"$CLI_MAKE_PICTURE" "$scratch/a.png" 96 80 1 || exit 1
picture=$scratch/a.png box=(--bbox 10,12,60,70,right --threads 1)
model_is() { grep -q "\"model\":{\"name\":\"$1\"" "$scratch/out"; }
said_once() { [ "$(grep -c "$1" "$scratch/err")" -eq 1 ]; }

# Where it is looked for.
export WILOR_NANO_DIR=$scratch/none
fails "nothing anywhere" 4 "wilor download mini fetches" predict "$picture" "${box[@]}"
check "the folder that was looked into is named" says "$scratch/none"
fails "nano by name, not there" 4 "the nano model's nano.safetensors is not in" predict "$picture" "${box[@]}" --weights nano
fails "nano's detector, not there" 4 "hand-detector-nano.safetensors is not in" predict "$picture" \
    --weights "$scratch/nano/nano.safetensors" --detector nano
fails "info on it, not there" 1 "nano.safetensors is not in" info nano
fails "verify, not there" 1 "nano.safetensors is not in" verify nano
fails "download finds, and fetches not" 4 "nano.safetensors is not in" download nano
fails "bench, not there" 4 "nano.safetensors is not in" bench model --weights nano --runs 1
export WILOR_NANO_DIR=$scratch/nano
run predict "$picture" "${box[@]}"
is "from an empty home" 0
check "nano's events" model_is nano
check "what ran is told in one line" said_once "the model is nano"
check "and how to get more" says "wilor download mini"
check "nothing else is said" lines "$scratch/err" 1
run predict "$picture" "${box[@]}" --quiet
is "quiet" 0
check "nothing is said" empty "$scratch/err"
run predict "$picture" "${box[@]}" --weights nano
is "nano by name" 0
check "who asked for it need not be told" empty "$scratch/err"
WILOR_WEIGHTS=nano run predict "$picture" "${box[@]}"
is "WILOR_WEIGHTS=nano" 0
check "nor by the environment" empty "$scratch/err"
"$CLI_MAKE_MODEL" tiny "$CLI_DATA/hand-cc0.npz" "$scratch/tiny.safetensors"
WILOR_WEIGHTS=$scratch/tiny.safetensors run predict "$picture" "${box[@]}"
is "WILOR_WEIGHTS names a file" 0
check "of another model" model_is wilor
WILOR_WEIGHTS=$scratch/gone.safetensors run predict "$picture" "${box[@]}"
is "WILOR_WEIGHTS names none" 4
check "the variable is named" says "WILOR_WEIGHTS"
fails "wilor is not nano" 4 "not in the cache" predict "$picture" "${box[@]}" --weights wilor

# The program's own place: bin/wilor, share/wilor/nano.
unset WILOR_NANO_DIR
mkdir -p "$scratch/prefix/bin" "$scratch/prefix/share/wilor"
cp "$WILOR" "$scratch/prefix/bin/wilor" && ln -s "$scratch/nano" "$scratch/prefix/share/wilor/nano"
"$scratch/prefix/bin/wilor" download nano >"$scratch/out" 2>"$scratch/err"
rc=$?
is "installed anywhere" 0
check "its own files" grep -qx "$scratch/prefix/share/wilor/nano/nano.safetensors" "$scratch/out"
export WILOR_NANO_DIR=$scratch/nano

# What it says of itself is used.
run predict "$picture" "${box[@]}" --npz "$scratch/default.npz"
run predict "$picture" "${box[@]}" --rescale 1.75 --npz "$scratch/own.npz"
check "the crop it was trained for is the default" "$CLI_CHECK" same "$scratch/default.npz" "$scratch/own.npz" 0
run predict "$picture" "${box[@]}" --rescale 2.5 --npz "$scratch/wide.npz"
"$CLI_CHECK" same "$scratch/default.npz" "$scratch/wide.npz" 0 >/dev/null 2>&1
[ $? -ne 0 ]
result $? "another crop gives something else"
run predict "$picture" --conf 0.9
is "its detector runs" 0
run predict "$picture" "${box[@]}"
check "whole numbers unless told" grep -q '"dtype":"int8"' "$scratch/out"
run predict "$picture" "${box[@]}" --dtype f32
check "float32 when told" grep -q '"dtype":"f32"' "$scratch/out"
run predict "$picture" --conf 0.9 --weights "$scratch/tiny.safetensors" --detector nano
is "beside another model when asked for" 0
fails "not unasked" 4 "no hand detector" predict "$picture" --weights "$scratch/tiny.safetensors"
run info nano
is "info" 0
check "name" grep -qx "name        'nano'" "$scratch/out"
check "crop" grep -qx "rescale     '1.75'" "$scratch/out"
check "licence" grep -qx "licence     'CC0-1.0'" "$scratch/out"
run info nano --json
check "info as JSON" grep -q '"licence": "CC0-1.0"' "$scratch/out"
run verify nano
is "verify" 0
check "both files" grep -q "hand detector: YOLOv8-pose" "$scratch/out"
run bench model detector --weights nano --runs 1 --hands 1 --json
is "bench" 0
run convert "$scratch/nano/nano.safetensors" "$scratch/small.safetensors" --to safetensors --dtype int8
is "convert, the free hand with it" 0
run predict "$picture" "${box[@]}" --weights "$scratch/small.safetensors"
is "and run" 0
check "it is still nano" model_is nano
run convert nano "$scratch/half.safetensors" --to safetensors --dtype f16
is "convert nano by name" 0
run live "$picture" "${box[@]}"
if [ "$rc" -eq 2 ]; then
    run live "$picture" --threads 1
fi
is "live" 0
check "nano there, in whole numbers" grep -q '"name":"nano".*"dtype":"int8"' "$scratch/out"
check "told once" said_once "the model is nano"
[ -z "$(find "$HOME" -name '*.wilor*' -o -name packed -type d | head -1)" ]
result $? "no packed copy is kept of so small a model"
run live "$picture" --threads 1 --dtype f32
check "float32 when asked for" grep -q '"dtype":"f32"' "$scratch/out"

# Broken files.
mkdir -p "$scratch/cut"
head -c 100000 "$scratch/nano/nano.safetensors" >"$scratch/cut/nano.safetensors"
cp "$scratch/nano/hand-detector-nano.safetensors" "$scratch/cut/"
WILOR_NANO_DIR=$scratch/cut run predict "$picture" "${box[@]}" --quiet
is "a cut model" 1
check "is named" says "$scratch/cut/nano.safetensors"
check "in one line" lines "$scratch/err" 1
cp "$scratch/nano/nano.safetensors" "$scratch/cut/"
printf 'not a model' >"$scratch/cut/hand-detector-nano.safetensors"
WILOR_NANO_DIR=$scratch/cut run predict "$picture" --quiet
is "a broken detector" 1
check "is named" says "$scratch/cut/hand-detector-nano.safetensors"
rm "$scratch/cut/hand-detector-nano.safetensors"
WILOR_NANO_DIR=$scratch/cut run predict "$picture" --quiet
is "no detector" 4
check "is named" says "hand-detector-nano.safetensors is not in"

# What is shipped.
unset WILOR_NANO_DIR
if [ -f "$CLI_NANO/nano.safetensors" ]; then
    export WILOR_NANO_DIR=$CLI_NANO
    run verify nano
    is "the shipped files are sound" 0
    run predict "$CLI_DEMO" --expect-hands --quiet
    is "a hand is found in demo/hands.png" 0
    check "by nano" model_is nano
    [ "$(cat "$CLI_NANO"/*.safetensors | wc -c)" -le 12000000 ]
    result $? "both files have at most 12 MB"
else
    count=$((count + 1))
    echo "ok $count - # SKIP the shipped model: models/nano has no weights yet"
fi
finish
