#!/usr/bin/env bash
# The program against input and places that try to break it. Whatever happens: an exit status of docs
# (never a signal, never a hang), one line on stderr that names the thing, and nothing half written.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
model
cd "$scratch" || exit 1
command -v timeout >/dev/null || skip_all "no timeout(1)"

# As in cli_lib.sh, but a run that hangs ends with status 124.
run() {
    timeout -k 5 30 "$WILOR" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    rc=$?
}

# one_line TEXT: a failed run said one line, it has TEXT and nothing that a terminal would obey.
one_line() {
    lines "$scratch/err" 1 && says "$1" && ! LC_ALL=C grep -q '[[:cntrl:]]' "$scratch/err"
}

formats=$CLI_DATA/formats
pictures=$CLI_DATA/pictures
hand=$CLI_DATA/hand-cc0.npz
"$CLI_MAKE_PICTURE" a.png 96 80 1 || exit 1
box=(--bbox 10,12,60,70,right)
base=(predict "${weights[@]}" --threads 1 "${box[@]}")

# ---------------------------------------------------------------- weights, hands, means, info

# sweep ROLE STATUSES ARG...: every file of formats/ put where ARG is @; one line of TAP.
sweep() {
    local role=$1 statuses=$2 bad=0 n=0 file name verdict want word
    shift 2
    : >"$scratch/sweep"
    for file in "$formats"/*; do
        name=${file##*/}
        case $name in *.expected.json | README.md) continue ;; esac
        verdict=$(sed -n 's/.*"verdict": "\(.*\)".*/\1/p' "$file.expected.json" | head -1)
        local args=()
        for word; do args+=("${word/#@/$file}"); done
        run "${args[@]}"
        n=$((n + 1))
        want=$statuses
        if [ "$statuses" = verdict ]; then
            case $verdict in ok) want=0 ;; error) want=1 ;; *) want="0 1" ;; esac
        elif [ "$verdict" = error ]; then
            want="1 4"
        fi
        case " $want " in
        *" $rc "*) [ "$rc" -eq 0 ] || one_line "$name" ;;
        *) false ;;
        esac || {
            bad=$((bad + 1))
            echo "$name ($verdict): status $rc: $(head -c 300 "$scratch/err")" >>"$scratch/sweep"
        }
    done
    cp "$scratch/sweep" "$scratch/err"
    [ "$bad" -eq 0 ] && [ "$n" -gt 150 ]
    result $? "$role: $n files of formats/, each a verdict and one line"
}
sweep info verdict info @
sweep "info --json" verdict info @ --json
sweep --weights "1 4" predict a.png "${box[@]}" --threads 1 --weights @
sweep --mano "0 1 4" predict a.png "${box[@]}" --threads 1 --weights random:tiny --mano @
sweep --mean "1 4" predict a.png "${box[@]}" --threads 1 --weights random:tiny --mano "$hand" --mean @
sweep --betas 1 "${base[@]}" a.png --betas @

: >empty
mkdir -p folder nowrite
mkfifo pipe
echo "not a picture" >text.jpg
for thing in empty folder pipe /dev/zero text.jpg; do
    case $thing in
    empty) why=empty ;; folder) why=folder ;; pipe) why=pipe ;; /dev/zero) why=device ;;
    *) why="$thing" ;;
    esac
    fails "info on $thing" 1 "$why" info "$thing"
    fails "--weights $thing" 1 "$why" predict a.png "${box[@]}" --weights "$thing"
    fails "--mano $thing" 1 "$why" predict a.png "${box[@]}" --weights random:tiny --mano "$thing"
    fails "--mean $thing" 1 "$why" predict a.png "${box[@]}" --weights random:tiny --mano "$hand" \
        --mean "$thing"
    fails "--betas $thing" 1 "$thing" "${base[@]}" a.png --betas "$thing"
    [ "$thing" = folder ] || fails "picture $thing" 1 "$why" "${base[@]}" "$thing"
done
fails "--betas from a pipe that has them" 1 "10 numbers" "${base[@]}" a.png --betas <(sleep 0.2; echo 1 2 3)
fails "a folder without pictures" 1 "'folder'" "${base[@]}" folder
fails "--weights below a file" 4 "'a.png/x'" predict a.png "${box[@]}" --weights a.png/x
fails "info below a file" 1 "'a.png/x'" info a.png/x
fails "a picture below a file" 1 "'a.png/x'" "${base[@]}" a.png/x

# A sound model cut anywhere, and other models' tensors.
size=$(stat -c %s "$scratch/tiny.safetensors" 2>/dev/null)
if [ -n "$size" ]; then
    for n in 7 8 100 $((size / 2)) $((size - 1)); do
        head -c "$n" "$scratch/tiny.safetensors" >cut.safetensors
        fails "weights cut to $n bytes" 1 cut.safetensors predict a.png "${box[@]}" \
            --weights cut.safetensors
    done
fi
fails "weights that are a hand" 1 "a hand model" predict a.png "${box[@]}" --weights "$hand"

# ---------------------------------------------------------------- pictures

