#!/usr/bin/env bash
# wilor bench: that it measures what it says, not how fast.
# shellcheck source=cli_lib.sh
. "${0%/*}/cli_lib.sh"
model
cd "$scratch" || exit 1
b=(bench "${weights[@]}" --detector random:micro --threads 1 --runs 3 --size 160x120)

run "${b[@]}" model detector route load --json
is "all of it" 0
check "is JSON" "$CLI_CHECK" json out
for key in commit compiler build cpu isa threads affinity quota gpu dtype min_ms median_ms p90_ms gflops of_peak peak rss_mb; do
    check "has $key" grep -q "\"$key\"" out
done
for stage in letterbox network suppression crop backbone hand model detector first_pass later_pass; do
    check "has the stage $stage" grep -q "\"$stage\": {" out
done
check "has four results" test "$(grep -c '"what"' out)" -eq 4
check "of three runs each" test "$(grep -c '"n": 3' out)" -eq 4
check "nothing on stderr" empty err
# Times are times: above 0, the minimum least, a stage not longer than the whole.
if python3 -c 'import json' 2>/dev/null; then
    check "the numbers fit each other" python3 - out <<'PY'
import json, sys
for r in json.load(open(sys.argv[1]))["results"]:
    assert 0 < r["min_ms"] <= r["median_ms"] <= r["p90_ms"], r
    assert sum(s["min_ms"] for s in r["stages"].values()) <= r["p90_ms"] * 1.01 + 0.01, r
    if r["what"] != "load" and r["peak"]:
        most = max(r["peak"]["before"], r["peak"]["after"])
        assert abs(r["of_peak"] - r["gflops"] / most) < 0.01, r
    for name, stage in r["stages"].items():
        parts = stage.get("phases", {})
        assert bool(parts) == (r["what"] != "load" and name in ("backbone", "hand")), name
        if parts:
            low, high = (sum(p[k] for p in parts.values()) for k in ("min_ms", "p90_ms"))
            assert low <= stage["p90_ms"] + 0.02 and high >= stage["min_ms"] - 0.02, stage
        for p in [stage, *parts.values()]:
            if "busy" in p: # one thread waits for nobody
                assert 0 < p["busy"] <= 1.01 and 0 <= p["wait_ms"] <= p["p90_ms"], (name, p)
        if name == "backbone" and r["what"] != "load":
            assert {"embed", "norm", "qkv", "attention", "proj", "fc1", "fc2"} <= set(parts), parts
            assert parts["fc1"]["busy"] > 0.5, parts
        if name == "hand" and r["what"] != "load":
            assert {"last_block", "heads", "mano", "refine", "rest"} == set(parts), parts
PY
fi
run "${b[@]}"
is "the table" 0
check "has the three usual ones" test "$(grep -cE '^(model|detector|route) ' out)" -eq 3
check "says nothing of others unasked" test "$(uname)" = Darwin -o "$(grep -c published out)" -eq 0
run "${b[@]}" --published
is "with what others say of themselves" 0
check "beside model and route" test "$(grep -c '^  published for M4 Max, not measured here: wilor-mlx about \(37\|49\) ms' out)" -eq 2
run "${b[@]}" detector --json --imgsz 64
is "the detector alone" 0
check "is one result" test "$(grep -c '"what"' out)" -eq 1
run bench detector --detector random:micro --weights none.ckpt --runs 1 --size 64x64
is "needs no weights" 0
fails "weights that are not there" 4 "--weights 'none.ckpt'" bench model --weights none.ckpt
fails "a detector that is not there" 4 "--detector 'none.pt'" bench detector --detector none.pt
"$WILOR" convert "${weights[1]}" w.packed --to packed "${weights[@]:2}" || exit 1
run "${b[@]}" load --packed w.packed --cold
is "from a packed file, cold" 0
check "says how long the first pass took" grep -q '^  first_pass ' out
check "and a later one" grep -q '^  later_pass ' out
cp w.packed other.packed
printf x | dd of=other.packed bs=1 seek=20 conv=notrunc 2>/dev/null
fails "a packed file that does not fit" 1 "--packed 'other.packed' does not fit" "${b[@]}" load --packed other.packed
fails "one that is not there" 4 "--packed 'no.packed'" "${b[@]}" load --packed no.packed
usage_error "--cold is for load" bench model --cold
# Peaks: a figure, or null where the processor lacks the instruction; the table says that in words.
run bench peak --threads 1 --json
is "peak" 0
check "is JSON" "$CLI_CHECK" json out
check "reads memory" grep -q '"name": "memory"' out
check "has a rate or null for each" test "$(grep -cE '"rate": ([0-9.]+|null)' out)" -eq "$(grep -c '"what": "peak"' out)"
absent=$(grep -c '"rate": null' out)
run bench peak --threads 1
is "peak as a table" 0
check "says what is absent" test "$(grep -c 'not on this processor' out)" -eq "$absent"
check "has the memory's line" grep -qE '^memory .* GB/s' out
# Kernels with one thread and with two; each names its shape and what it is a part of.
run bench kernels --threads 2 --json
is "kernels" 0
check "is JSON" "$CLI_CHECK" json out
check "has the products" test "$(grep -cE '"work": "(qkv|proj|fc1|fc2|attention|norm|gelu)"' out)" -eq "$(grep -c '"what": "kernels"' out)"
check "each with both numbers of threads" test "$(grep -c '"threads": 1,' out)" -eq "$(grep -c '"gflops"' out | awk '{print $1 / 2}')"
if python3 -c 'import json' 2>/dev/null; then
    check "the numbers fit each other" python3 - out <<'PY'
