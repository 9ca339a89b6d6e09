# Writes OUT, a C file with the bytes of FILE as NAME and their number as NAME_size:
#   cmake -DFILE=… -DOUT=… -DNAME=… -P WilorEmbed.cmake
file(READ ${FILE} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUT} "#include <stddef.h>
extern const unsigned char ${NAME}[];
extern const size_t ${NAME}_size;
const unsigned char ${NAME}[] = {
${hex}
0};
const size_t ${NAME}_size = ${size};
")
