#!/usr/bin/env bash
# wilor live on videos and a camera: codecs, times, turned and damaged files, sizes that change, pipes, a camera that is busy,
# unplugged or stalls (a simulated one: tests/support/v4l2_shim.c), overlay videos. Makes its videos with the program ffmpeg.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
here=$(cd "${0%/*}" && pwd)
cd "$scratch" || exit 1
python=${WILOR_TEST_PYTHON:-python3}
"$python" -c 'import json' 2>/dev/null || skip_all "no python3"
command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || skip_all "no program ffmpeg to make videos with"
"$WILOR" live lavfi:color=size=64x48:duration=0.05 --weights random:demo --mano "$CLI_DATA/hand-cc0.npz" --detector random:micro >out 2>err </dev/null
grep -q 'no FFmpeg' err && skip_all "built without FFmpeg"
picture=$here/../../demo/hands.png
events() { "$python" "$here/live_events.py" "$@"; }
live=(live --weights random:demo --mano "$CLI_DATA/hand-cc0.npz" --detector random:micro --max-hands 2)
make() { ffmpeg -v error -y "$@" </dev/null; }
# A pan over the picture, 20 frames.
pan=(-loop 1 -i "$picture" -vf "crop=320:240:'4*n':20,fps=20" -frames:v 20 -pix_fmt yuv420p)

make "${pan[@]}" -c:v libx264 h264.mp4 || skip_all "this ffmpeg has no libx264"
make "${pan[@]}" -c:v mjpeg -q:v 3 mjpeg.avi
for file in h264.mp4 mjpeg.avi; do
    run "${live[@]}" $file
    is "$file" 0
    check "$file: every frame has its event" events out frames=20 hands=some ids=stable "bye=end of the source"
done
if make "${pan[@]}" -c:v libvpx-vp9 -deadline realtime -cpu-used 8 vp9.webm; then
    run "${live[@]}" vp9.webm
    check "VP9" events out frames=20 hands=some
fi
make -loop 1 -i "$picture" -vf "crop=320:240:'4*n':20,setpts='(N+N*N/20)/20/TB'" -frames:v 20 -fps_mode vfr -c:v libx264 -pix_fmt yuv420p vfr.mp4
run "${live[@]}" vfr.mp4
check "a variable rate" events out frames=20
check "keeps its times" "$python" - out <<'PY'
import json, sys
t = [e["t_capture"] for e in map(json.loads, open(sys.argv[1])) if e["type"] == "hands"]
steps = [b - a for a, b in zip(t, t[1:])]
assert steps[-1] > 1.5 * steps[0], steps
PY
make -i h264.mp4 -c copy -metadata:s:v rotate=90 turned.mp4 2>/dev/null || make -display_rotation 90 -i h264.mp4 -c copy turned.mp4
run "${live[@]}" turned.mp4
check "a turned video" events out frames=20
check "is upright" grep -q '"image":{"w":240,"h":320' out

# Damage in the middle: what can be decoded is, and the program says so.
"$python" - <<'PY'
data = bytearray(open("h264.mp4", "rb").read())
middle = len(data) // 2
for i in range(middle, middle + 2000):
    data[i] ^= i * 37 & 255
open("damaged.mp4", "wb").write(data)
open("cut.mp4", "wb").write(open("h264.mp4", "rb").read()[:4000])
PY
run "${live[@]}" damaged.mp4
is "a damaged video goes on to its end" 0
check "with most of its events" events out hands=some "bye=end of the source"
check "and says where" test -s err
fails "a video that is cut before its first frame" 1 cut.mp4 "${live[@]}" cut.mp4

# threads_for FILE: of the process, while it plays that.
threads_for() {
    "$WILOR" "${live[@]}" "$1" --threads 1 --realtime --loop >out 2>err </dev/null &
    local pid=$! waited=0
    until grep -q '"type":"hands"' out || [ $((waited += 1)) -gt 300 ]; do sleep 0.1; done
    ls "/proc/$pid/task" | wc -l
    kill -INT $pid && wait $pid
}
if [ -d /proc/self/task ]; then
    # MJPEG is decoded by the reading thread, whatever is asked for.
    check "--threads 1 holds for decoding" test "$(threads_for h264.mp4)" -eq "$(threads_for mjpeg.avi)"
