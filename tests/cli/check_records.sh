#!/usr/bin/env bash
# predict --bin, read with the Python and the C of docs/events.md, against the NDJSON of the same pictures.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || skip_all "no python3 from 3.8"
model
events_md=$(cd "${0%/*}/../../docs" && pwd)/events.md
cd "$scratch" || exit 1
"$CLI_MAKE_PICTURE" a.png 96 80 1 && "$CLI_MAKE_PICTURE" b.png 90 100 2 && "$CLI_MAKE_PICTURE" crop.png 256 256 3 ||
    exit 1
base=(predict "${weights[@]}" --threads 1)
two=(--bbox 10,12,60,70,right --bbox 30.5,20.25,80,75,left --include mano,xr26,vertices,gesture,det --focal 500)

block() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" "$events_md" | sed '1d;$d'; }
block python >reader.py
check "the reader has at most some 25 lines" test "$(grep -c . reader.py)" -le 25
cat >compare.py <<'PY'
import json, struct, sys
from reader import records
crops = sys.argv[3:] == ["crops"]
events = [json.loads(line) for line in open(sys.argv[1])]
got = list(records(open(sys.argv[2], "rb")))
f32 = lambda xs: [struct.unpack("<f", struct.pack("<f", x))[0] for x in xs]
flat = lambda rows: f32(x for row in rows for x in row)
assert len(events) == len(got) and sum(len(e["hands"]) for e in events), (len(events), len(got))
for i, (e, r) in enumerate(zip(events, got)):
    assert r["seq"] == r["frame"] == i and len(r["hands"]) == len(e["hands"])
    if not crops:
        assert list(r["camera"]) == f32(e["camera"][k] for k in ("fx", "fy", "cx", "cy"))
    for k, (b, j) in enumerate(zip(r["hands"], e["hands"])):
        assert b["id"] == k + 1 and b["side"] == j["side"] and b["conf"] == f32([j["conf"]])[0]
        assert list(b["kp3d"]) == flat(j["kp3d"])
        assert list(b["vertices"]) == flat(j["vertices"]) and len(b["vertices"]) == 2334
        assert list(b["mano"]) == f32(j["mano"]["global_orient"] + j["mano"]["hand_pose"] + j["mano"]["betas"])
        if not crops:
            assert list(b["kp2d"]) == flat(j["kp2d"]) and list(b["cam_t"]) == f32(j["cam_t"])
            assert list(b["wrist_q"]) == f32(j["wrist"]["q"])
            assert list(b["xr26"]) == flat(x["p"] + x["q"] + [x["r"]] for x in j["xr26"])
        else:
            assert "kp2d" not in b and b["cam_t"] == (0, 0, 0)
PY
run "${base[@]}" a.png b.png "${two[@]}"
is "as NDJSON" 0
cp out text
run "${base[@]}" a.png b.png "${two[@]}" --bin
is "as records" 0
cp out records
check "says the same" python3 compare.py text records
run "${base[@]}" a.png b.png "${two[@]}" --bin -o file.wle
is "into a file" 0
check "with nothing on the standard output" empty out
check "of the same bytes" cmp records file.wle
run "${base[@]}" crop.png --crops --include mano,vertices
cp out text
run "${base[@]}" crop.png --crops --include mano,vertices --bin
is "of a crop" 0
cp out records
check "says the same" python3 compare.py text records crops

{
    block c
    cat <<'C'
#include <stdio.h>
int main(void) {
    struct wle_header h;
    struct wle_hand hand;
    while (fread(&h, sizeof h, 1, stdin) == 1) {
        if (sizeof h != 96 || sizeof hand != 96 || h.magic != 0x31454C57) return 1;
        for (unsigned i = 0; i < h.hands; i++) {
            if (fread(&hand, sizeof hand, 1, stdin) != 1) return 1;
            printf("%u %u %u %.9g %.9g\n", (unsigned)h.seq, hand.id, hand.side, hand.cam_t[2], hand.box[3]);
            for (unsigned n = (h.size - 96) / h.hands - 96; n; n--) getchar();
        }
    }
    return 0;
}
C
} >struct.c
if command -v "${CC:-cc}" >/dev/null; then
    check "the structs compile" "${CC:-cc}" -Wall -Werror -o struct struct.c
    # shellcheck disable=SC2016
    check "and read" bash -c './struct <file.wle >c.txt; python3 - <<PY
import sys
from reader import records
lines = [l.split() for l in open("c.txt")]
hands = [(r["seq"], h) for r in records(open("file.wle", "rb")) for h in r["hands"]]
assert len(lines) == len(hands) == 4
for l, (seq, h) in zip(lines, hands):
    assert int(l[0]) == seq and int(l[1]) == h["id"] and (l[2] == "1") == (h["side"] == "right")
    assert abs(float(l[3]) - h["cam_t"][2]) < 1e-6 and float(l[4]) in (70, 75)
PY'
fi

run "${base[@]}" a.png "${two[@]}" --bin --json
is "--bin and --json" 2
check "exclude each other" says "--json and --bin exclude each other"
run "${base[@]}" a.png "${two[@]}" --bin --resume -o x
is "--bin and --resume" 2
check "is said" says "--resume goes on with lines of events only, not with --bin"
run "${base[@]}" a.png missing.png "${two[@]}" --bin -o part.wle
is "a picture that is not there" 1
check "the others have their records" python3 -c 'from reader import records; assert len(list(records(open("part.wle", "rb")))) == 1'
run "${base[@]}" a.png "${two[@]}" --bin -o /dev/full
is "a full disk" 1
check "is said" says "/dev/full"
finish
