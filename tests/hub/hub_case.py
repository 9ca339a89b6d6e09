"""What the hub's tests share: a home of its own for each case, the program run in it, and the look through
the cache that follows every case: no wrong file under a right name. Output is TAP. Standard library only."""
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from hub_server import Hub

WILOR = os.environ["WILOR"]
SCRATCH = os.environ["HUB_SCRATCH"]
REPO = "org/name"

state = {"count": 0, "bad": 0}


def check(good, what, detail=""):
    state["count"] += 1
    state["bad"] += not good
    print(f"{'' if good else 'not '}ok {state['count']} - {what}")
    if not good and detail:
        print("#   " + str(detail).replace("\n", "\n#   "))
    sys.stdout.flush()


def until(condition, seconds=60):
    """Waits for it; the limit is for what never comes."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def finish():
    print(f"1..{state['count']}")
    sys.exit(1 if state["bad"] else 0)


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(77)


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


class Run:
    def __init__(self, rc, out, err):
        self.rc, self.out, self.err = rc, out, err

    def __str__(self):
        return f"exit {self.rc}\nout: {self.out}\nerr: {self.err}"


class Home:
    """An empty home folder; the hub's cache and wilor's own lie in it."""

    def __init__(self, hub, name):
        self.path = os.path.join(SCRATCH, name)
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(self.path)
        self.cache = os.path.join(self.path, ".cache/huggingface/hub")
        self.own = os.path.join(self.path, ".cache/wilor")
        self.repo = os.path.join(self.cache, "models--org--name")
        self.hub = hub
        self.environment = {"HOME": self.path, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
                            "HF_ENDPOINT": hub.endpoint, "NO_PROXY": "*"}
        for name in ("PYTHONPATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def start(self, *args, **environment):
        return subprocess.Popen([WILOR, *args], env={**self.environment, **environment},
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, start_new_session=True)

    def run(self, *args, timeout=120, **environment):
        process = self.start(*args, **environment)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += "\n(killed: it took too long)"
        return Run(process.returncode, out, err)

    def download(self, what=REPO + ":file.bin", *args, **environment):
        return self.run("download", what, *args, **environment)

    def blobs(self):
        folder = os.path.join(self.repo, "blobs")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def partials(self):
        return [name for name in self.blobs() if name.endswith(".incomplete")]

    def size(self, etag):
        """Bytes of a file under way."""
        part = os.path.join(self.repo, "blobs", etag + ".wilor.incomplete")
        return os.path.getsize(part) if os.path.exists(part) else 0


def same_file(path, data):
    try:
        with open(path.strip(), "rb") as f:
            return f.read() == data
    except OSError:
        return False


def sound(home):
    """Every blob's name is its hash, every snapshot's entry the hub's file, nothing else lies about."""
    problems = []
    known = {e.etag: e for refs, trees in home.hub.repos.values() for t in trees.values()
             for e in t.values()}
    for folder, _, files in os.walk(home.cache):
        for name in files:
            path = os.path.join(folder, name)
            if name.endswith((".incomplete", ".lock", ".TAG")) or "/refs" in folder \
                    or "/.no_exist" in folder:
                if name.endswith(".tmp"):
                    problems.append("left over: " + path)
                continue
            if "/blobs" in folder and not os.path.islink(path):
                with open(path, "rb") as f:
                    data = f.read()
                entry = known.get(name)
                if not entry or entry.data != data:
                    problems.append("wrong blob: " + path)
            elif "/snapshots/" in path:
                commit, _, file = path.split("/snapshots/")[1].partition("/")
                entries = [t[commit][file] for _, t in home.hub.repos.values()
                           if commit in t and file in t[commit]]
                if not os.path.exists(path):
                    problems.append("broken link: " + path)
                else:
                    with open(path, "rb") as f:
                        data = f.read()
                    if data not in [e.data for e in entries]:
                        problems.append("wrong file: " + path)
    return problems


def check_sound(home, what):
    problems = sound(home)
    check(not problems, what + ": nothing wrong under a right name", problems)


def check_secrets(hub, home, runs=()):
    """The storage saw no token (it would have answered 400), and no signature is written anywhere."""
    seen = [r for r in hub.requests if r.host == "cdn" and (
        r.headers.get("Authorization") or r.headers.get("X-HF-Download-Counter"))]
    check(not seen, "no token to the storage", seen)
    found = []
    for folder, _, files in os.walk(home.path):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    if b"SECRET" in f.read():
                        found.append(path)
    found += [str(r) for r in runs if "SECRET" in r.out + r.err]
    check(not found, "no signature is kept or said", found)


def new_hub(**kind):
    return Hub(**kind).start()
