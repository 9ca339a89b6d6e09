"""Clients as a server meets them on a bad day, a thousand and more in one run: silent, slow, half, broken, oversized.
Meanwhile healthy ones read every event, and the server's memory stays where it was. Argument: soak, or an internal one."""

import asyncio
import base64
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from server_case import *

KEY = base64.b64encode(b"0123456789abcdef").decode()
HEAD = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
       f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: wilor.v1.json\r\n\r\n"


# ---------------------------------------------------------------- healthy ones, in a process of their own

async def read_all(name, url, formats, seen):
    # Room for what comes while this process is held up: that makes no slow reader of it.
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.connect(("127.0.0.1", int(url.split(":")[2].split("/")[0])))
    async with websockets.connect(url, sock=sock, subprotocols=formats, max_size=None) as ws:
        async for m in ws:
            e = record(m) if isinstance(m, bytes) else json.loads(m)
            if isinstance(m, bytes) or e["type"] == "hands":
                seen.append((e["seq"], e["frame"], e["dropped"]))
            elif e["type"] == "bye":
                seen.append("bye")
    print(f"# {name}: closed with {ws.close_code} {ws.close_reason}", file=sys.stderr)


def healthy(url):
    """Until the server says bye; then a summary on stdout."""
    seen = {"json": [], "record": []}

    async def both():
        await asyncio.gather(read_all("json", url, ["wilor.v1.json"], seen["json"]),
                             read_all("record", url, ["wilor.v1.bin"], seen["record"]), return_exceptions=True)
    asyncio.run(both())
    out = {}
    for name, all_of in seen.items():
        got = [x for x in all_of if x != "bye"]
        pairs = list(zip(got, got[1:]))
        out[name] = {"events": len(got), "dropped": sum(b[2] for _, b in pairs), "bye": "bye" in all_of,
                     "gaps": sum(b[0] - a[0] != 1 for a, b in pairs), "untold": sum(b[1] - a[1] - 1 != b[2] for a, b in pairs),
                     "last": got[-1][0] if got else 0}
    print(json.dumps(out))


# ---------------------------------------------------------------- the others

def open_to(s, receive=None):
    c = socket.socket()
    if receive:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    c.settimeout(5)
    c.connect(("127.0.0.1", int(s.port)))
    return c


def masked(opcode, payload, fin=True, mask=b"\1\2\3\4"):
    n = len(payload)
    size = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n)
    return bytes([(0x80 if fin else 0) | opcode]) + size + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


def silent(s, r):
    return open_to(s)


def half_head(s, r):
    c = open_to(s)
    c.sendall(HEAD.encode()[:r.randrange(1, len(HEAD) - 4)])
    return c


def slow_sse(s, r):
    c = open_to(s, 2048)
    c.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return c


def slow_ws(s, r):
    c = open_to(s, 2048)
    c.sendall(HEAD.encode())
    return c


def slow_body(s, r):
    c = open_to(s)
    c.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 900000\r\n\r\n" + bytes(5000))
    return c


def garbage(s, r):
    c = open_to(s)
    c.sendall(r.randbytes(r.randrange(1, 3000)))
    return c


def long_head(s, r):
    c = open_to(s)
    c.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 70000 + b"\r\n\r\n")
    return c


def many_headers(s, r):
    c = open_to(s)
    c.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(5000)) + b"\r\n")
    return c


def too_large(s, r):
    c = open_to(s)
    c.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 999999999\r\n\r\n" + bytes(200000))
    return c


def bad_picture(s, r):
    body = r.randbytes(r.randrange(1, 20000))
    kind = r.choice([b"image/png", b"application/json", b"application/octet-stream"])
    c = open_to(s)
    c.sendall(b"POST /predict?conf=%d HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
              % (r.randrange(3), kind, len(body)) + body)
    return c


def bad_frames(s, r):
    """WebSocket messages that break the protocol, or ours."""
    c = open_to(s)
    c.sendall(HEAD.encode())
    c.recv(1000)
    c.sendall(r.choice([
        bytes([0x82, 5]) + b"hello",                                # not masked
        masked(r.choice([3, 5, 11, 15]), b"x"),                     # no such opcode
        bytes([0x82, 0xff]) + struct.pack(">Q", 1 << 62) + b"\1\2\3\4",  # a huge length
        masked(9, bytes(200)),                                      # a ping that is too long
        masked(0, b"goes on from nothing"),
        masked(2, bytes(30), fin=False) * 50,                       # begins again and again
        masked(8, struct.pack(">H", 3) + b"\xff\xfe"),
        masked(2, r.randbytes(r.randrange(0, 5000))),               # a frame that is none
        masked(2, bytes(999)) * 20, masked(1, b"text"), masked(2, bytes(1500000))]))
    return c


def cut_frame(s, r):
    """A frame that stops in the middle."""
    c = open_to(s)
    c.sendall(HEAD.encode())
    c.recv(1000)
    c.sendall(masked(2, bytes(60000))[:r.randrange(1, 60000)])
    return c


BAD = [silent, half_head, slow_sse, slow_ws, slow_body, garbage, long_head, many_headers, too_large, bad_picture, bad_frames,
       cut_frame]


def a_round(s, seed, clients):
    """That many at once; then they are gone, some without a word."""
    r, open_ones = random.Random(seed), []
    for i in range(clients):
        try:
            open_ones.append(BAD[i % len(BAD)](s, r))
        except OSError:  # the server closed it first, or is full
            pass
    time.sleep(1)
    for c in open_ones:
        if r.random() < 0.5:  # a reset instead of an end
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
    return len(open_ones)