import json, sys
for r in json.load(open(sys.argv[1]))["results"]:
    assert 0 < r["min_ms"] <= r["median_ms"] <= r["p90_ms"] and r["n"] > 0 and r["gflops"] > 0, r
    if r["peak"]:
        assert r["peak"]["name"].split("-")[0] in ("f32", "bf16", "int8"), r
        assert abs(r["of_peak"] - r["gflops"] / max(r["peak"]["before"], r["peak"]["after"])) < 0.01, r
    if r["kernel"].startswith("int8 ") and r["peak"]:
        assert r["peak"]["name"].startswith("int8-"), r
PY
fi
run "${b[@]}" route --dtype int8 --json
is "the route in another arithmetic" 0
check "has both peaks" test "$(grep -cE '"(detector_)?peak": \{' out)" -eq 2
run "${b[@]}" model --hands 1 --dtype f32
is "--dtype f32" 0
check "the table has the phases" test "$(grep -cE '^    (embed|norm|qkv|attention|proj|fc1|fc2|heads|mano|refine|last_block) .* %' out)" -eq 11
check "but not those that this arithmetic lacks" test "$(grep -c '^    put ' out)" -eq 0
check "says the type, hands and runs" grep -qE '^  f32 on cpu, 1 hand, 3 runs, ' out
# The detector follows the model's type where it has it.
WILOR_ISA=c run bench detector --detector random:micro --runs 1 --size 64x64 --dtype bf16
is "a detector in bf16, plain C" 0
check "says bf16" grep -qE '^  bf16 on cpu, 1 run' out
run bench detector --detector random:micro --runs 1 --size 64x64 --dtype f32x
is "a detector beside f32x" 0
check "says f32" grep -qE '^  f32 on cpu, 1 run' out
usage_error "it should be model, detector, route, live, load, peak or kernels" bench speed
run bench live "${weights[@]}" --detector random:micro --threads 1 --size 160x120 --hands 1 --runs 100 --json
is "live" 0
check "has the latency's parts and its 99 %" test "$(grep -cE '"(wait|detect|crop|pose|post|json)": \{|"p99_ms"' out)" -ge 13
if python3 -c 'import json' 2>/dev/null; then
    check "every picture is one with the detector or one without" python3 - out <<'PY'
import json, sys
(r,) = json.load(open(sys.argv[1]))["results"]
ran, not_ran = r["with_detect"], r["without_detect"]
assert ran["n"] + not_ran["n"] == r["n"] == 100 and ran["n"] > 0, r
parts = [p for p in (ran, not_ran) if p["n"]]
assert r["min_ms"] == min(p["min_ms"] for p in parts), r
assert all(p["min_ms"] <= p["median_ms"] <= p["p90_ms"] for p in parts), r
assert ran["n"] >= 20, r # every fifth picture at the least
assert r["stages"]["json"]["min_ms"] > 0, r
assert (r["stages"]["detect"]["median_ms"] > 0) == (ran["n"] >= 50), r
PY
fi
run bench live "${weights[@]}" --detector random:micro --threads 1 --size 160x120 --hands 1 --runs 12
is "live as a table" 0
check "tells the two apart" grep -qE '^  detector ran +[0-9]' out
usage_error "--size '640': it should be WxH" bench --size 640
usage_error "--size '0x5'" bench --size 0x5
usage_error "--hands '65'" bench --hands 65
usage_error "--runs '0'" bench --runs 0
for dtype in auto int8 int4; do
    run "${b[@]}" model --hands 1 --dtype $dtype --json
    is "--dtype $dtype" 0
done
check "names its arithmetic" grep -q '"dtype": "int4"' out
fails "an arithmetic of graphics cards" 1 "dtype f16 needs a graphics card" "${b[@]}" model --dtype f16
usage_error "--dtype 'half': it should be one of auto|f32" bench --dtype half
finish
