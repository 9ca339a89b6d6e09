#!/usr/bin/env bash
# check_peers.sh PYTHON PEERS BUILD FOLDER: a small run of bench/peers.py. A peer that is not installed is skipped
# with a reason, one that is gives a ratio; ours is measured around it in any case.
set -u
# shellcheck source=bench_lib.sh
. "${0%/*}/bench_lib.sh"
python=$1 peers=$2 build=$3 folder=$4
rm -rf "$folder"
mkdir -p "$folder" && cd "$folder" || exit 1
"$python" "$peers" --size small --threads 1 --runs 2 --only torch-f32,onnxruntime-int8 --no-isa --ours f32,none \
    --build "$build" --out out.json >table 2>log
check "it ends well" test $? -eq 0
check "the table has ours" grep -qE '^wilor +f32 +1 ' table
check "and says what was left out" grep -qE '^wilor-none: skipped: ' table
check "the JSON fits it" "$python" - <<'PY'
import json
d = json.load(open('out.json'))
assert d['env']['cpu'] and len(d['probes']) == 2 and isinstance(d['steady'], bool), d
ours = [r for r in d['series'] if r['who'] == 'wilor']
assert ours and all(0 < r['min_ms'] <= r['median_ms'] <= r['p90_ms'] for r in d['series']), d
for peer in ('torch-f32', 'onnxruntime-int8'):
    r = [r for r in d['series'] if r['who'] == peer]
    assert d['skipped'].get(peer) or (r and r[0]['ratio'] > 0 and r[0]['difference']), peer
PY
"$python" "$peers" --size small --scaling 1,2 --runs 2 --only torch-f32 --no-isa --ours f32,int4 --build "$build" \
    --out scaling.json >table 2>log
check "a scaling ends well" test $? -eq 0
check "and has each number of threads" "$python" - <<'PY'
import json
d = json.load(open('scaling.json'))
assert [p['threads'] for p in d['probes']] == [1, 1, 2, 2], d['probes']
for n in 1, 2:
    ours = [r['dtype'] for r in d['series'] if r['who'] == 'wilor' and r['threads'] == r['round'] == n]
    assert ours.count('int4') == 2 and 'f32' in ours, ours # nobody stands between the two of int4
PY
"$python" "$peers" --size small --scaling 1,x --out no.json --build "$build" >table 2>log
check "threads that are no number are a usage error" test $? -eq 2
"$python" "$peers" --size small --only nobody --out no.json --build "$build" >table 2>log
check "a peer that nobody knows is a usage error" test $? -eq 2
[ "$bad" -eq 0 ] || sed 's/^/#   /' log
exit $bad
