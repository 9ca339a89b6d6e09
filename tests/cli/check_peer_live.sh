#!/usr/bin/env bash
# check_peer_live.sh PYTHON PEER_LIVE WILOR MAKE_DETECTOR FOLDER: a small run of bench/peer_live.py: that both routes run, that
# their float32 hands agree, that the file and its tables hold what was measured.
set -u
# shellcheck source=bench_lib.sh
. "${0%/*}/bench_lib.sh"
python=$1 live=$2 wilor=$3 make=$4 folder=$5
"$python" -c 'import torch, numpy' 2>/dev/null || { echo "no PyTorch here: skipped"; exit 77; }
rm -rf "$folder"
mkdir -p "$folder" && cd "$folder" || exit 1
"$python" "$live" --out out.json --wilor "$wilor" --make-detector "$make" --size small --imgsz 128 --threads 1 --rounds 1 --runs 12 \
    --frames 10 --seconds 5 --ours f32,int8 --any --total 800 >table 2>log
check "it ends well: the hands agree" test $? -eq 0
check "the JSON fits" "$python" - <<'PY'
import json
d = json.load(open('out.json'))
assert not d['skipped'], d['skipped']
assert 0 < max(d['difference'].values()) < 1e-3, d['difference']
who = [r['who'] for r in d['series']]
assert who.count('wilor') == 5 and {'mini-f32', 'mini-bf16', 'tracked-bf16'} <= set(who), who
for r in d['series']:
    assert 0 < r['min_ms'] <= r['median_ms'] <= r['p90_ms'] and r['with_detect']['n'] + r['without_detect']['n'] == r['n'], r
mini, tracked = d['pooled']['mini-f32'], d['pooled']['tracked-bf16']
assert mini['without_detect']['n'] == 0 and tracked['with_detect']['n'] * 5 == tracked['n'] + -tracked['n'] % 5, d['pooled']
PY
check "the table has everyone" test "$(grep -cE '^\| (wilor f32|wilor int8|mini-f32|mini-bf16|tracked-bf16) \| [0-9.]+ / ' table)" -eq 5
"$python" "$live" --markdown out.json >again 2>>log
check "and can be made again" cmp -s table again
"$python" "$live" >/dev/null 2>>log
check "without --out it is a usage error" test $? -eq 2
[ "$bad" -eq 0 ] || sed 's/^/#   /' log
exit $bad
