#!/usr/bin/env bash
# The program on the four reference photos, against upstream's results on them: README.md of the
# fixtures, tiny/pipeline. The photos are not ours to distribute: skipped without them.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"

tiny=$CLI_FIXTURES/tiny
[ -f "$tiny/wilor_tiny.ckpt" ] && [ -d "$CLI_FIXTURES/photos" ] || skip_all "no folder $CLI_FIXTURES"

# The boxes of boxes.json, a line a photo.
boxes() {
    "$CLI_CHECK" boxes "$CLI_FIXTURES/boxes.json" "$1"
}

for photo in test1.jpg test3.jpg test5.jpeg hand.png; do
    mapfile -t box < <(boxes "$photo")
    result $((${#box[@]} < 3)) "$photo has boxes"
    for warp in cv5 cv4; do
        run predict "$CLI_FIXTURES/photos/$photo" --weights "$tiny/wilor_tiny.ckpt" --heads 4 \
            "${box[@]/#/--bbox=}" --warp $warp --npz "$scratch/$photo.$warp.npz" --include mano,vertices
        is "$photo --warp $warp" 0
        check "JSON and npz agree" "$CLI_CHECK" agree "$scratch/out" "$scratch/$photo.$warp.npz"
        "$CLI_CHECK" reference "$scratch/$photo.$warp.npz" "$tiny/pipeline/${photo/./_}.npz" $warp 2>"$scratch/err"
        result $? "$photo --warp $warp: as upstream"
    done
done

# Metres and pixels are those of the files' own numbers, so a second look from another side: the
# same photo by another path gives the same bits.
run predict --weights "$tiny/mlx/wilor-mlx.safetensors" --mano "$tiny/mlx/mano.npz" --heads 4 \
    "$CLI_FIXTURES/photos/test5.jpeg" "${box[@]/#/--bbox=}" --npz "$scratch/mlx.npz"
is "wilor-mlx's weights" 0
run predict --weights "$tiny/wilor_tiny.ckpt" --heads 4 "$CLI_FIXTURES/photos/test5.jpeg" \
    "${box[@]/#/--bbox=}" --npz "$scratch/ckpt.npz"
check "give the checkpoint's numbers" "$CLI_CHECK" same "$scratch/mlx.npz" "$scratch/ckpt.npz" 1e-6
finish