for file in "$pictures"/damaged/* "$pictures"/limit/*; do
    fails "picture ${file##*/}" 1 "${file##*/}" "${base[@]}" "$file"
done
# A PNG of 60 000 × 60 000 pixels in 68 bytes; its checksums are right.
printf '\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\352\140\0\0\352\140\001\0\0\0\0\250\251\110\357' >bomb.png
printf '\0\0\0\013IDAT\170\234\143\140\140\0\0\0\003\0\001\270\255\072\143\0\0\0\0IEND\256\102\140\202' >>bomb.png
fails "a PNG of 60 000 x 60 000" 1 "60000 x 60000 pixels, the limit is 256000000" "${base[@]}" bomb.png
# With the limit lifted it still may not take the memory, or must find the data missing.
(
    ulimit -v 4000000
    timeout 30 "$WILOR" "${base[@]}" bomb.png --max-pixels 4G >out 2>err </dev/null
)
rc=$?
if grep -q 'Sanitizer failed to allocate' err; then
    echo "# a sanitizer needs more addresses than that: not run"
else
    [ "$rc" -eq 1 ] && one_line bomb.png
    result $? "the same with --max-pixels 4G and 4 GB of addresses (exit 1)"
fi
cp a.png joined.png
head -c 1000000 /dev/zero >>joined.png
run "${base[@]}" joined.png
is "bytes behind a picture do not matter" 0
for how in pipe-empty pipe-text pipe-zeros; do
    case $how in
    pipe-empty) timeout 30 "$WILOR" "${base[@]}" - >out 2>err </dev/null ;;
    pipe-text) echo text | timeout 30 "$WILOR" "${base[@]}" - >out 2>err ;;
    pipe-zeros) head -c 3000000 /dev/zero | timeout 30 "$WILOR" "${base[@]}" - >out 2>err ;;
    esac
    rc=$?
    [ "$rc" -eq 1 ] && empty out && one_line "standard input"
    result $? "$how (exit 1)"
done

# ---------------------------------------------------------------- names

for odd in $'new\nline' $'esc\e[31mred' $'bad\xff\xfeutf' $'cr\rtab\t' $'nel\xc2\x85x' "$(printf 'x%.0s' $(seq 250))"; do
    cp text.jpg "$odd"
    for args in "info" "predict a.png ${box[*]} --threads 1 --weights" "predict ${weights[*]} ${box[*]} --"; do
        # shellcheck disable=SC2086
        run $args "$odd"
        [ "$rc" -eq 1 ] && empty out && one_line ""
        result $? "a name like $(printf %q "${odd:0:20}") after ${args:0:14}"
    done
done
# A format error that quotes what stands in the file.
printf '\120\0\0\0\0\0\0\0{"a\\n\\u001b[31m\\u0085":{"dtype":"F\\n32","shape":[2],"data_offsets":[0,8]}}        ' >names.safetensors
run info names.safetensors
[ "$rc" -eq 1 ] && one_line names.safetensors
result $? "names inside a file are quoted"

# ---------------------------------------------------------------- boxes and numbers

for value in nan,nan,nan,nan,left 0,0,-nan,1,left 0,0,1e999,1,left -inf,0,1,1,right 1e9999,0,1,1,right \
    5,5,5,5,left 9,9,1,1,right 0,0,0,0,left 1e-320,0,0,1,left ,,,,left 1,2,3,4, '' -0,-0,-0,-0,left \
    99999999999999999999,0,1,1,left 0,0,1e300,1e300,left; do
    run predict a.png "${weights[@]}" --bbox "$value"
    [ "$rc" -eq 2 ] && empty out && one_line --bbox
    result $? "--bbox '$value' (exit 2)"
done
for value in -1e9,-1e9,1e9,1e9,left 1e9,1e9,1000000001,1000000001,left 0,0,1e-3,1e-3,right \
    -500,-500,-400,-400,left 0,0,1e9,1e-9,right; do
    run predict a.png "${weights[@]}" --bbox="$value" --threads 1
    { [ "$rc" -eq 0 ] && empty err; } || { { [ "$rc" -eq 1 ] || [ "$rc" -eq 2 ]; } && one_line ""; }
    result $? "--bbox '$value' is answered (exit $rc)"
done
for option in --rescale --fov --focal --palm --threads --heads --max-pixels --intrinsics --distortion; do
    good=()
    [ $option = --distortion ] && good=(--fov 60)
    for value in nan inf -inf -1 '' ' ' 0x10 1e999 1,2 1e 99999999999999999999999999 --5 $'1\n' 1_0 ½ \
        nan,nan,nan,nan 0,0,0,0 1,1,inf,1 nan,0,0,0,0 1e999,0,0,0,0 1,1,1,1,1,1,1,1; do
        run "${base[@]}" a.png "${good[@]}" "$option=$value"
        [ "$rc" -eq 2 ] && empty out && one_line "$option"
        [ $? -eq 0 ] || { result 1 "$option='$value' (exit 2)"; continue; }
    done
    result 0 "$option refuses what is no such number (exit 2)"
