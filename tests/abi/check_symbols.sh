#!/usr/bin/env bash
# check_symbols.sh LIBWILOR LIBWILOR_IO LIBWILOR_A [MODULE ...]: what the shared libraries export equals the committed
# lists (a module's, its table), what they import holds nothing that ends or talks for the process, their sonames, and that wide
# registers stand only in the kernels' own objects.
set -u
here=$(cd "$(dirname "$0")" && pwd)
bad=0
fail() { echo "not ok - $*"; bad=1; }
for tool in nm readelf objdump; do
    command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done

for library in "$1" "$2" "${@:4}"; do
    name=$(basename "$library"); name=${name%%.so*}
    if [ -f "$here/$name.symbols" ]; then cat "$here/$name.symbols"; else echo "${name#lib}_get_table"; fi >"${TMPDIR:-/tmp}/wanted.$$"
    nm -D --defined-only "$library" | awk '{print $NF}' | sort >"${TMPDIR:-/tmp}/symbols.$$"
    diff "${TMPDIR:-/tmp}/wanted.$$" "${TMPDIR:-/tmp}/symbols.$$" || fail "$name exports something else than it should"
    rm -f "${TMPDIR:-/tmp}/wanted.$$" "${TMPDIR:-/tmp}/symbols.$$"
    readelf -d "$library" | grep -q "soname: \[$name.so.0\]" || fail "$name has another soname than $name.so.0"
    # Versions, and the names that the C library's headers give some functions, taken off.
    imports=$(nm -D --undefined-only "$library" | awk '{print $NF}' | sed -E 's/@.*//; s/^__isoc(99|23)_//; s/^__(.*)_chk$/\1/')
    for word in $imports; do
        case $word in
        exit | _exit | _Exit | quick_exit | abort | __assert_fail | raise | kill | printf | vprintf | puts | putchar | \
            fputs | fputc | fwrite_unlocked | perror | setlocale | signal | sigaction | system | popen | exec* | fork | \
            atexit | srand | rand | setenv | putenv | chdir | umask | fprintf | vfprintf | stdout | stderr)
            fail "$name imports $word" ;;
        esac
    done
done

# What a module is for, the library is not linked to.
for library in "${@:4}"; do
    for need in $(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(libav[a-z]*\|libswscale\|libcurl\)[-.].*/\1/p'); do
        readelf -d "$2" | grep -q "(NEEDED).*\[$need[-.]" && fail "libwilor_io is linked to $need"
    done
done

# fwrite, fprintf to files are the program's; the core writes no file at all.
nm -D --undefined-only "$1" | grep -qE ' (fwrite|fputs|open_memstream|unlink|rename)(@|$)' && fail "the core writes files"

if [ "$(uname -m)" = x86_64 ]; then
    work=$(mktemp -d)
    (cd "$work" && ar x "$3")
    for object in "$work"/*.o; do
        case $(basename "$object") in
        kernels_avx2.c.o | kernels_avx512.c.o | dot_avx2.c.o | dot_avxvnni.c.o | dot_avx512*.c.o | dot_amx.c.o | dot_amx_u4.c.o | \
            conv16_amx.c.o) continue ;;
        esac
        if objdump -d --no-show-raw-insn "$object" | grep -qE '%[yz]mm'; then
            fail "$(basename "$object") uses ymm or zmm registers"
        fi
    done
    objdump -d --no-show-raw-insn "$work/kernels_avx512.c.o" | grep -q '%zmm' || fail "kernels_avx512.c.o has no zmm register"
    rm -rf "$work"
fi
[ $bad = 0 ] && echo "ok - exports, imports, sonames, registers"
exit $bad
