#!/usr/bin/env bash
# wilor info on every committed file of the readers' tests: the verdict that is expected there, one line
# of error, sound JSON.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"

formats=$CLI_DATA/formats
[ -d "$formats" ] || skip_all "no folder $formats"

sound=0
for expected in "$formats"/*.expected.json; do
    file=${expected%.expected.json}
    name=${file##*/}
    case $name in model_*) continue ;; esac # sound files; the verdict is of the model in them
    [ -f "$file" ] || continue
    verdict=$(sed -n 's/.*"verdict": *"\([a-z_]*\)".*/\1/p' "$expected" | head -1)
    run info "$file" --json
    status=$rc
    case $verdict in
    error) [ "$status" -eq 1 ] && empty "$scratch/out" && lines "$scratch/err" 1 && says "$name" ;;
    ok_or_error) [ "$status" -le 1 ] ;;
    *) [ "$status" -eq 0 ] && empty "$scratch/err" ;;
    esac
    result $? "info $name: $verdict"
    if [ "$status" -eq 0 ]; then
        sound=$((sound + 1))
        "$CLI_CHECK" json "$scratch/out" 2>>"$scratch/err" && "$WILOR" info "$file" --tensors >"$scratch/text" &&
            grep -q '^kind  ' "$scratch/text"
        result $? "info $name: JSON and text"
    fi
done
[ "$sound" -ge 10 ]
result $? "at least ten files were read"

if [ -f "$CLI_DATA/hand-cc0.npz" ]; then
    run info "$CLI_DATA/hand-cc0.npz"
    is "info on a hand" 0
    check "says mano" grep -qx 'kind        mano' "$scratch/out"
    check "says how many vertices" grep -qx 'vertices    778' "$scratch/out"
fi
if [ -f "$CLI_FIXTURES/tiny/wilor_tiny.ckpt" ]; then
    run info "$CLI_FIXTURES/tiny/wilor_tiny.ckpt"
    is "info on a checkpoint" 0
    check "kind" grep -qx 'kind        wilor checkpoint' "$scratch/out"
    check "width" grep -qx 'width       64' "$scratch/out"
    check "depth" grep -qx 'depth       3' "$scratch/out"
    check "heads are not guessed" grep -q 'give --heads' "$scratch/out"
    check "has a hand" grep -qx 'mano        yes' "$scratch/out"
    run info "$CLI_FIXTURES/tiny/mlx/wilor-mlx.safetensors"
    check "wilor-mlx" grep -qx 'kind        wilor-mlx' "$scratch/out"
    check "without a hand" grep -q '^mano        no' "$scratch/out"
    run info "$CLI_FIXTURES/tiny/mlx/wilor-mlx-int4-g32.safetensors"
    check "quantised" grep -qx 'parameters  quantised' "$scratch/out"
fi
run info "$CLI_DATA/../../fuzz/corpus/detector/module.pt"
check "a detector" grep -qx 'kind        detector' "$scratch/out"
check "its input size" grep -qx 'imgsz       96' "$scratch/out"
check "its classes" grep -qx "classes     2 ('left, right')" "$scratch/out"
if [ -f "$CLI_FIXTURES/detector/detector_tiny.pt" ]; then
    run info "$CLI_FIXTURES/detector/detector_tiny.pt"
    check "scale" grep -qx 'scale       n' "$scratch/out"
    check "repeats" grep -qx 'repeats     1 2 2 1 1 1 1 1' "$scratch/out"
    check "parameters of a detector" grep -qx 'parameters  3385269' "$scratch/out"
    run info "$CLI_FIXTURES/detector/hand-detector-tiny.safetensors" --json
    check "the same under other names" grep -q '"parameters": 3385269' "$scratch/out"
fi
cp "$formats/stored.npz" "$scratch/a
b.npz"
run info "$scratch/a
b.npz"
is "info on a name with a newline" 0
check "the name is escaped" grep -q 'a\\nb.npz' "$scratch/out"
fails "info on a folder" 1 "$scratch" info "$scratch"
"$WILOR" info "$formats/stored.npz" --json >/dev/full 2>"$scratch/err"
rc=$?
is "info into a full disk" 1
finish
