#!/usr/bin/env bash
# check_accuracy.sh PROGRAM FOLDER: a small run of bench_accuracy. Float32 is not listed against itself, what the
# processor lacks is named, the rest differs from float32, the coarser the more, and a second run says the same.
set -u
# shellcheck source=bench_lib.sh
. "${0%/*}/bench_lib.sh"
program=$1 folder=$2
rm -rf "$folder"
mkdir -p "$folder/tmp" && cd "$folder" || exit 1
export TMPDIR=$folder/tmp
"$program" --weights random:hd80 --crops 3 --threads 1 >first 2>log
check "it ends well" test $? -eq 0
"$program" --weights random:hd80 --crops 3 --threads 2 >second 2>log
check "two threads say the same" diff <(awk 'NR > 2 { print $1, $3, $4, $5, $6 }' first) <(awk 'NR > 2 { print $1, $3, $4, $5, $6 }' second)
check "all types are rows or named as missing" test "$(($(wc -l <first) - 2 + $(grep -c 'has not got' log)))" -eq 6
check "median, p99 and largest grow" awk 'NR > 2 && !(0 < $4 && $4 <= $5 && $5 <= $6) { bad = 1 } END { exit bad }' first
check "int8 stays within what test_dtypes allows" awk '$1 == "int8" { found = $6 < 6 } END { exit !found }' first
check "4-bit weights cost more than 8-bit arithmetic" \
    awk '$1 == "int8" { a = $5 } $1 == "int4/f32" { b = $5 } $1 == "int4/int8" { c = $5 } END { exit !(a < b && a < c) }' first
check "nothing is left behind" test -z "$(ls tmp)"
"$program" --weights random:hd80 --crops 1 --only int8 --json >json 2>log
check "JSON has one result" test "$(grep -c '"what":"accuracy"' json)" -eq 1
"$program" --only f33 >out 2>log
check "an unknown type is a usage error" test $? -eq 2
"$program" --weights random:hd80 --reference none.npz >out 2>log
check "a reference that is not there is an error" test $? -eq 1
check "which is named" grep -q "none.npz" log
[ "$bad" -eq 0 ] || sed 's/^/#   /' first log
exit $bad
