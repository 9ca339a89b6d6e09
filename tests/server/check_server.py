"""wilor serve, from clients as people have them: requests, websockets, curl, bare sockets. Argument: a topic."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from server_case import *

import requests
import websockets

TOKEN = "abcdefghijklmnop0123456789-._~XY"


def connect(server, formats=("wilor.v1.json",), **more):
    return websockets.connect(server.ws, subprotocols=formats, max_size=None, **more)


# ---------------------------------------------------------------- plain requests


def pose_buckets(metrics):
    return [int(line.rsplit(" ", 1)[1]) for line in metrics.splitlines()
            if line.startswith('wilor_stage_seconds_bucket{stage="pose"')]


def topic_http():
    with Server("cam", "--share-frames", "--include", "det,vertices") as s:
        r = s.get("/health")
        check("/health", r.status_code == 200 and r.json() == {"status": "ok"}, r.text)
        check("/ready", s.get("/ready").status_code == 200)
        info = s.get("/info").json()
        check("/info: the model", info["model"]["vertices"] == 778 and info["model"]["device"] == "cpu"
              and info["model"]["sha256"] is None, info)
        check("/info: names of joints", len(info["joints"]) == 21 and len(info["xr26"]) == 26
              and info["joints"][8] == "index_tip" and info["xr26"][0] == "palm")
        check("/info: limits and licences", info["limits"]["max_body"] == 32000000 and "MANO" in info["licences"]["hand"])
        right, left = s.get("/faces").json()["faces"], s.get("/faces?side=left").json()["faces"]
        check("/faces", len(right) == 1538 and all(len(f) == 3 and 0 <= min(f) and max(f) < 778 for f in right))
        check("/faces?side=left is turned round", sorted(map(sorted, left)) == sorted(map(sorted, right)) and left != right)
        check("/faces may be kept", "max-age" in s.get("/faces").headers["Cache-Control"])
        check("/faces?side=up", is_problem(s.get("/faces?side=up"), 400))
        check("an unknown path", is_problem(s.get("/nope"), 404))
        check("/predict by GET", is_problem(s.get("/predict"), 405) and s.get("/predict").headers["Allow"] == "POST")
        check("/health by POST", is_problem(s.post("/health", b"x"), 405))
        check("/ws without a WebSocket", is_problem(s.get("/ws"), 426))
        head = requests.head(s.url + "/info", timeout=20)
        check("HEAD", head.status_code == 200 and head.content == b"" and int(head.headers["Content-Length"]) > 500)
        metrics = s.get("/metrics").text
        check("/metrics", all(f"\n{name} " in metrics or f"\n{name}{{" in metrics for name in
              ("wilor_frames_total", "wilor_dropped_total", "wilor_hands_total", "wilor_clients", "wilor_model_loaded",
               "wilor_stage_seconds_bucket")) and "wilor_model_loaded 1" in metrics, metrics[:300])
        buckets = pose_buckets(metrics)
        end = time.monotonic() + 20 * SLOW
        while buckets[-1] == 0 and time.monotonic() < end:  # the first frame may be under way yet
            time.sleep(0.05)
            buckets = pose_buckets(s.get("/metrics").text)
        check("/metrics: buckets grow", buckets == sorted(buckets) and buckets[-1] > 0, buckets)
        page = s.get("/")
        policy = page.headers["Content-Security-Policy"]
        check("/: a page with a strict policy", "default-src 'none'" in policy and "nonce-" in policy
              and "unsafe" not in policy, policy)
        nonce = policy.split("nonce-")[1].split("'")[0]
        check("/: its nonce, another one each time", page.text.count(f'nonce="{nonce}"') == 2
              and nonce not in s.get("/").text)
        check("/: nothing from elsewhere", "http" not in page.text.replace("http://www.w3.org/2000/svg", "")
              .replace("/^http/", "").replace("HTTPS", ""))
        part = b""
        with s.get("/frames.mjpeg", stream=True) as r:
            for chunk in r.iter_content(4096):
                part += chunk
                if part.count(b"--wilorframe") > 2:
                    break
        check("/frames.mjpeg", r.headers["Content-Type"].startswith("multipart/x-mixed-replace")
              and part.split(b"\r\n\r\n")[1].startswith(b"\xff\xd8"), part[:200])
    with Server() as s:
        check("no /frames.mjpeg without --share-frames", is_problem(s.get("/frames.mjpeg"), 404))


def topic_predict():
    with Server("--max-body", "3M") as s:
        picture = demo()
        e = s.post("/predict?include=vertices,mano", picture).json()
        check("an image gives an event", e["type"] == "hands" and e["v"] == 1 and len(e["hands"]) == 2, e)
        check("and what include says", len(e["hands"][0]["vertices"]) == 778 and "mano" in e["hands"][0])
        check("options of the query", len(s.post("/predict?bbox=1,2,30,40,left", picture).json()["hands"]) == 1)
        e = s.post("/predict?side=left&mirrored&max_hands=3&conf=0.25", picture).json()
        check("flags and names with _", all(h["side"] == "left" for h in e["hands"]), e)
        r = s.post("/predict?include=mano,vertices", picture, headers={"Accept": "application/x-wilor-event"})
        h = record(r.content)
        check("a binary answer", r.headers["Content-Type"] == "application/x-wilor-event" and h["magic"] == 0x31454C57
              and h["size"] == len(r.content) and h["hands"] == 2 and h["vertices"] == 778, h)
        for what, query, word in (("an unknown option", "?colour=red", "colour"), ("a bad value", "?conf=2", "--conf"),
                                  ("an option of files", "?betas=/etc/passwd", "betas"),
                                  ("another preset", "?compat=mlx", "compat"), ("no value", "?conf", "conf"),
                                  ("two cameras", "?fov=60&focal=500", "exclude"),
                                  ("a box without a side", "?bbox=1,2,30,40", "which hand"),
                                  ("given twice", "?conf=0.2&conf=0.3", "twice")):
            r = s.post("/predict" + query, picture)
            check(f"{what}: 400", is_problem(r, 400) and word in r.json()["detail"], r.text)
        body = {"image": base64.b64encode(picture).decode(), "bbox": [17, 202, 307, 322], "is_right": False,
                "rescale_factor": 2.0, "return_vertices": True, "return_faces": True}
        e = s.post("/predict", json.dumps(body), "application/json").json()
        check("the JSON form", len(e["hands"]) == 1 and e["hands"][0]["side"] == "left"
              and len(e["hands"][0]["vertices"]) == 778 and len(e["faces"]) == 1538, str(e)[:300])
        body = {"image": "data:image/png;base64," + base64.encodebytes(picture).decode(),
                "bbox": [[17, 202, 307, 322], [333, 178, 623, 298]], "is_right": [0, 1]}
        e = s.post("/predict", json.dumps(body), "application/json").json()
        check("the JSON form with lists", [h["side"] for h in e["hands"]] == ["left", "right"]
              and "vertices" not in e["hands"][0], str(e)[:300])
        e = s.post("/predict", json.dumps({"image": body["image"], "bbox": None, "is_right": True}),
                   "application/json; charset=utf-8").json()
        check("the JSON form without boxes", all(h["side"] == "right" for h in e["hands"]), str(e)[:300])
        image = body["image"]
        for what, text in (("not JSON", "{"), ("a list", "[]"), ("no image", "{}"), ("image a number", '{"image":3}'),
                           ("not base64", '{"image":"????"}'), ("base64 cut off", '{"image":"abc"}'),
                           ("an unknown key", '{"image":"aaaa","colour":1}'), ("a key twice", '{"image":"","image":""}'),
                           ("a box of three", json.dumps({"image": image, "bbox": [1, 2, 3], "is_right": True})),
                           ("a box without its side", json.dumps({"image": image, "bbox": [1, 2, 3, 4]})),
                           ("sides too few", json.dumps({"image": image, "bbox": [[1, 2, 3, 4]] * 2, "is_right": [1]})),
                           ("rescale a text", json.dumps({"image": image, "rescale_factor": "2"})),
                           ("deep", '{"image":' + "[" * 100000)):
            r = s.post("/predict", text, "application/json")
            check(f"the JSON form, {what}: 400", is_problem(r, 400), r.text)
        check("not an image: 422", is_problem(s.post("/predict", b"GIF89a" + bytes(100), "image/jpeg"), 415)
              or is_problem(s.post("/predict", b"nothing like a picture", "image/jpeg"), 422))
        check("half an image: 422", is_problem(s.post("/predict", picture[:999]), 422))
        check("an image in JSON that is none: 422", is_problem(s.post(
            "/predict", '{"image":"AAAAAAAAAAAAAAAAAAAA"}', "application/json"), 422))
        check("another type: 415", is_problem(s.post("/predict", picture, "image/gif"), 415))
        check("a form: 415", is_problem(s.post("/predict", picture, "application/x-www-form-urlencoded"), 415))
        raw = {"X-Width": "64", "X-Height": "48", "X-Format": "rgb8"}
        kind = "application/octet-stream"
        check("raw pixels", s.post("/predict", bytes(64 * 48 * 3), kind, raw).json()["image"]["w"] == 64)
        check("raw pixels, nv12", s.post("/predict", bytes(64 * 72), kind, {**raw, "X-Format": "nv12"}).status_code == 200)
        for what, more, size in (("too few", {}, 64 * 48), ("of no format", {"X-Format": "rgb9"}, 64 * 48 * 3),
                                 ("of width -1", {"X-Width": "-1"}, 9), ("without height", {"X-Height": None}, 9216)):
            check(f"raw pixels {what}: 400", is_problem(s.post("/predict", bytes(size), kind, {**raw, **more}), 400))
        check("more pixels than allowed: 413", is_problem(
            s.post("/predict", b"x", kind, {**raw, "X-Width": "60000", "X-Height": "60000"}), 413))
        r = s.post("/predict", bytes(3000001))
        check("over --max-body: 413", is_problem(r, 413), r.text)
        r = requests.post(s.url + "/predict", data=iter([b"abc", b"def"]), headers={"Content-Type": "image/png"}, timeout=20)
        check("chunks: 411", is_problem(r, 411), r.text)
        check("after all that it still works", s.post("/predict", picture).status_code == 200)
        bare = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
        for what, lines, status in (("no length", b"", 411), ("a length of -1", b"Content-Length: -1\r\n", 400),
                                    ("a length of 1x", b"Content-Length: 1x\r\n", 400),
                                    ("two lengths", b"Content-Length: 3\r\nContent-Length: 4\r\n", 400),
                                    ("a huge length", b"Content-Length: 99999999999999999999\r\n", 400),
                                    ("length and chunks", b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 411)):
            r = s.raw(bare + lines + b"\r\nabc")
            check(f"{what}: {status}", status_of(r) == status, r)
        r = s.raw(b"GET /info HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello")
        check("a GET with a body: 400", status_of(r) == 400, r)
        two = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2
        check("requests one behind the other", s.raw(two).count(b"200 OK") >= 1)
    busy()


def busy():
    """More requests than may wait."""
    hold = Hold()
    with Server(env=hold.env) as s:
        picture, seen = demo(), []
        threads = [threading.Thread(target=lambda: seen.append(s.post("/predict", picture))) for _ in range(24)]
        with hold:
            for t in threads:
                t.start()
            wait_until(lambda: len(seen) >= 16)
            late = list(seen)
        for t in threads:
            t.join()
        check("too many at once: 429", len(late) == 16
              and all(is_problem(r, 429) and int(r.headers["Retry-After"]) > 0 for r in late), [r.status_code for r in late])
        check("and the others are answered", [r.status_code for r in seen[16:]] == [200] * 8, [r.status_code for r in seen])


# ---------------------------------------------------------------- streams

async def stream_json(s):
    async with connect(s) as ws:
        hello = json.loads(await ws.recv())
        check("hello comes first, with the info", hello["type"] == "hello" and hello["info"]["version"])
        got = await events(ws, 30)
        check("events with ids and times", all(len(e["hands"]) == 2 and e["t_ready"] >= e["t_capture"] for e in got))
        check("seq grows by 1", [e["seq"] for e in got] == list(range(got[0]["seq"], got[0]["seq"] + 30)))
        # What the engine drops, since this machine is busy, is seen in the frames' numbers.
        engine = [b["frame"] - a["frame"] - 1 for a, b in zip(got, got[1:])]
        check("the server drops nothing", [e["dropped"] for e in got[1:]] == engine and got[0]["dropped"] == 0, engine)
        check("the format is agreed on", ws.subprotocol == "wilor.v1.json")
    async with websockets.connect(s.ws) as ws:
        check("without a word of formats: JSON", json.loads(await ws.recv())["type"] == "hello")


async def large_events(s):
    """The numbers of 30. Of these a socket holds two or three: whoever is held up is a slow reader, but not each time."""
    async with connect(s) as ws:
        return [e["seq"] for e in await events(ws, 30)]


async def stream_record(s):
    async with connect(s, ("wilor.v1.bin",)) as ws:
        hello, records = await ws.recv(), []
        while len(records) < 10:
            m = await asyncio.wait_for(ws.recv(), 20 * SLOW)
            if isinstance(m, bytes):
                records.append((record(m), len(m)))
        check("hello is text also here", json.loads(hello)["type"] == "hello")
        check("binary records", all(h["magic"] == 0x31454C57 and h["size"] == n and h["hands"] == 2 for h, n in records), records)
        check("with seq", [h["seq"] for h, _ in records] == list(range(records[0][0]["seq"], records[0][0]["seq"] + 10)))


def slow_reader(s):
    """One that takes nothing while 180 frames are looked at: newest events, the others counted, and none is old."""
    with socket.socket() as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.connect(("127.0.0.1", int(s.port)))
        c.sendall((f"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").encode())
        wait_clients(s, 1)
        last = s.count("wilor_frames_total") + 180
        wait_until(lambda: s.count("wilor_frames_total") >= last)
        c.settimeout(20 * SLOW)
        lines, got = c.makefile("rb"), []
        while len(got) < 12 or got[-1]["seq"] < last:
            line = next(lines)
            if line.startswith(b'data: {"v":1,"type":"hands"'):
                got.append(json.loads(line[6:]))
    gaps = [(b["frame"] - a["frame"] - 1, b["dropped"]) for a, b in zip(got, got[1:])]
    check("a slow reader loses events", max(g for g, _ in gaps) > 20, gaps[:40])
    check("and is told how many", all(g == d for g, d in gaps), gaps[:40])


async def while_loading(s, hold):
    """Clients of a server whose source opens as soon as its model is there."""
    sockets = [await connect(s) for _ in range(8)]
    first = [json.loads(await asyncio.wait_for(ws.recv(), 10 * SLOW)) for ws in sockets]
    hold.off()
    check("while the model is loaded hello has no info", all(e["type"] == "hello" and not e.get("info") for e in first), first[0])
    told = []
    for ws in sockets:
        got = []
        while len(got) < 20:
            e = json.loads(await asyncio.wait_for(ws.recv(), 10 * SLOW))
            got.append(e.get("status", e["type"]))
        told.append(got)
        await ws.close()
    check("then each is told, once, that it was", all(got.count("loaded") == 1 for got in told), told)
    check("before any hands", all(got.index("loaded") < got.index("hands") for got in told if "loaded" in got), told)


def topic_stream():
    cpus, hold = os.sched_getaffinity(0), Hold()
    os.sched_setaffinity(0, {min(cpus)})  # on one, the thread that serves sees both states at once
    hold.on()
    slow = Server("cam", ready=False, env=hold.env)
    os.sched_setaffinity(0, cpus)
    with slow as s:
        asyncio.run(while_loading(s, hold))
    # Of events without vertices sockets hold what comes in two seconds, so that a test that was held up is no slow reader.
    with Server("cam", env={"WILOR_DOUBLE_RATE": "15"}) as s:
        asyncio.run(stream_json(s))
        asyncio.run(stream_record(s))
        with s.get("/events", stream=True) as r:
            check("SSE", r.headers["Content-Type"] == "text/event-stream")
            lines = r.iter_lines()
            got = []
            while len(got) < 10:
                line = next(lines)
                if line.startswith(b"data: "):
                    got.append(json.loads(line[6:]))
        check("SSE: hello, then events", got[0]["type"] == "hello" and all(e["type"] == "hands" for e in got[1:]))
        if shutil.which("curl"):
            with subprocess.Popen(["curl", "-sN", "-m", "60", s.url + "/events"], stdout=subprocess.PIPE) as curl:
                read = [line for line, _ in zip((x for x in curl.stdout if x.startswith(b"data: ")), range(11))]
                curl.kill()
            check("curl reads /events", len(read) == 11, read)
        check("the counter of clients goes down again", wait_clients(s, 0), s.get("/metrics").text[:600])
    with Server("cam", "--include", "det,vertices") as s:
        told = []
        for _ in range(10):
            told = asyncio.run(large_events(s))
            if told == list(range(told[0], told[0] + 30)):
                break
        check("of large events a quick reader misses none", told == list(range(told[0], told[0] + 30)), told)
        slow_reader(s)
        check("also behind a slow one", wait_clients(s, 0), s.get("/metrics").text[:600])


def wait_clients(s, n):
    return wait_until(lambda: s.count("wilor_clients") == n)


# ---------------------------------------------------------------- frames from clients

async def push(s):
    picture = demo()
    async with connect(s) as ws, connect(s) as viewer:
        times = []
        for i in range(5):
            sent = 1_000_000_000_000 + i * 33_000_000
            await ws.send(frame(sent, picture))
            e = (await events(ws, 1))[0]
            times.append((e["t_capture"] * 1000, sent))
            check(f"frame {i} has its answer", e["clock"] == "client" and e["image"]["w"] == 640 and e["frame"] == i, e)
        check("answers carry the client's time", all(a == b for a, b in times), times)
        seen = await events(viewer, 5)
        check("others see them, too", [e["seq"] for e in seen] == [1, 2, 3, 4, 5])
    async with connect(s, ("wilor.v1.bin",)) as ws:
        await ws.send(frame(7_000_000_123, picture))
        while isinstance(m := await asyncio.wait_for(ws.recv(), 20 * SLOW), str):
            pass
        h = record(m)
        check("a record with the client's clock", h["t_capture"] == 7_000_000_123 and h["flags"] & 512, h)
    for _ in range(10):
        told, seconds = await push_from_two(s, picture)
        if seconds < 2:
            break
    check("who pushes gets its own answers, not another's", seconds < 2 and told == [3, 4, 5, 6, 7, 8], (told, seconds))


async def push_from_two(s, picture):
    """Two clients that push in turns: the times that they are told, and in how many seconds. A client sees
    everything until its first frame has come, and again after two seconds without one. Neither is looked at here:
    the first answers are waited for and no more, and a run that took longer says nothing."""
    async with connect(s) as a, connect(s) as b:
        start = time.monotonic()
        for sent, ws in ((1, a), (2, b)):
            await ws.send(frame(sent * 1000, picture))
            while (await events(ws, 1))[0]["t_capture"] != sent:
                pass
        told = []
        for first in (3, 5, 7):
            await a.send(frame(first * 1000, picture))
            await b.send(frame((first + 1) * 1000, picture))
            told += [(await events(ws, 1))[0]["t_capture"] for ws in (a, b)]
        return told, time.monotonic() - start


async def taken(ws):
    """The server has taken what was sent before: it answers a ping behind it."""
    await asyncio.wait_for(await ws.ping(), 20 * SLOW)


async def push_at_once(s, hold):
    """One frame from each of several clients while the engine is busy: none overtakes another's, and who has
    waited for more than the two seconds of a pusher still gets its own answer only."""
    picture = demo()
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(s)) for _ in range(6)]
        with hold:
            for i, ws in enumerate(sockets):
                await ws.send(frame((i + 1) * 1000, picture))
                await taken(ws)
            await asyncio.sleep(2.2)
        got = [(await events(ws, 1))[0] for ws in sockets]
        check("frames of several clients at once: each has its answer",
              [e["t_capture"] for e in got] == [1, 2, 3, 4, 5, 6] and not any(e["dropped"] for e in got),
              [(e["t_capture"], e["dropped"]) for e in got])


async def push_badly(s):
    picture = demo()
    async with connect(s) as ws:
        for what, message, code in (("empty", b"", 400), ("time alone", bytes(8), 400), ("not a picture", bytes(100), 422),
                                    ("a picture cut off", frame(5, picture[:500]), 422),
                                    ("a time beyond 2^63", b"\xff" * 8 + picture, 400), ("text", "hello", 400)):
            await ws.send(message)
            e = (await events(ws, 1, "error"))[0]
            check(f"a frame that is {what}: error {code}", e["code"] == code and e["message"], e)
        await ws.send([picture[:8], picture[8:20], b"x" * 100])
        check("in parts", (await events(ws, 1, "error"))[0]["code"] in (400, 422))
        await ws.send([frame(9, b""), picture[:1000], picture[1000:]])
        check("a good one in parts afterwards", (await events(ws, 1))[0]["hands"])
    async with connect(s) as ws:
        try:
            await ws.send(bytes(1_000_100))
            await asyncio.wait_for(ws.wait_closed(), 20)
        except websockets.ConnectionClosed:
            pass
        check("larger than --max-body: closed with 1009", ws.close_code == 1009, ws.close_code)


async def push_too_fast(s, hold):
    """Frames faster than they can be looked at: the newest is, the others count. At most four are there at a time: one
    is looked at, one waits for that, one is decoded, one waits for that."""
    picture = demo()
    async with connect(s) as ws:
        with hold:
            for i in range(60):
                await ws.send(frame(i * 1_000_000, picture))
            await taken(ws)
        last, total, n = None, 0, 0
        while last != 59:
            e = (await events(ws, 1))[0]
            last, total, n = e["frame"], total + e["dropped"], n + 1
        check("frames that come too fast are dropped, and counted", n <= 4 and total + n == 60, (n, total))


def topic_push():
    hold = Hold()
    with Server("--max-body", "1M") as s:
        asyncio.run(push(s))
        asyncio.run(push_badly(s))
    with Server(env=hold.env) as s:
        asyncio.run(push_too_fast(s, hold))
        asyncio.run(push_at_once(s, hold))


# ---------------------------------------------------------------- who may ask

async def refused(server, status, **more):
    """Whether the handshake of a WebSocket ends in that status."""
    try:
        async with websockets.connect(server.ws, **more) as ws:
            return f"open: {await ws.recv()}"
    except websockets.InvalidStatusCode as e:
        return True if e.status_code == status else e.status_code


def topic_guard():
    with Server("cam") as s:
        evil = {"Origin": "https://evil.example"}
        own = {"Origin": s.url}
        for path in ("/", "/info", "/events", "/metrics", "/faces", "/health"):
            check(f"{path}: a foreign origin is refused", is_problem(s.get(path, headers=evil), 403))
        for site, path, status in (("cross-site", "/metrics", 403), ("same-site", "/faces", 403), ("cross-site", "/", 200),
                                   ("same-origin", "/faces", 200), ("none", "/info", 200), ("x" * 99, "/info", 403)):
            r = s.get(path, headers={"Sec-Fetch-Site": site})
            check(f"{path} from {site[:12]}: {status}", r.status_code == status, r.text[:200])
        check("POST /predict: likewise", is_problem(s.post("/predict", demo(), headers=evil), 403))
        check("origin null", is_problem(s.get("/info", headers={"Origin": "null"}), 403))
        check("another port is another origin", is_problem(s.get("/info", headers={"Origin": "http://127.0.0.1:1"}), 403))
        check("https is another origin", is_problem(s.get("/info", headers={"Origin": s.url.replace("http", "https")}), 403))
        check("its own origin", s.get("/info", headers=own).status_code == 200)
        check("no CORS header without --cors", "Access-Control-Allow-Origin" not in s.get("/info", headers=own).headers)
        for what, more in (("a foreign origin", {"origin": "https://evil.example"}), ("origin null", {"origin": "null"}),
                           ("a rebound Host", {"extra_headers": {"Host": f"evil.example:{s.port}"}})):
            got = asyncio.run(refused(s, 403, **more))
            check(f"WebSocket: {what} is refused", got is True, got)
        check("WebSocket: its own origin", "hello" in str(asyncio.run(refused(s, 0, origin=s.url))))
        got = asyncio.run(refused(s, 400, subprotocols=["chat"]))
        check("WebSocket: an unknown format", got is True, got)
        for host in ("evil.example", f"evil.example:{s.port}", "127.0.0.1.evil.example", "127.0.0.1:80:80", "localhost@evil",
                     "10.0.0.1", "", "localhost, evil.example"):
            r = s.raw(b"GET /info HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
            check(f"Host '{host}' is refused", status_of(r) in (400, 403), r[:200])
        check("no Host", status_of(s.raw(b"GET /info HTTP/1.1\r\n\r\n")) == 400)
        for host in ("localhost", f"localhost:{s.port}", "127.0.0.1", "127.1.2.3:9", "[::1]", "[::1]:80", "LOCALHOST"):
            r = s.raw(b"GET /health HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
            check(f"Host '{host}' is fine", status_of(r) == 200, r[:200])
        got = asyncio.run(other_path(s))
        check("a WebSocket elsewhere: 404", got is True, got)
        r = s.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                  b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
        check("no HTTP/2 through the back door", status_of(r) == 400, r[:200])
    with Server("cam", "--cors", "https://app.example") as s:
        allowed = {"Origin": "https://app.example"}
        r = s.get("/info", headers=allowed)
        check("--cors: that origin may ask", r.status_code == 200
              and r.headers["Access-Control-Allow-Origin"] == "https://app.example" and r.headers["Vary"] == "Origin")
        r = requests.options(s.url + "/predict", headers={**allowed, "Access-Control-Request-Method": "POST"}, timeout=20)
        check("--cors: preflight", r.status_code == 204 and "authorization" in r.headers["Access-Control-Allow-Headers"], r.headers)
        check("--cors: others may not", is_problem(s.get("/info", headers={"Origin": "https://app.example.evil"}), 403))
        check("--cors: WebSocket", "hello" in str(asyncio.run(refused(s, 0, origin="https://app.example"))))


async def other_path(s):
    try:
        async with websockets.connect(s.ws + "x"):
            return "open"
    except websockets.InvalidStatusCode as e:
        return e.status_code == 404


def topic_token():
    path = scratch("token", TOKEN + "\nmore\n")
    with Server("cam", "--token-file", path) as s:
        bearer = {"Authorization": "Bearer " + TOKEN}
        for where in ("/info", "/faces", "/events", "/metrics", "/ws", "/frames.mjpeg"):
            r = s.get(where)
            check(f"{where} without a token: 401", is_problem(r, 401) and r.headers["WWW-Authenticate"].startswith("Bearer"), r.text)
        for where in ("/", "/health", "/ready"):
            check(f"{where} needs none", s.get(where).status_code == 200)
        check("POST /predict without: 401", is_problem(s.post("/predict", demo()), 401))
        check("with: fine", s.post("/predict", demo(), headers=bearer).status_code == 200)
        for wrong in (TOKEN[:-1], TOKEN + "x", TOKEN.lower(), "", "x" * 200, TOKEN[1:] + "a"):
            check(f"a wrong token of {len(wrong)}: 401", is_problem(s.get("/info", headers={"Authorization": "Bearer " + wrong}), 401))
        check("another scheme: 401", is_problem(s.get("/info", headers={"Authorization": "Basic " + TOKEN}), 401))
        check("in the query it does not count", is_problem(s.get("/info?token=" + TOKEN), 401))
        check("WebSocket without: 401", asyncio.run(refused(s, 401)) is True)
        check("WebSocket, wrong: 401", asyncio.run(refused(s, 401, subprotocols=["wilor.v1.json", "bearer." + TOKEN[:-1]])) is True)
        check("WebSocket, as a browser does it", "hello" in str(asyncio.run(
            refused(s, 0, subprotocols=["wilor.v1.json", "bearer." + TOKEN]))))
        check("WebSocket, the token first", "hello" in str(asyncio.run(
            refused(s, 0, subprotocols=["bearer." + TOKEN, "wilor.v1.json"]))))
        check("WebSocket, by header", "hello" in str(asyncio.run(refused(s, 0, extra_headers=bearer))))
        check("the log has no token", TOKEN not in s.said())
    loose = scratch("loose", TOKEN, 0o644)
    with Server("--token-file", loose) as s:
        check("a token file that others can read gets a note", "chmod 600" in s.said(), s.said())


def topic_tls():
    pair = certificate()
    if not pair:
        print("1..0 # SKIP no openssl")
        sys.exit(77)
    cert, key = pair
    token = scratch("token", TOKEN)
    with Server("cam", "--tls-cert", cert, "--tls-key", key, "--token-file", token) as s:
        bearer = {"Authorization": "Bearer " + TOKEN}
        r = s.get("/info", verify=cert, headers=bearer)
        check("HTTPS", r.status_code == 200)
        check("POST over HTTPS", s.post("/predict", demo(), headers=bearer, verify=cert).status_code == 200)
        check("its own origin is https", s.get("/info", verify=cert, headers={**bearer, "Origin": s.url}).status_code == 200)
        check("http is not", s.get("/info", verify=cert, headers={**bearer, "Origin": s.url.replace("https", "http")}).status_code == 403)
        check("the page's policy names wss", "wss://" in s.get("/", verify=cert).headers["Content-Security-Policy"])

        async def secure():
            async with websockets.connect(s.ws, ssl=tls_of(cert), subprotocols=["wilor.v1.json", "bearer." + TOKEN]) as ws:
                return await events(ws, 5)
        check("WebSocket over TLS", len(asyncio.run(secure())) == 5)
        plain = s.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 3)
        check("no plain HTTP beside it", status_of(plain) != 200, plain)
        old = tls_of(cert)
        warnings.simplefilter("ignore", DeprecationWarning)
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        try:
            with socket.create_connection(("127.0.0.1", int(s.port)), 5) as c, old.wrap_socket(c, server_hostname="localhost"):
                check("TLS 1.1 is refused", False)
        except (ssl.SSLError, OSError):
            check("TLS 1.1 is refused", True)
    for what, options, word in (("a certificate that is not there", ("--tls-cert", "/none", "--tls-key", key), "/none"),
                                ("one that is none", ("--tls-cert", scratch("bad", "x"), "--tls-key", key), "cannot serve")):
        out = run(*options)
        check(f"{what}: exit 1", out.returncode == 1 and word in out.stderr and out.stderr.count("\n") == 1, out)


# ---------------------------------------------------------------- the command line, beginning and end

def run(*options):
    import shlex
    model = ["--weights", "random:demo", "--mano", os.environ["SERVER_HAND"], "--detector", "random:micro"]
    env = dict(os.environ, HF_HUB_OFFLINE="1", XDG_CACHE_HOME=scratch("cache"))
    return subprocess.run([*shlex.split(os.environ["SERVER"]), *model, *options], capture_output=True, text=True,
                          env=env, timeout=60)


def topic_usage():
    short = scratch("short", "abc")
    for options, word in ((("--port", "70000"), "--port"), (("--max-body", "3"), "--max-body"), (("--host", "0.0.0.0"), "--token-file"),
                          (("--host", "192.0.2.1"), "--token-file"), (("--tls-cert", "x"), "--tls-key"), (("cam", "--no-track", "--smooth", "1"), "--no-track"),
                          (("--cors", "*"), "--cors"), (("--cors", "https://a.example/path"), "--cors"),
                          (("--share-frames",), "source"), (("--fps", "3"), "source"), (("a", "b"), "second"),
                          (("--bbox", "1,2,3,4,left"), "--bbox"), (("--json",), "--json"), (("--smooth", "2"), "--smooth")):
        out = run(*options)
        check(f"usage: {' '.join(options)}", out.returncode == 2 and word in out.stderr and out.stderr.startswith("wilor: serve: ")
              and out.stderr.count("\n") == 1 and not out.stdout, out)
    for options, word in ((("--token-file", "/none"), "No such file"), (("--token-file", short), "first line"), (("none",), "No such file")):
        out = run("--port", "0", *options)
        check(f"{' '.join(options)}: exit 1", out.returncode == 1 and word in out.stderr and out.stderr.count("\n") == 1, out)
    with Server() as s:
        out = run("--port", s.port)
        check("a port that is taken: exit 1", out.returncode == 1 and "in use" in out.stderr, out)
    out = run("--weights", "/none/at/all.safetensors")
    check("--weights twice", out.returncode == 2, out)
    check("--help", "--token-file" in run("--help").stdout)
    with Server("--host", "localhost") as s:
        check("--host localhost", s.get("/health").status_code == 200)
    if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6") and open("/proc/net/if_inet6").read():
        with Server("--host", "::1") as s:
            r = requests.get(f"http://[::1]:{s.port}/health", timeout=20)
            check("--host ::1", r.status_code == 200)
    with Server("--host", "0.0.0.0", "--token-file", scratch("token", TOKEN)) as s:
        check("--host 0.0.0.0: numbers in Host are fine", s.get("/health", headers={"Host": "192.0.2.7:8017"}).status_code == 200)
        check("--host 0.0.0.0: names are not", is_problem(s.get("/health", headers={"Host": "evil.example"}), 403))
        check("a note on plain HTTP", "in the clear" in s.said(), s.said())


async def goodbye(s, sign):
    said, sse = scratch(f"sse-{sign.name}"), None
    idle = socket.create_connection(("127.0.0.1", int(s.port)))
    if shutil.which("curl"):
        with open(said, "wb") as f:
            sse = subprocess.Popen(["curl", "-sN", s.url + "/events"], stdout=f)
        wait_clients(s, 1)
    async with connect(s) as ws, connect(s, ("wilor.v1.bin",)) as bin_ws:
        await events(ws, 3)
        began = time.monotonic()
        s.process.send_signal(sign)
        bye = (await events(ws, 1, "bye"))[0]
        await asyncio.wait_for(ws.wait_closed(), 10)
        while True:
            try:
                m = await asyncio.wait_for(bin_ws.recv(), 10)
            except websockets.ConnectionClosed:
                break
            last = m
        check(f"{sign.name}: bye", bye["reason"] == "interrupted" and bye["seq"] > 0, bye)
        check(f"{sign.name}: closed as going away", ws.close_code == 1001 and bin_ws.close_code == 1001, ws.close_code)
        check(f"{sign.name}: bye to readers of records", isinstance(last, str) and json.loads(last)["type"] == "bye")
        if sse:
            sse.wait(20 * SLOW)
            with open(said) as f:
                text = f.read().strip().split("\n")[-1]
            check(f"{sign.name}: bye to readers of SSE", json.loads(text[6:])["type"] == "bye", text[:200])
        rc = s.process.wait(15 * SLOW)
        check(f"{sign.name}: exit 0 within 5 s", rc == 0 and time.monotonic() - began < 5 * SLOW, rc)
        idle.close()


def topic_stop():
    for sign in (signal.SIGTERM, signal.SIGINT):
        with Server("cam") as s:
            asyncio.run(goodbye(s, sign))
            lines = [x for x in s.said().splitlines() if not x.startswith("wilor: ")]
            check(f"{sign.name}: nothing odd on stderr", not lines, lines)
    hold = Hold()
    with Server(env=hold.env) as s:
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(s.post("/predict", demo()).status_code)) for _ in range(9)]
        with hold:
            for t in threads:
                t.start()
            wait_until(lambda: seen)  # one is too many: eight are there
            s.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
        rc = s.process.wait(15 * SLOW)
        for t in threads:
            t.join()
        check("a request in work is answered, the others told", rc == 0 and seen[0] == 429 and seen.count(200) >= 1
              and set(seen[1:]) <= {200, 503} and len(seen) == 9, (rc, seen))


# ---------------------------------------------------------------- with the engine itself

async def real_frames(s):
    picture = demo()
    async with connect(s) as ws:
        for i in range(3):
            await ws.send(frame(10_000_000_000 + i * 33_000_000, picture))
            while (e := (await events(ws, 1, seconds=60))[0])["clock"] != "client":
                pass
            check(f"a pushed frame, {i}", e["t_capture"] == 10_000_000 + i * 33_000 and e["frame"] == i
                  and e["timing"]["total"] > 0, str(e)[:300])


async def real_at_once(s):
    """As push_at_once. This engine cannot be held up: a client whose frame comes late sees others' answers before its own."""
    picture = demo()
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(s)) for _ in range(6)]
        for i, ws in enumerate(sockets):
            await ws.send(frame((i + 1) * 1000, picture))
        told = [[] for _ in sockets]
        for i, ws in enumerate(sockets):
            while not told[i] or told[i][-1]["t_capture"] != i + 1:
                told[i] += await events(ws, 1, seconds=60)
        check("frames of several clients at once: each has its answer", not any(e["dropped"] for got in told for e in got),
              [[(e["t_capture"], e["dropped"]) for e in got] for got in told])