fi
make -i mjpeg.avi -frames:v 5 -c:v mjpeg -q:v 3 -f mjpeg small.mjpeg
make -i mjpeg.avi -frames:v 5 -vf scale=160:120 -c:v mjpeg -q:v 3 -f mjpeg smaller.mjpeg
cat small.mjpeg smaller.mjpeg >two.mjpeg
run "${live[@]}" two.mjpeg
check "a size that changes" events out frames=10
check "is told" bash -c 'grep -q "\"w\":320,\"h\":240" out && grep -q "\"w\":160,\"h\":120" out'

ffmpeg -v error -i h264.mp4 -f rawvideo -pix_fmt rgb24 - </dev/null |
    "$WILOR" "${live[@]}" - --format rawvideo --size 320x240 --pixel-format rgb24 >out 2>err
rc=$?
is "raw frames on the standard input" 0
check "the newest counts" events out clock=monotonic hands=some
cat small.mjpeg | "$WILOR" "${live[@]}" - --format mjpeg >out 2>err
rc=$?
is "MJPEG on the standard input" 0
check "its events" events out clock=monotonic

make -i h264.mp4 -f lavfi -i sine=duration=1 -c:v copy -c:a aac sound.mp4
run "${live[@]}" sound.mp4 --overlay overlay.mp4 -o events.ndjson
is "an overlay video" 0
check "has every frame and the sound" test "$(ffprobe -v error -count_packets -show_entries stream=codec_type,nb_read_packets -of csv=p=0 overlay.mp4 | sed -n 1p)" = "video,20" -a \
    "$(ffprobe -v error -show_entries stream=codec_type -of csv=p=0 overlay.mp4 | grep -c audio)" -eq 1
check "no temporary files" no_leftovers .
fails "an overlay in a folder that is not there" 1 nowhere "${live[@]}" sound.mp4 --overlay nowhere/o.mp4 -o e.ndjson

# camera BEHAVIOUR PATTERN: the simulated one, interrupted when the events have that, in one line; at the latest after 120 s.
camera() {
    : >out
    WILOR_FAKE_CAMERA=$1 LD_PRELOAD=$V4L2_SHIM "$WILOR" "${live[@]}" /dev/video99 >out 2>err </dev/null &
    local pid=$! waited=0
    until tr -d '\n' <out | grep -q "$2" || ! kill -0 $pid 2>/dev/null || [ $((waited += 1)) -gt 1200 ]; do sleep 0.1; done
    kill -INT $pid 2>/dev/null
    wait $pid
    rc=$?
}
if [ -n "${V4L2_SHIM:-}" ]; then
    camera busy nothing
    is "a camera that is busy" 1
    check "says so" grep -qi 'busy' err
    check "on one line" lines err 1
    # Long enough between two unpluggings for a busy machine to see a frame.
    camera "rate=30 unplug=60" '"status":"lost".*"status":"opened".*"type":"hands"'
    check "an unplugged camera is lost and opened again" bash -c '[ "$(grep -c "\"status\":\"lost\"" out)" -ge 1 ] && [ "$(grep -c "\"status\":\"opened\"" out)" -ge 2 ]'
    check "its events go on" "$python" - out <<'PY'
import json, sys
lines = [json.loads(x) for x in open(sys.argv[1])]
lost = next(i for i, e in enumerate(lines) if e.get("status") == "lost")
assert any(e["type"] == "hands" for e in lines[:lost]), "events before"
assert any(e["type"] == "hands" for e in lines[lost:]), "events behind"
frames = [e["frame"] for e in lines if e["type"] == "hands"]
assert frames == sorted(set(frames)), frames
assert lines[-1]["type"] == "bye", lines[-1]
PY
fi
finish
