#!/usr/bin/env bash
# wilor live: numbered pictures, raw frames on the standard input, each output; bad sources, interrupts. Video
# files and devices are where FFmpeg is (check_live_video.sh).
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
cd "$scratch" || exit 1
# A network that answers everything with the mean pose: hands that can be followed.
weights=(--weights random:demo --mano "$CLI_DATA/hand-cc0.npz")
events() { "${WILOR_TEST_PYTHON:-python3}" "$here/live_events.py" "$@"; }
here=$(cd "${0%/*}" && pwd)
"${WILOR_TEST_PYTHON:-python3}" -c 'import json' 2>/dev/null || skip_all "no python3"
mkdir frames
for i in 0 1 2 3 4 5 6 7; do "$CLI_MAKE_PICTURE" "frames/f-$i.png" 96 80 1 || exit 1; done
"$CLI_MAKE_PICTURE" small.png 64 48 2 || exit 1
live=(live "${weights[@]}" --detector random:micro --max-hands 3)

usage_error "no source given" live "${weights[@]}"
usage_error "one source at a time" live a.mp4 b.mp4
usage_error "--smooth '2': it should be" live frames --smooth 2
usage_error "--size '640': it should be" live frames --size 640
usage_error "exclude each other" live frames --bin --ndjson
usage_error "no meaning with --no-track" live frames --no-track --hold 10
usage_error "unknown option '--crops'" live frames --crops
usage_error "did you mean --smooth" live frames --smoth 1
usage_error "it should be a name that ends in .glb" live frames --gltf a.obj
fails "a source that is not there" 1 "nothing.mp4" "${live[@]}" nothing.mp4
fails "weights that are not there" 4 "none.ckpt" live frames --weights none.ckpt --detector random:micro

run "${live[@]}" --threads 1 frames
is "a folder of pictures" 0
cp out first
check "its events" events out frames=8 hands=some ids=stable "bye=end of the source"
run "${live[@]}" frames --threads 2
strip() { sed -E 's/"(t_ready|t_utc|session|timing|wait|total)":("[^"]*"|\{[^}]*\}|[0-9]+),?//g' "$1"; }
check "two threads say the same" test "$(strip out)" = "$(strip first)"
run "${live[@]}" 'frames/f-%d.png' --no-track
check "without tracking ids are new" events out frames=8 hands=some ids=new states=detected
run "${live[@]}" frames --two-sided --smooth 0.5
check "smoothed from both sides" events out frames=8 hands=some ids=stable
run "${live[@]}" frames --two-sided --smooth 0
cp out both
run "${live[@]}" frames --smooth 0
check "which does nothing without smoothing" events out same=both
usage_error "--overlay takes frames as they come" live frames --two-sided --overlay a.mp4
usage_error "needs a whole file" live frames --two-sided --realtime
run "${live[@]}" frames --conf 1 --skip-empty
check "--skip-empty has no empty events" events out frames=0
run "${live[@]}" frames --conf 1
check "an empty event a frame" events out frames=8 hands=none
run "${live[@]}" frames --include mano,xr26,vertices,gesture,angles,det --stream left-eye
check "everything included" events out frames=8 hands=some
check "under the stream's name" grep -q '"stream":"left-eye"' out
check "with joints, mesh and angles" grep -q '"xr26":\[.*"angles":\[\[' out
run "${live[@]}" frames -o events.ndjson --npz live.npz --quiet
check "-o takes the lines" events events.ndjson frames=8
check "nothing on the standard output" empty out
check "an npz of all hands" test -s live.npz
run "${live[@]}" frames --bin -o events.bin
is "binary records" 0
check "begin with WLE1" test "$(head -c 4 events.bin)" = WLE1
run "${live[@]}" frames --gltf take.glb --bvh take.bvh
is "takes" 0
check "a scene" test "$(head -c 4 take.glb)" = glTF
check "a bvh a hand" bash -c 'ls take_*_right.bvh take_*_left.bvh 2>/dev/null | grep -q .'
run "${live[@]}" frames --realtime --fps 60
check "at its own pace" events out hands=some
check "no temporary files" no_leftovers .

: >out
"$WILOR" "${live[@]}" frames --loop --realtime >out 2>err &
pid=$!
for _ in $(seq 600); do
    [ "$(grep -c '"hands"' out)" -gt 12 ] && break
    sleep 0.1
done
kill -INT "$pid"
wait "$pid"
rc=$?
is "an interrupt" 130
check "ends with a bye" events out bye=interrupted hands=some
# A program that reads lines as they come, and stops us when it has had enough.
cat >reader.py <<'PY'
import json, subprocess, sys, time
def stopped_twice():
    """How many seconds lay between the two."""
    p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    seen = 0
    while seen < 5:
        event = json.loads(p.stdout.readline())
        seen += event["type"] == "hands"
    assert p.poll() is None, "it is still running"
    began = time.monotonic()
    p.terminate()
    time.sleep(0.01)
    p.terminate()  # as timeout(1) does it: once to the process, once to its group
    seconds = time.monotonic() - began
    return seconds, [json.loads(line) for line in p.stdout], p.wait()
for _ in range(10):
    seconds, rest, status = stopped_twice()
    if seconds < 0.2:  # else the second one may have counted, rightly
        break
assert rest[-1]["type"] == "bye" and rest[-1]["reason"] == "interrupted", rest[-1]
assert status == 130, status
PY
check "a subprocess's reader gets each event at once" "${WILOR_TEST_PYTHON:-python3}" reader.py "$WILOR" "${live[@]}" frames --loop --realtime
# Nobody reads: the run waits for its pipe and cannot end by itself.
cat >stuck.py <<'PY'
import array, fcntl, signal, subprocess, sys, termios, time
for _ in range(10):
    p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seen, waiting = -1, array.array("i", [0])
    while not waiting[0] or waiting[0] != seen:
        seen = waiting[0]
        time.sleep(1)
        fcntl.ioctl(p.stdout, termios.FIONREAD, waiting)
    began = time.monotonic()
    p.terminate()
    time.sleep(0.01)
    p.terminate()
    quick = time.monotonic() - began < 0.2
    time.sleep(0.5)
    if quick and p.poll() != 130:  # else its pipe was not full, it was held up itself
        break
    p.kill()
assert p.poll() is None, "the first signal asks, twice at once or not"
p.terminate()
assert p.wait(60) == -signal.SIGTERM, p.returncode
PY
check "a second signal ends what does not end" "${WILOR_TEST_PYTHON:-python3}" stuck.py "$WILOR" "${live[@]}" frames --loop
finish