def soak():
    # Events that come at once, and memory that is not used again, are seen at this rate only.
    with Server("cam", "--max-body", "1M", env={"WILOR_DOUBLE_RATE": "30" if SLOW == 1 else "8",
                                                    # Else freed memory stays in quarantine and looks like a leak.
                                                    "ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}) as s:
        files, closed, total, memory = s.files() + 2, True, 0, []
        reader = subprocess.Popen([sys.executable, "-B", __file__, "healthy", s.ws], stdout=subprocess.PIPE, text=True)
        check("the healthy readers are there", wait_until(lambda: s.count("wilor_clients") == 2))
        for k in range(8):
            frames = s.count("wilor_frames_total")
            total += a_round(s, k, 180)
            wait_until(lambda: s.count("wilor_frames_total") >= frames + 90)
            closed = closed and wait_until(lambda: s.files() <= files)
            memory.append(s.memory())
        check("a thousand clients were there", total >= 1000, total)
        print(f"# {total} clients; VmRSS in kB after each round: {memory}")
        check("memory is flat after the first rounds", memory[-1] - memory[2] < 4000, memory)
        check("all their sockets are closed", closed, (files, s.files()))
        check("it answers as before", s.get("/health").status_code == 200 and s.post("/predict", demo()).status_code in (200, 413))
        check("it said nothing about them", len(s.said().splitlines()) < 6, s.said())
        rc = s.stop()
        check("SIGTERM: exit 0", rc == 0, rc)
        told = json.loads(reader.communicate(timeout=30)[0])
        print(f"# healthy readers: {told}")
        # What the engine drops itself has no event, and is told of.
        for name, t in told.items():
            check(f"the healthy reader of {name} missed nothing", t["events"] >= 8 * 90 and t["gaps"] == 0 and t["untold"] == 0, t)
            check(f"and got its bye", t["bye"], t)


def slowloris():
    """Who does not come to the point is shown out, and a full house has a word for it."""
    with Server("cam") as s:
        kinds = {"silent": silent, "half a head": half_head, "a body that does not come": slow_body}
        open_ones = {what: make(s, random.Random(1)) for what, make in kinds.items()}
        began, closed = time.monotonic(), {}
        while len(closed) < len(kinds) and time.monotonic() - began < 60 * SLOW:
            for what, c in open_ones.items():
                c.setblocking(False)
                try:
                    if what not in closed and c.recv(10000) == b"":
                        closed[what] = time.monotonic() - began
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    closed[what] = time.monotonic() - began
            time.sleep(0.1)
        check("the idle are shown out", len(closed) == 3 and max(closed.values()) < 50 * SLOW, closed)
        print(f"# seconds: {({k: round(v, 1) for k, v in closed.items()})}")
        readers = [slow_sse(s, None) for _ in range(256)]
        check("256 streams", wait_until(lambda: s.count("wilor_clients") == 256), s.count("wilor_clients"))
        r = s.get("/events", stream=True)
        check("too many streams: 503", is_problem(r, 503) and r.headers["Retry-After"], r.status_code)
        check("but requests are served", s.get("/health").status_code == 200)
        for c in readers:
            c.close()
        many = []
        for _ in range(1100):
            try:
                many.append(open_to(s))
            except OSError:
                break
        full = wait_until(lambda: any(was_closed(c) for c in many))
        for c in many:
            c.close()
        check("after more connections than it takes it is there", full and wait_until(lambda: is_there(s)), full)


def was_closed(c):
    c.setblocking(False)
    try:
        return c.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def is_there(s):
    """It closes new connections as long as it has not seen that others are gone."""
    try:
        return s.get("/health").status_code == 200
    except OSError:
        return False


async def ask_often(s, seconds):
    """Pings all the time: how the connection ended, and how many were answered."""
    answered = 0
    async with websockets.connect(s.ws, subprotocols=["wilor.v1.json"], max_size=None, ping_interval=None) as ws:
        reading = asyncio.ensure_future(read_until_closed(ws))
        end = time.monotonic() + seconds
        while time.monotonic() < end and not ws.closed:
            try:
                await asyncio.wait_for(await ws.ping(), 15 * SLOW)
            except (asyncio.TimeoutError, websockets.ConnectionClosed):
                break
            answered += 1
        alive = not ws.closed
    await reading
    return alive, answered


async def read_until_closed(ws):
    try:
        async for _ in ws:
            pass
    except websockets.ConnectionClosed:
        pass


def pings():
    """45 s: the answers to a client's pings are its own, beside the server's questions; who answers none is dropped."""
    with Server("cam", env={"WILOR_DOUBLE_RATE": "10"}) as s:
        dead, began, data = open_to(s), time.monotonic(), []
        dead.sendall(HEAD.encode())
        dead.settimeout(60 * SLOW)

        def listen():
            try:
                while part := dead.recv(1 << 16):
                    data.append(part)
            except ConnectionResetError:
                pass
            except TimeoutError:
                return
            data.append("ended")
        listening = threading.Thread(target=listen)
        listening.start()
        quiet = subprocess.Popen([sys.executable, "-B", __file__, "healthy", s.ws], stdout=subprocess.PIPE, text=True)
        alive, answered = asyncio.run(ask_often(s, 45))
        check("a client that asks all the time gets its answers", alive and answered > 100, (alive, answered))
        listening.join()
        ended, asked = data[-1] == "ended", b"\x89\x05wilor" in b"".join(x for x in data if x != "ended")
        check("one that answers nothing was asked, and dropped", asked and ended, (asked, ended, time.monotonic() - began))
        s.stop()
        told = json.loads(quiet.communicate(timeout=30)[0])
        check("those who answer stay", all(t["bye"] for t in told.values()), told)


if sys.argv[1] == "healthy":
    healthy(sys.argv[2])
else:
    globals()[sys.argv[1]]()
    finish()
