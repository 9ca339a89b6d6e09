#!/usr/bin/env bash
# Usage errors, help, exit statuses that need no model.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"

box=(--bbox 1,2,30,40,right)
p=(predict x.png --weights w.ckpt)

run --version
is "--version" 0
check "--version names the version, kernels and pictures" \
    grep -qzE '^wilor [0-9]+\.[0-9]+\.[0-9]+ .*kernels: (c|avx2|avx512|amx|neon),.*pictures: ' "$scratch/out"
for words in "--help" "-h" "help" "predict --help" "predict -h" "help predict" "info --help" "help info" "bench --help" "help bench" "download --help" "cache --help"; do
    # shellcheck disable=SC2086
    run $words
    is "$words" 0
    check "$words prints usage" grep -q '^usage: wilor' "$scratch/out"
done
run
is "no command" 2

usage_error "did you mean predict" predikt
usage_error "unknown command 'zzz'" zzz
for c in demo; do
    usage_error "$c is not in this version" "$c"
done

usage_error "no picture given" predict "${box[@]}"
there=(predict "$CLI_DATA/detector/frames/odd_97x61.png" --weights random:tiny)
fails "nothing to find hands with" 4 "give --detector detector.pt" "${there[@]}"
fails "--detect without a detector" 4 "give --detector detector.pt" "${there[@]}" "${box[@]}" --detect
fails "another mistake is told first" 2 "--side 'both'" "${p[@]}" --side both
usage_error "did you mean --weights" predict x.png --weigths w
usage_error "did you mean --overlay" predict x.png --over w
usage_error "unknown option '--nonsense'" predict x.png --nonsense
usage_error "unknown option '-x'" predict x.png -x
usage_error "--weights needs a value" predict x.png --weights
usage_error "--weights needs a value" predict x.png --weights --json
usage_error "--weights has an empty value" predict x.png --weights=
usage_error "--weights is given twice" "${p[@]}" "${box[@]}" --weights=v.ckpt
usage_error "--crops takes no value" "${p[@]}" --crops=1
usage_error "--json and --ndjson exclude" "${p[@]}" "${box[@]}" --json --ndjson
usage_error "--intrinsics and --fov exclude" "${p[@]}" "${box[@]}" --fov 60 --intrinsics 1,1,1,1
usage_error "--fov and --focal exclude" "${p[@]}" "${box[@]}" --fov 60 --focal 600
usage_error "--distortion needs a camera" "${p[@]}" "${box[@]}" --distortion 0,0,0,0,0
usage_error "--bbox has no meaning with --crops" "${p[@]}" "${box[@]}" --crops
usage_error "--rescale has no meaning with --crops" "${p[@]}" --rescale 2 --crops
usage_error "--mirrored has no meaning with --crops" "${p[@]}" --crops --mirrored
usage_error "--overlay has no meaning with --crops" "${p[@]}" --crops --overlay d
usage_error "xr26 has no meaning with --crops" "${p[@]}" --crops --include xr26

for value in 1,2,3 1,2,3,4,up 1,2,3,4,left,5 a,2,3,4,left 1,2,3,4,LEFT nan,0,1,1,left 0,0,inf,1,left \
    0x1,0,9,9,left 1,2,,4,left "1, 2,3,4,left" ,1,2,3,4,left; do
    usage_error "predict: --bbox '$value': it should be" "${p[@]}" --bbox "$value"
done
usage_error "x1 > x0 and y1 > y0" "${p[@]}" --bbox 30,2,1,40,left
usage_error "x1 > x0 and y1 > y0" "${p[@]}" --bbox 1,40,30,40,left
usage_error "x1 > x0 and y1 > y0" "${p[@]}" --bbox 7,0,7,9,left
usage_error "at most 1e9" "${p[@]}" --bbox 1,2,3e9,40,left
usage_error "does not say which hand" "${p[@]}" --bbox 1,2,30,40
usage_error "--side 'both': it should be auto, left or right" "${p[@]}" "${box[@]}" --side both

