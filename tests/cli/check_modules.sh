#!/usr/bin/env bash
# What is loaded when: FFmpeg for a video alone, libcurl for a download alone; and what is said where a module is missing or
# another version's. VIDEO_MODULE, DOWNLOAD_MODULE: those of this build, or empty.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
cd "$scratch" || exit 1
[ -n "${VIDEO_MODULE:-}${DOWNLOAD_MODULE:-}" ] || skip_all "this build links FFmpeg and libcurl directly"
box=(--bbox 10,12,60,70,right --threads 1)
weights=(--weights random:demo --mano "$CLI_DATA/hand-cc0.npz")
videos=${0%/*}/../fuzz/corpus/video
mkdir pictures
for i in 1 2 3; do "$CLI_MAKE_PICTURE" pictures/$i.png 96 80 $i || exit 1; done

# watch ARG...: run, with the names of the libraries that were loaded in `libraries`.
watch() {
    rm -f libraries.*
    LD_DEBUG=files LD_DEBUG_OUTPUT=$scratch/libraries run "$@"
    cat libraries.* >libraries 2>/dev/null
}
loads() { grep -q "file=$1" libraries; }
loads_not() { ! grep -q "file=$1" libraries; }

watch --version
loads libwilor_io || skip_all "no LD_DEBUG here"
for library in libavutil libavcodec libcurl libwilor_video libwilor_download; do
    check "--version: no $library" loads_not $library
done
watch predict pictures/1.png "${weights[@]}" "${box[@]}"
is "a picture" 0
check "no FFmpeg" loads_not libavutil
check "no libcurl" loads_not libcurl
watch live pictures "${weights[@]}" --detector random:micro
is "a sequence of pictures" 0
check "no FFmpeg" loads_not libavutil

rm -f libraries.*
# A live source: the engine may see the newest frame only.
head -c 13824 /dev/zero | LD_DEBUG=files LD_DEBUG_OUTPUT=$scratch/libraries "$WILOR" live - --format rawvideo --size 48x48 --pixel-format rgb24 \
    "${weights[@]}" --detector random:micro >out 2>err
rc=$?
cat libraries.* >libraries
is "raw frames on the standard input" 0
check "are looked at" grep -q '"type":"hands"' out
check "no FFmpeg" loads_not libavutil

if [ -n "${VIDEO_MODULE:-}" ]; then
    watch live "$videos/avc.mp4" "${weights[@]}" --detector random:micro
    is "a video" 0
    check "FFmpeg" loads libavcodec
    check "no libavdevice" loads_not libavdevice
    check "no libcurl" loads_not libcurl

    WILOR_VIDEO_MODULE=/nowhere/x.so
    export WILOR_VIDEO_MODULE
    fails "a video without the module" 1 "libwilor_video.so.0" live "$videos/avc.mp4" "${weights[@]}" --detector random:micro
    check "the video is named" says avc.mp4
    check "what to do" says "install"
    check "why" says "/nowhere/x.so: cannot open"
    run live pictures "${weights[@]}" --detector random:micro
    is "pictures need none" 0
    run live pictures "${weights[@]}" --detector random:micro --overlay out.mp4
    is "a video to be written" 1
    check "the module is named" says "libwilor_video.so.0"
    check "nothing is left" test ! -e out.mp4
    WILOR_VIDEO_MODULE=$OTHER_MODULE
    fails "another version's" 1 "a module of another version" live "$videos/avc.mp4" "${weights[@]}" --detector random:micro
    unset WILOR_VIDEO_MODULE
fi

if [ -n "${DOWNLOAD_MODULE:-}" ]; then
    unset HF_HUB_OFFLINE
    export HF_ENDPOINT=http://127.0.0.1:9 HF_HOME=$scratch/hub
    WILOR_DOWNLOAD_MODULE=/nowhere/x.so
    export WILOR_DOWNLOAD_MODULE
    fails "a download without the module" 4 "libwilor_download.so.0" download org/name:file.safetensors
    check "why" says "/nowhere/x.so: cannot open"
    WILOR_DOWNLOAD_MODULE=$OTHER_MODULE
    fails "another version's" 4 "a module of another version" download org/name:file.safetensors
    unset WILOR_DOWNLOAD_MODULE
    watch download org/name:file.safetensors
    check "a download: libcurl" loads libcurl
    check "and no FFmpeg" loads_not libavutil
fi
finish