def topic_real():
    """wilor itself: its own engine and sources, small weights by formula."""
    os.environ["SERVER"] = os.environ["SERVER_WILOR"] + " serve"
    folder = scratch("pictures")
    os.makedirs(folder)
    for i in range(3):
        os.symlink(DEMO, os.path.join(folder, f"{i}.png"))
    with Server(folder, "--loop", "--fps", "10", "--share-frames", "--include", "mano,xr26,gesture") as s:
        query = "?bbox=333,178,623,298,right&bbox=17,202,307,322,left&include=vertices,mano,gesture,xr26"
        e = s.post("/predict" + query, demo()).json()
        check("POST /predict", [h["side"] for h in e["hands"]] == ["right", "left"]
              and all(len(h["vertices"]) == 778 and len(h["xr26"]) == 26 for h in e["hands"]), str(e)[:300])
        check("the hand is the one of wilor predict", same_as_predict(e["hands"]), str(e["hands"][0])[:300])
        h = record(s.post("/predict" + query, demo(), headers={"Accept": "application/x-wilor-event"}).content)
        check("as a record", h["hands"] == 2 and h["vertices"] == 778, h)

        async def watch():
            async with connect(s) as ws:
                return await events(ws, 5, seconds=60)
        got = asyncio.run(watch())
        check("the source's events", [b["seq"] - a["seq"] for a, b in zip(got, got[1:])] == [1] * 4
              and all(e["image"]["w"] == 640 for e in got), [e["seq"] for e in got])
        metrics = s.get("/metrics").text
        check("/metrics counts frames", int(metrics.split("\nwilor_frames_total ")[1].split()[0]) >= 5)
        with s.get("/frames.mjpeg", stream=True) as r:
            check("/frames.mjpeg", b"image/jpeg" in next(r.iter_content(200)))
        rc = s.stop()
        check("SIGTERM: exit 0", rc == 0, s.said())
    with Server() as s:
        asyncio.run(real_frames(s))
        asyncio.run(real_at_once(s))
    if os.environ.get("SERVER_VIDEO_MODULE"):
        real_without_video()


