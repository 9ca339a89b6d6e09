#!/usr/bin/env python3
"""Checks the lines of `wilor live`: live_events.py FILE [same=FILE, but for times and the session, numbers to 1e-4] [frames=N] [clock=media] [hands=some|none] [bye=TEXT]
[states=a,b] [ids=stable|new]. Prints what is wrong and exits with 1."""
import json
import math
import sys

wanted = dict(word.split("=", 1) for word in sys.argv[2:])
problems = []


def need(condition, text):
    if not condition:
        problems.append(text)


lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
types = [e["type"] for e in lines]
events = [e for e in lines if e["type"] == "hands"]
need(types[:2] == ["hello", "status"], f"the first lines are {types[:2]}")
need(types[-1] == "bye", f"the last line is {types[-1]}")
need(types.count("bye") == 1 and types.count("hello") == 1, "one hello and one bye")
need(len(lines[0].get("info", {}).get("joints", [])) == 21, "hello names the joints")
need(all(e["v"] == 1 for e in lines), "v is 1")
if "frames" in wanted:
    need(len(events) == int(wanted["frames"]), f"{len(events)} events")
need([e["seq"] for e in events] == list(range(1, len(events) + 1)), "seq counts by one")
for a, b in zip(events, events[1:]):
    need(b["t_capture"] > a["t_capture"], f"times grow at seq {b['seq']}")
    need(b["frame"] > a["frame"], f"frames grow at seq {b['seq']}")
    need(a["session"] == b["session"] and len(a["session"]) == 32, "one session")
states, ids, ended = set(), [], set()
for e in events:
    t = e["timing"]
    need(abs(sum(t[k] for k in t if k != "total") - t["total"]) <= len(t), f"timing of {e['seq']} adds up: {t}")
    need(e["t_ready"] >= e["t_capture"], "ready after captured")
    need(e["clock"] == wanted.get("clock", "media"), f"clock {e['clock']}")
    seen = [h["id"] for h in e["hands"]]
    need(len(set(seen)) == len(seen) and 0 not in seen, f"ids {seen}")
    need(not ended & set(seen), f"an id came back in {e['seq']}: {seen}")
    ended |= set(e["lost"])
    ids.append(seen)
    for h in e["hands"]:
        states.add(h["state"])
        need(h["side"] in ("left", "right") and len(h["kp3d"]) == 21 and len(h["kp2d"]) == 21, "a whole hand")
        need(all(math.isfinite(x) for p in h["kp3d"] for x in p), "finite points")
        q = h["wrist"]["q"]
        need(abs(sum(x * x for x in q) - 1) < 1e-5 and q[3] >= 0, f"a unit quaternion: {q}")
        need("vel" in h, "velocities")
if wanted.get("hands") == "some":
    need(any(ids), "some hands")
if wanted.get("hands") == "none":
    need(not any(ids), "no hands")
if "states" in wanted:
    need(states == set(wanted["states"].split(",")), f"states {states}")
if wanted.get("ids") == "stable":
    need(any(set(a) & set(b) for a, b in zip(ids, ids[1:])), "an id lives on")
if wanted.get("ids") == "new":
    need(not any(set(a) & set(b) for a, b in zip(ids, ids[1:])), "no id lives on")
if "bye" in wanted:
    need(lines[-1].get("reason") == wanted["bye"], f"bye says {lines[-1].get('reason')}")
def same(a, b, path):
    """What belongs to one run alone is left out."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in (set(a) | set(b)) - {"t_ready", "t_utc", "session", "timing"}:
            same(a.get(key), b.get(key), f"{path}.{key}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{path}[{i}]")
    elif isinstance(a, float) and isinstance(b, (int, float)):
        need(abs(a - b) <= 1e-4, f"{path}: {a} and {b}")
    else:
        need(a == b, f"{path}: {a} and {b}")


if "same" in wanted:
    others = [json.loads(line) for line in open(wanted["same"], encoding="utf-8")]
    need(len(others) == len(lines), f"{len(lines)} lines and {len(others)}")
    for i, (a, b) in enumerate(zip(lines, others)):
        same(a, b, f"line {i + 1}")
for p in problems[:10]:
    print(p, file=sys.stderr)
sys.exit(1 if problems else 0)