usage_error "--rescale '0': it should be a number" "${p[@]}" "${box[@]}" --rescale 0
usage_error "--rescale 'nan'" "${p[@]}" "${box[@]}" --rescale nan
usage_error "--warp 'cv3': it should be cv5 or cv4" "${p[@]}" "${box[@]}" --warp cv3
usage_error "--intrinsics '0,1,1,1'" "${p[@]}" "${box[@]}" --intrinsics 0,1,1,1
usage_error "--intrinsics '1,1,1,1,1'" "${p[@]}" "${box[@]}" --intrinsics 1,1,1,1,1
usage_error "--fov '180': it should be a number of degrees from 1 to 179" "${p[@]}" "${box[@]}" --fov 180
usage_error "--focal '-5'" "${p[@]}" "${box[@]}" --focal -5
usage_error "--palm '97': it should be a number of metres" "${p[@]}" "${box[@]}" --palm 97
usage_error "--include 'mano,eyes': it should be a list of" "${p[@]}" "${box[@]}" --include mano,eyes
usage_error "--include 'mano,'" "${p[@]}" "${box[@]}" --include mano,
usage_error "--threads '1025': it should be a whole number from 0 to 1024" "${p[@]}" "${box[@]}" --threads 1025
usage_error "--threads '2.5'" "${p[@]}" "${box[@]}" --threads 2.5
usage_error "--heads '0'" "${p[@]}" "${box[@]}" --heads 0
usage_error "--max-pixels '12q'" "${p[@]}" "${box[@]}" --max-pixels 12q
usage_error "--max-pixels '99999999999G'" "${p[@]}" "${box[@]}" --max-pixels 99999999999G
usage_error "--device 'tpu': it should be auto, cpu, gpu, mlx, cuda, cuda:N or several as cuda:N,cuda:M" "${p[@]}" "${box[@]}" --device tpu
usage_error "--dtype 'half': it should be one of auto|f32|f32x|f16|bf16|int8|int4" "${p[@]}" "${box[@]}" --dtype half
usage_error "--compat 'hamer': it should be mini, wilor or mlx" "${p[@]}" "${box[@]}" --compat hamer
usage_error "of --compat only mlx has a meaning with --crops" "${p[@]}" --crops --compat wilor
usage_error "--warp has no meaning with --compat mlx" "${p[@]}" "${box[@]}" --compat mlx --warp cv4
usage_error "--npz and -o name the same file" "${p[@]}" "${box[@]}" --npz a -o a
usage_error "--npz and --gltf name the same file" "${p[@]}" "${box[@]}" --npz a.glb --gltf a.glb
usage_error "--gltf and -o name the same file" "${p[@]}" "${box[@]}" --gltf a.glb -o a.glb
usage_error "--gltf 'a.obj': it should be a name that ends in .glb or .gltf" "${p[@]}" "${box[@]}" --gltf a.obj
d=("${p[@]}" --detector d.pt)
for o in --conf --iou --imgsz=64 --max-hands --detector-profile=8.4.190; do
    [[ $o == *=* ]] || o=$o=1
    usage_error "${o%=*} has no meaning with --bbox and without --detect" "${d[@]}" "${box[@]}" $o
    usage_error "${o%=*} has no meaning with --crops" "${d[@]}" --crops $o
done
usage_error "--detect has no meaning with --crops" "${d[@]}" --crops --detect
usage_error "--conf '1.01': it should be a number from 0 to 1" "${d[@]}" --conf 1.01
usage_error "--conf 'nan'" "${d[@]}" --conf nan
usage_error "--iou '-0.1'" "${d[@]}" --iou=-0.1
usage_error "--imgsz '4097': it should be a whole number from 32 to 4096" "${d[@]}" --imgsz 4097
usage_error "--imgsz '31'" "${d[@]}" --imgsz 31
usage_error "--max-hands '301': it should be a whole number from 0 to 300" "${d[@]}" --max-hands 301
usage_error "--max-hands '-1'" "${d[@]}" --max-hands=-1
usage_error "--detector-profile '8.1': it should be 8.1.34 or 8.4.190" "${d[@]}" --detector-profile 8.1
usage_error "--detector-profile has no meaning with --compat mlx" "${d[@]}" --compat mlx --detector-profile 8.1.34
usage_error "--lanes '0': it should be a whole number from 1 to 1024" "${d[@]}" --lanes 0
for o in --json --bin --npz=x.npz --gltf=x.glb; do
    usage_error "--resume goes on with lines of events only, not with ${o%=*}" "${d[@]}" --resume -o x.ndjson $o
done
usage_error "--resume needs a file of events to go on with: -o FILE" "${d[@]}" --resume
usage_error "--resume needs a file of events to go on with: -o FILE" "${d[@]}" --resume -o -
usage_error "not the standard input" predict - --weights w --detector d --resume -o x
usage_error "the standard input, -, is given twice" predict - a.png - --weights w --detector d
usage_error "--pages is not in this version" "${p[@]}" --pages
usage_error "--bvh records a hand that moves" "${p[@]}" --bvh

usage_error "no file given" info
usage_error "one file at a time" info a b
usage_error "did you mean --tensors" info a --tensor

# A name is shown with what could confuse a terminal or a log escaped.
fails "control characters in a name" 2 "unknown command 'a\\n\\x1b[31mb\\xff'" $'a\n\e[31mb\xff'

"$CLI_MAKE_PICTURE" "$scratch/a.png" 96 80 1 || exit 1
for more in "" "--weights mlx" "--weights org/name@v1"; do
    # shellcheck disable=SC2086
    fails "weights that are not cached, offline" 4 "cache" predict "$scratch/a.png" "${box[@]}" $more
done
fails "a mistyped path is no repository" 4 "--weights 'some/w.ckpt'" predict "$scratch/a.png" "${box[@]}" \
    --weights some/w.ckpt
usage_error "nothing named" download
usage_error "'x': it should be mini, mlx, nano or" download x
usage_error "say which file" download org/name
usage_error "say list or clean" cache
fails "weights that are not there" 4 "--weights '$scratch/none.ckpt'" predict x.png "${box[@]}" \
    --weights "$scratch/none.ckpt"
: >"$scratch/empty.ckpt"
fails "hand data that are not there" 4 "--mano '$scratch/none.pkl'" predict x.png "${box[@]}" \
    --weights "$scratch/empty.ckpt" --mano "$scratch/none.pkl"

fails "a detector that is not there" 4 "--detector '$scratch/none.pt'" predict x.png \
    --weights "$scratch/empty.ckpt" --detector "$scratch/none.pt"

# An option's place does not matter, and -- ends them.
fails "operands behind --" 1 "'--json'" predict --weights "$scratch/empty.ckpt" "${box[@]}" -- --json
run info "$scratch/none"
is "info on a file that is not there" 1

if [ -e /dev/full ]; then
    "$WILOR" --version >/dev/full 2>"$scratch/err"
    rc=$?
    is "a full standard output" 1
    check "is said" says "standard output: cannot write"
fi
finish
