#!/bin/bash -eu
# OSS-Fuzz's build: $SRC/wilor is the checkout; $CC, $CFLAGS, $LIB_FUZZING_ENGINE, $OUT and $WORK are given.
# The picture libraries and jansson come from the base image's packages (scripts/install-packages names).
build=${WORK:-/tmp}/wilor-oss-fuzz
cmake -S "$SRC/wilor" -B "$build" -G Ninja -DCMAKE_C_COMPILER="$CC" -DCMAKE_C_FLAGS="$CFLAGS" \
    -DCMAKE_EXE_LINKER_FLAGS="$CFLAGS" -DCMAKE_BUILD_TYPE=None -DWILOR_BENCH=OFF -DWILOR_FUZZ=ON \
    -DWILOR_FUZZ_ENGINE="$LIB_FUZZING_ENGINE"
for list in "$build"/tests/fuzz/*.seeds; do
    name=$(basename "$list" .seeds)
    cmake --build "$build" --target "fuzz_$name"
    cp "$build/tests/fuzz/fuzz_$name" "$OUT/"
    rm -f "$OUT/fuzz_${name}_seed_corpus.zip"
    # Names alone: the files of one harness have different ones.
    grep . "$list" | while read -r folder; do
        [ ! -d "$folder" ] || find "$folder" -type f ! -name '*.expected.json' -print
    done | zip -q -j "$OUT/fuzz_${name}_seed_corpus.zip" -@
done
for name in weights checkpoint mano_pickle pickle detector; do
    cp "$SRC/wilor/tests/fuzz/weights.dict" "$OUT/fuzz_$name.dict"
done