done
# Just inside what is allowed: an answer or one line, never a crash.
for args in "--rescale 1e-3" "--rescale 1000" "--fov 1" "--fov 179" "--focal 1e-6" "--focal 1e9" \
    "--palm 0.001" "--intrinsics 1e-6,1e-6,0,0" "--intrinsics 1e9,1e9,-1e9,1e9" \
    "--fov 60 --distortion 1e9,1e9,1e9,1e9,1e9" "--threads 64" "--max-pixels 18G" "--heads 4" \
    "--heads 3" "--heads 1000000"; do
    # shellcheck disable=SC2086
    run "${base[@]}" a.png $args --json --npz edge.npz --obj edge --overlay edge
    if [ "$rc" -eq 0 ]; then "$CLI_CHECK" events out 1 1 >>err 2>&1; else
        { [ "$rc" -eq 1 ] || [ "$rc" -eq 2 ]; } && one_line ""
    fi
    result $? "$args is answered (exit $rc)"
done

# ---------------------------------------------------------------- places that cannot be written

# untouched WHAT: nothing new in places/, and the file that was there is as before.
untouched() {
    [ "$(find places | sort | tr '\n' ' ')" = "places places/old " ] && [ "$(cat places/old)" = before ]
}
fresh() {
    rm -rf places
    mkdir places
    printf before >places/old
}

# place DESCRIPTION TEXT ARG...: exit 1 with a line that has TEXT, nothing left in places/.
place() {
    local what=$1 text=$2
    shift 2
    run "${base[@]}" a.png "$@"
    [ "$rc" -eq 1 ] && one_line "$text" && untouched
    result $? "$what (exit 1)"
}
fresh
for option in -o --npz --gltf; do
    name=x
    [ $option = --gltf ] && name=x.glb
    place "$option below a file" "places/old/$name" $option "places/old/$name"
    place "$option in no folder" "places/none/$name" $option "places/none/$name"
    # O_CREAT in /proc fails for root, too.
    [ -d /proc/self ] && place "$option where nothing can be made" "/proc/$name" $option "/proc/$name"
    place "$option with a name too long" "File name too long" $option "places/$(printf 'x%.0s' $(seq 300))$name"
done
mkdir folder.glb
place "-o is a folder" "'folder'" -o folder
place "--npz is a folder" "'folder'" --npz folder
place "--gltf is a folder" "'folder.glb'" --gltf folder.glb
for option in --obj --overlay; do
    place "$option below a file" "'places/old/x'" $option places/old/x
    place "$option is a file" "'places/old'" $option places/old
    place "$option in no folder" "places/none/x" $option places/none/x
    [ -d /proc/self ] && place "$option where nothing can be made" "'/proc/x'" $option /proc/x
done
check "nothing was made beside" no_leftovers .
if [ -w /dev/full ]; then
    for args in "-o /dev/full" "-o /dev/full --json" "--npz /dev/full"; do
        # shellcheck disable=SC2086
        place "$args" "/dev/full" $args
    done
    for args in "" --json; do
        # shellcheck disable=SC2086
        timeout 30 "$WILOR" "${base[@]}" a.png $args >/dev/full 2>err </dev/null
        rc=$?
        [ "$rc" -eq 1 ] && one_line "standard output"
        result $? "stdout is full $args (exit 1)"
    done
    timeout 30 "$WILOR" info "$hand" >/dev/full 2>err </dev/null
    rc=$?
    [ "$rc" -eq 1 ] && one_line "standard output"
    result $? "info on a full stdout (exit 1)"
fi
timeout 30 "$WILOR" "${base[@]}" a.png >&- 2>err </dev/null
rc=$?
[ "$rc" -eq 1 ] && one_line "standard output"
result $? "stdout is closed (exit 1)"

# ---------------------------------------------------------------- a disk that fills up

# full BLOCKS TEXT ARG...: no file may pass that many KiB; writing fails with EFBIG, as it would with ENOSPC.
full() {
    local blocks=$1 text=$2
    shift 2
    (
        trap '' XFSZ
        ulimit -f "$blocks"
        timeout 30 "$WILOR" "${base[@]}" a.png "$@" >/dev/null 2>err </dev/null
    )
    rc=$?
    [ "$rc" -eq 1 ] && one_line "$text" && says "File too large" && untouched
    result $? "full after $blocks KiB: $* (exit 1)"
}
fresh
all=(--include mano,vertices,xr26,gesture)
for blocks in 1 4; do
    full $blocks places/old -o places/old "${all[@]}"
    full $blocks places/old -o places/old --json "${all[@]}"
done
for blocks in 1 5 20; do
    full $blocks places/old --npz places/old
done
for name in x.glb x.gltf; do
    for blocks in 1 5; do full $blocks "$name" --gltf places/$name; done
done
# Folders are made before; what may be in them is nothing.
for option in --obj --overlay; do
    (
        trap '' XFSZ
        ulimit -f 1
        mkdir -p half
        timeout 30 "$WILOR" "${base[@]}" a.png $option half >/dev/null 2>err </dev/null
    )
    rc=$?
    [ "$rc" -eq 1 ] && one_line "half/a" && says "File too large" && [ -z "$(ls -A half)" ]
    result $? "full: $option leaves an empty folder (exit 1)"
    rm -rf half
done
finish