def real_without_video():
    """Nothing here needs FFmpeg, and its module is not there."""
    env = {"WILOR_VIDEO_MODULE": "/nowhere/x.so"}
    with open(os.environ["SERVER_CLIP"], "rb") as f:
        clip = f.read()
    with Server(env=env) as s:
        for video in ("video/mp4", "image/png"):
            check(f"a video as {video} is refused", s.post("/predict", clip, content=video).status_code in (400, 415))
        e = s.post("/predict?bbox=333,178,623,298,right", demo()).json()
        check("a picture is not", len(e["hands"]) == 1, str(e)[:300])
        with open(f"/proc/{s.process.pid}/maps") as f:
            maps = f.read()
        check("no FFmpeg, no libcurl", "libwilor_io" in maps and "libavutil" not in maps and "libcurl" not in maps)
    try:
        Server(os.environ["SERVER_CLIP"], env=env)
        check("a source that needs the module", False)
    except RuntimeError as e:
        check("a source that needs the module", "libwilor_video.so.0" in str(e), e)


def same_as_predict(hands):
    out = subprocess.run([os.environ["SERVER_WILOR"], "predict", DEMO, "--weights", "random:demo", "--mano",
                          os.environ["SERVER_HAND"], "--bbox", "333,178,623,298,right", "--bbox", "17,202,307,322,left"],
                         capture_output=True, text=True, timeout=60)
    told = json.loads(out.stdout)["hands"]
    return all(a[key] == b[key] for a, b in zip(hands, told) for key in ("kp3d", "kp2d", "cam_t", "pred_cam", "wrist"))


globals()["topic_" + sys.argv[1]]()
finish()
