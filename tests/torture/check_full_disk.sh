#!/usr/bin/env bash
# Every output on a disk that is really full: a tmpfs of a few pages in a mount namespace of our own. One line
# that names the file and says so, exit 1, nothing half written. Skipped where mounting is not allowed;
# tests/cli/check_bad_input.sh tries the same with a limit on the size of files, everywhere.
if [ "${1:-}" != inside ]; then
    unshare -m true 2>/dev/null && exec unshare -m "$BASH" "$0" inside
    unshare -rm true 2>/dev/null && exec unshare -rm "$BASH" "$0" inside
    echo "1..0 # SKIP no mount namespace here"
    exit 77
fi
# shellcheck source=../cli/cli_lib.sh
. "${0%/*}/../cli/cli_lib.sh"
model
cd "$scratch" || exit 1
mkdir disk
mount -t tmpfs -o size=64k none disk 2>/dev/null || skip_all "no tmpfs can be mounted here"
trap 'umount "$scratch/disk"' EXIT
"$CLI_MAKE_PICTURE" a.png 96 80 1 || exit 1
base=(predict "${weights[@]}" --threads 1 --bbox 10,12,60,70,right --include mano,vertices,xr26,gesture)

# full FREE FILE ARG...: so many bytes are free (whole pages).
full() {
    local free=$1 file=$2
    shift 2
    rm -rf disk/*
    printf before >disk/old
    local have
    have=$(($(stat -f -c '%f * %S' disk)))
    head -c $((have - free)) /dev/zero >disk/filler
    run "${base[@]}" a.png "$@"
    [ "$rc" -eq 1 ] && lines "$scratch/err" 1 && says "disk/$file" && says "No space left on device" &&
        [ "$(cat disk/old)" = before ] && [ "$(find disk -type f | sort | tr '\n' ' ')" = "disk/filler disk/old " ]
    result $? "full, $free bytes free: $*"
}
for free in 0 4096; do
    full $free old -o disk/old
    full $free old -o disk/old --json
    full $free old --npz disk/old
    full $free x.glb --gltf disk/x.glb
    full $free x.gltf --gltf disk/x.gltf
    full $free a_0_right.obj --obj disk
    full $free a.overlay.png --overlay disk
done
rm -f disk/filler
run "${base[@]}" a.png -o disk/events
is "and with room enough" 0
finish
