#!/usr/bin/env bash
# check_installed.sh BUILD SCRATCH: installs BUILD into SCRATCH, builds the examples against that copy with
# pkg-config (C99, C11, C++17; shared and static) and with find_package, runs them, uninstalls again. The same
# for the examples in the manual page and on top of the header, as they stand there.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
build=$1 scratch=$2 prefix=$2/prefix
bad=0
fail() { echo "not ok - $*"; bad=1; }
try() { # what, command...
    local what=$1
    shift
    if "$@" >"$scratch/log" 2>&1; then echo "ok - $what"; else fail "$what: $*"; tail -n 20 "$scratch/log"; fi
}
for tool in pkg-config cmake gcc; do
    command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
rm -rf "$scratch"
mkdir -p "$scratch"

# The builder's own manifest stays as it is.
manifest=$build/install_manifest.txt
[ -f "$manifest" ] && cp "$manifest" "$scratch/manifest.before"
try "install" cmake --install "$build" --prefix "$prefix"
cp "$manifest" "$scratch/manifest"
if [ -f "$scratch/manifest.before" ]; then cp "$scratch/manifest.before" "$manifest"; else rm -f "$manifest"; fi

if [ -x "$prefix/bin/wilor" ] && [ "$(uname)" = Linux ]; then # in another folder, with no path to its libraries
    mv "$prefix" "$scratch/moved"
    try "the program in a folder that was moved" env -u LD_LIBRARY_PATH "$scratch/moved/bin/wilor" predict --weights random:demo \
        --mano "$source/tests/golden/data/hand-cc0.npz" --bbox 333,178,623,298,right "$source/demo/hands.png" --quiet
    mv "$scratch/moved" "$prefix"
fi
libdir=$(dirname "$(find "$prefix" -name libwilor.so | head -n 1)")
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir
hand=$source/tests/golden/data/hand-cc0.npz picture=$source/demo/hands.png
warnings="-Wall -Wextra -Wpedantic -Werror"

run_examples() { # folder, what
    try "$2: predict" "$1/predict" random:demo "$hand" "$picture" "$scratch/out.png" 333 178 623 298 right
    try "$2: many_threads" "$1/many_threads" random:demo "$hand"
}

# The manual's is a program of its own, the header's the inside of a function that has a picture.
sed -n '/^\.Sh EXAMPLES/,/^\.Ed/p' "$source/docs/man/wilor.3" | sed '1,/^\.Bd/d;/^\.Ed/d;s/\\e/\\/g' >"$scratch/manual.c"
grep -q '^int main' "$scratch/manual.c" || fail "wilor.3 has no example"
{
    printf '#include <stdio.h>\n#include <wilor/wilor.h>\n'
    printf 'int example(const uint8_t *pixels, int width, int height);\n'
    printf 'int example(const uint8_t *pixels, int width, int height) {\n'
    # Up to the first line behind the example that is indented less; blank ones belong to it.
    sed -n '1,/\*\//p' "$prefix/include/wilor/wilor.h" | sed -n '/^ \*     /,/^ \* [^ ]/p' | sed '/^ \* [^ ]/,$d;s/^ \*//'
    printf 'return 0;\n}\n'
} >"$scratch/header.c"
grep -q wilor_model_open "$scratch/header.c" || fail "wilor.h has no example"
model=
if [ -x "$build/tests/wilor_make_model" ]; then
    model=$scratch/tiny.safetensors
    try "a model for the manual's example" "$build/tests/wilor_make_model" tiny "$hand" "$model"
fi

for standard in c99 c11 c++17; do
    out=$scratch/$standard
    mkdir -p "$out"
    for example in predict crops many_threads callbacks; do
        module=wilor
        [ $example = predict ] && module=wilor_io
        compiler="gcc -std=$standard -D_POSIX_C_SOURCE=200809L"
        if [ $standard = c++17 ]; then
            command -v g++ >/dev/null || continue
            compiler="g++ -x c++ -std=c++17"
        fi
        # shellcheck disable=SC2046,SC2086
        try "$standard: $example" $compiler $warnings $(pkg-config --cflags $module) "$source/examples/$example.c" \
            -o "$out/$example" $(pkg-config --libs $module) -pthread
    done
    [ -x "$out/predict" ] && run_examples "$out" "$standard"
    # shellcheck disable=SC2046,SC2086
    try "$standard: the header's example" $compiler $warnings $(pkg-config --cflags wilor) -c "$scratch/header.c" -o "$out/header.o"
    # shellcheck disable=SC2046,SC2086
    try "$standard: the manual's example" $compiler $warnings $(pkg-config --cflags wilor_io) "$scratch/manual.c" \
        -o "$out/manual" $(pkg-config --libs wilor_io)
    if [ -n "$model" ] && [ -x "$out/manual" ]; then
        try "$standard: the manual's example, run" "$out/manual" "$model" "$picture"
        grep -Eq '^-?[0-9.e+-]+ -?[0-9.e+-]+ [0-9.e+-]+$' "$scratch/log" || fail "it says $(head -n 1 "$scratch/log")"
    fi
done
# The modules are installed, too, and found: the build folder's own are not beside this copy.
for module in video download; do
    [ -e "$build/libwilor_$module.so.0" ] || continue
    try "the module $module" test -e "$libdir/libwilor_$module.so.0"
done
if [ -x "$prefix/bin/wilor" ] && [ -e "$build/libwilor_video.so.0" ]; then
    try "the installed program: a video" "$prefix/bin/wilor" live "$source/tests/fuzz/corpus/video/avc.mp4" --weights random:demo \
        --mano "$hand" --detector random:micro
fi
test -s "$scratch/out.png" || fail "predict left no drawing"

# shellcheck disable=SC2046,SC2086
try "static" gcc -std=c11 -D_POSIX_C_SOURCE=200809L $warnings $(pkg-config --cflags wilor) "$source/examples/crops.c" -o "$scratch/crops_static" \
    -L"$libdir" -l:libwilor.a $(pkg-config --libs --static wilor | sed 's/-lwilor//') -pthread
ldd "$scratch/crops_static" | grep -q libwilor && fail "the static example needs libwilor.so"

for kind in OFF ON; do
    try "find_package, static $kind" cmake -S "$source/examples" -B "$scratch/cmake-$kind" -DCMAKE_PREFIX_PATH="$prefix" -DEXAMPLES_STATIC=$kind
    try "find_package, static $kind: build" cmake --build "$scratch/cmake-$kind"
    run_examples "$scratch/cmake-$kind" "find_package, static $kind"
done

try "uninstall" cmake -DMANIFEST="$scratch/manifest" -P "$source/cmake/uninstall.cmake"
left=$(find "$prefix" ! -type d 2>/dev/null | head -n 3)
[ -z "$left" ] || fail "uninstall leaves $left"
exit $bad
