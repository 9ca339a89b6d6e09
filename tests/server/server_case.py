"""What the tests of wilor serve share: the program under test, TAP, small clients.

In the environment:
  SERVER          the program, with the word `serve` behind it for wilor itself
  SERVER_SCRATCH  a folder for this test alone
  SERVER_HAND     the CC0 hand, SERVER_DEMO a picture of two of them
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import warnings

try:
    import requests
    import websockets
except ImportError as e:
    print(f"1..0 # SKIP this Python lacks {e.name} (Debian: python3-requests, python3-websockets)")
    sys.exit(77)

SCRATCH = os.environ["SERVER_SCRATCH"]
DEMO = os.environ["SERVER_DEMO"]
SLOW = float(os.environ.get("SERVER_SLOW", "1"))  # sanitizers: times as long
count = failures = 0

if "healthy" not in sys.argv:
    shutil.rmtree(SCRATCH, ignore_errors=True)
    os.makedirs(SCRATCH)


def check(what, ok, seen=""):
    global count, failures
    count += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {what}", flush=True)
    if not ok:
        print(f"#   {str(seen)[:600]}", flush=True)
    return bool(ok)


def finish():
    print(f"1..{count}")
    sys.exit(1 if failures else 0)


def scratch(name, text=None, mode=0o600):
    path = os.path.join(SCRATCH, name)
    if text is not None:
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
    return path


class Server:
    """The program, on a port of its own choice unless one is given."""

    def __init__(self, *options, ready=True, env=None, pace="0", port=0):
        model = ["--weights", "random:demo", "--mano", os.environ["SERVER_HAND"], "--detector", "random:micro"]
        self.errors = open(scratch(f"stderr-{time.monotonic_ns()}"), "w+")
        environment = dict(os.environ, XDG_CACHE_HOME=scratch("cache"), HF_HUB_OFFLINE="1", WILOR_DOUBLE_MS=pace,
                           **(env or {}))
        self.process = subprocess.Popen([*shlex.split(os.environ["SERVER"]), "--port", str(port), *model, *options],
                                        stderr=self.errors, env=environment)
        self.tls = "--tls-cert" in options
        self.port = self.wait_for(r"wilor: https?://\S+?:(\d+)/")
        if ready:
            self.wait_for("(wilor: ready)")
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"
        self.ws = f"ws{'s' if self.tls else ''}://127.0.0.1:{self.port}/ws"

    def wait_for(self, pattern):
        for _ in range(int(1200 * SLOW)):
            found = re.search(pattern, self.said())
            if found:
                return found[1]
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"no {pattern}: {self.said()}")

    def said(self):
        with open(self.errors.name) as f:
            return f.read()

    def memory(self):
        """VmRSS in kB."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def count(self, name):
        """A number of /metrics."""
        return int(self.get("/metrics").text.split(f"\n{name} ")[1].split()[0])

    def get(self, path, **more):
        return requests.get(self.url + path, timeout=20 * SLOW, **more)

    def post(self, path, data, content="image/png", headers=None, **more):
        return requests.post(self.url + path, data=data, headers={"Content-Type": content, **(headers or {})},
                             timeout=30 * SLOW, **more)

    def raw(self, data, seconds=10):
        """Bytes to a socket, and all that comes back until it is closed or silent."""
        with socket.create_connection(("127.0.0.1", int(self.port)), timeout=seconds * SLOW) as s:
            s.sendall(data)
            got = b""
            try:
                while True:
                    part = s.recv(65536)
                    if not part:
                        return got
                    got += part
                    if b"\r\n\r\n" in got and enough(got):
                        return got
            except (TimeoutError, ConnectionResetError):
                return got

    def stop(self, sign=signal.SIGTERM, seconds=15):
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            return self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "killed"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Hold:
    """Holds the stand-in of the engine up (its environment: env), from on() to off() or inside of a `with`: a test need not
    be quick then."""

    def __init__(self):
        self.path = scratch(f"hold-{time.monotonic_ns()}")
        self.env = {"WILOR_DOUBLE_HOLD": self.path}

    def on(self):
        open(self.path, "w").close()

    def off(self):
        os.remove(self.path)

    def __enter__(self):
        self.on()

    def __exit__(self, *_):
        self.off()


def wait_until(condition, seconds=60):
    """Whether it comes true. The limit is for what never does."""
    end = time.monotonic() + seconds * SLOW
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def enough(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return length and len(body) >= int(length[1])


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def is_problem(r, status):
    """An answer of RFC 9457 with that status."""
    if r.status_code != status or r.headers["Content-Type"] != "application/problem+json":
        return False
    p = r.json()
    return p["status"] == status and p["title"] and p["detail"] and p["type"] == "about:blank"


def demo():
    with open(DEMO, "rb") as f:
        return f.read()


def frame(time_ns, picture):
    return struct.pack("<Q", time_ns) + picture


async def events(socket, n, kind="hands", seconds=20):
    """The next n messages of that type."""
    import asyncio
    got = []
    while len(got) < n:
        e = json.loads(await asyncio.wait_for(socket.recv(), seconds * SLOW))
        if e["type"] == kind:
            got.append(e)
    return got


RECORD = struct.Struct("<IHHIIQQqqIIffffIIHHIBB6x")
RECORD_NAMES = ("magic version header size flags seq frame t_capture t_ready width height fx fy cx cy stream dropped "
                "hands fixed vertices dtype device").split()


def record(data):
    return dict(zip(RECORD_NAMES, RECORD.unpack_from(data)))


def certificate():
    """A self-signed one for localhost; (cert, key), or None where there is no openssl."""
    cert, key = scratch("cert.pem"), scratch("key.pem")
    if not shutil.which("openssl"):
        return None
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, stderr=subprocess.DEVNULL)
    return cert, key


def tls_of(cert):
    return ssl.create_default_context(cafile=cert)
