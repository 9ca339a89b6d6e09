"""check_hub.py TOPIC: `wilor download`, `wilor cache` and `wilor predict` against the hub of hub_server.py.
The environment says where things are: tests/hub/CMakeLists.txt."""
import fcntl
import hashlib
import json
import os
import pathlib
import pty
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

from hub_case import (REPO, SCRATCH, WILOR, Home, check, check_secrets, check_sound, finish, new_hub,
                      noise, same_file, skip, until)

DATA = noise(300_000)
SMALL = b"small text\n"


def make_hub(**kind):
    hub = new_hub(**kind)
    hub.add(REPO, "small/a.txt", SMALL, lfs=False)
    hub.commit = hub.add(REPO, "file.bin", DATA)
    return hub


def entry_etag(hub, path="file.bin"):
    refs, trees = hub.repos[REPO]
    return trees[refs["main"]][path].etag


def basics():
    hub = make_hub()
    home = Home(hub, "basics")
    r = home.download()
    snapshot = f"{home.repo}/snapshots/{hub.commit}/file.bin"
    check(r.rc == 0 and r.out == snapshot + "\n", "a file, its path on stdout", r)
    check(same_file(snapshot, DATA), "its bytes")
    etag = entry_etag(hub)
    check(os.readlink(snapshot) == f"../../blobs/{etag}", "a relative link to the blob")
    check(pathlib.Path(home.repo, "refs/main").read_bytes() == hub.commit.encode(), "the ref, no newline")
    tag = pathlib.Path(home.cache, "CACHEDIR.TAG").read_text()
    check(tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n"), "CACHEDIR.TAG")
    check(os.path.exists(f"{home.cache}/.locks/models--org--name/{etag}.lock"), "the lock's place")
    check(home.blobs() == [etag], "one blob, no partial file", home.blobs())
    pins = json.loads(pathlib.Path(home.own, "pins.json").read_text())
    pin = pins["files"][REPO + ":file.bin"]
    check(pin["sha256"] == hashlib.sha256(DATA).hexdigest() and pin["commit"] == hub.commit, "the pin", pin)
    head, get = hub.requests[0], hub.requests[-1]
    check(head.method == "HEAD" and head.path == f"/{REPO}/resolve/main/file.bin", "HEAD first", head)
    check(head.headers["User-Agent"].startswith("wilor/") and
          head.headers["Accept-Encoding"] == "identity" and
          head.headers["X-HF-Download-Counter"] == "1", "its headers", head.headers)
    check(get.host == "cdn" and get.headers["Accept-Encoding"] == "identity", "GET at the storage", get)
    check(len(hub.requests) == 2, "two requests", hub.requests)
    check_secrets(hub, home, [r])

    hub.reset()
    r = home.download()
    check(r.rc == 0 and r.out == snapshot + "\n" and not hub.requests, "again: no request", r)
    r = home.download(REPO + ":small/a.txt")
    small = f"{home.repo}/snapshots/{hub.commit}/small/a.txt"
    check(r.rc == 0 and r.out == small + "\n" and same_file(small, SMALL), "a small file", r)
    check(os.readlink(small) == "../../../blobs/" + entry_etag(hub, "small/a.txt"), "its link, git's hash")
    hub.reset()
    r = home.download(f"{REPO}@{hub.commit}:file.bin")
    check(r.rc == 0 and not hub.requests, "by commit: no request", r)
    r = home.download(REPO + ":file.bin", "--offline")
    check(r.rc == 0 and not hub.requests, "--offline", r)
    pathlib.Path(home.own, "pins.json").unlink()
    r = home.download(HF_HUB_OFFLINE="1")
    check(r.rc == 0 and not hub.requests and os.path.exists(home.own + "/pins.json"), "by the ref, pinned anew", r)
    pathlib.Path(home.repo, "refs/main").write_text(hub.commit + "\n ")
    pathlib.Path(home.own, "pins.json").unlink()
    r = home.download(TRANSFORMERS_OFFLINE="yes")
    check(r.rc == 0, "a ref with a newline", r)

    hub.add("ds/x", "d.txt", b"x", lfs=False)
    hub.repos["datasets/ds/x"] = hub.repos.pop("ds/x")
    r = home.download("datasets/ds/x:d.txt")
    check(r.rc == 0 and "/datasets--ds--x/" in r.out, "a dataset", r)
    hub.add(REPO, "v.txt", b"v", lfs=False, revision="refs/pr/1")
    r = home.download(REPO + "@refs/pr/1:v.txt")
    check(r.rc == 0 and os.path.exists(home.repo + "/refs/refs/pr/1"), "a revision with slashes", r)
    check(any("/resolve/refs%2Fpr%2F1/" in q.path for q in hub.requests), "encoded in the URL", hub.requests)
    hub.add(REPO, "odd näme +%.txt", b"o", lfs=False)
    r = home.download(REPO + ":odd näme +%.txt")
    check(r.rc == 0 and r.out.rstrip("\n").endswith("odd näme +%.txt"), "an odd name", r)
    hub.add(REPO, "empty.txt", b"", lfs=False)
    r = home.download(REPO + ":empty.txt")
    check(r.rc == 0 and same_file(r.out, b""), "an empty file", r)
    hub.reset(hop=True, hops=3)
    hub.add(REPO, "hop.bin", noise(5000, 2))
    r = home.download(REPO + ":hop.bin", HF_TOKEN="sesame")
    check(r.rc == 0 and same_file(r.out, noise(5000, 2)), "redirects within the hub, and of the storage", r)
    check(all(q.headers.get("Authorization") == "Bearer sesame" for q in hub.requests if q.host == "hub"),
          "the token goes with them")
    check_secrets(hub, home, [r])
    for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        hub.reset()
        r = home.download(**{key: "$HOME/else/where"})
        check(r.rc == 0 and r.out.startswith(home.path + "/else/where/models--"), key, r)
    r = home.download(HF_HOME="~/hf")
    check(r.rc == 0 and r.out.startswith(home.path + "/hf/hub/models--"), "HF_HOME", r)
    for key in ("HTTP_PROXY", "http_proxy"):
        hub.reset()
        home_proxy = Home(hub, "proxy")
        r = home_proxy.download(HF_ENDPOINT="http://hub.test//", NO_PROXY="localhost", **{key: hub.endpoint})
        check(r.rc == 0 and [q.host for q in hub.requests] == ["proxy", "cdn"], f"{key}, NO_PROXY, a mirror's name",
              (r, hub.requests))
    check_sound(home, "basics")
    hub.stop()


def names():
    hub = make_hub()
    home = Home(hub, "names")
    for path in ("/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", "C:/x", "a\\b", "a\nb", "x" * 1100):
        r = home.download(f"{REPO}:{path}")
        check(r.rc == 2 and not hub.requests, f"refused: {path[:20]!r}", r)
    for repo in ("a b/c", "a/b--c", "../c", "a/.b", "-a/b", "a/b.git", "a/" + "b" * 100, "a/b/c", "/a"):
        r = home.download(f"{repo}:x")
        check(r.rc == 2 and not hub.requests, f"no repository: {repo[:20]!r}", r)
    for what in ("nothing", "a/b", ""):
        r = home.download(what)
        check(r.rc == 2, f"not enough: {what!r}", r)
    for revision in ("../x", "/x", "a//b", "x\\y"):
        r = home.download(f"{REPO}@{revision}:file.bin")
        check(r.rc == 2 and not hub.requests, f"no revision: {revision!r}", r)
    r = home.download(HF_ENDPOINT="ftp://x")
    check(r.rc == 2 and "HF_ENDPOINT" in r.err, "an endpoint that is none", r)
    r = home.run("download", REPO + ":file.bin", HOME="")
    check(r.rc == 4 and "neither HOME nor XDG_CACHE_HOME" in r.err, "no home", r)
    hub.stop()


def messages():
    """Answers that are errors: status, text, and nothing in the cache."""
    hub = make_hub()
    home = Home(hub, "messages")

    def expect(what, rc, *texts, name=REPO + ":file.bin", environment=None, **fault):
        hub.reset(**fault)
        r = home.download(name, **(environment or {}))
        check(r.rc == rc and all(t in r.err for t in texts) and not r.out, what, r)
        check(r.err.count("wilor: ") == r.err.count("\n") and "SECRET" not in r.err, what + ": whole lines", r)
        return r

    expect("no such repository", 4, "or it is private", "HF_TOKEN", name="no/such:x")
    expect("no such file", 4, "no such file", "'none.bin'", name=REPO + ":none.bin")
    check(os.path.exists(f"{home.repo}/.no_exist/{hub.commit}/none.bin"), "is remembered as absent")
    check(os.path.exists(f"{home.repo}/refs/main"), "and the ref")
    expect("no such revision", 4, "no such revision", name=REPO + "@none:file.bin")
    expect("gated", 4, "terms", hub.endpoint + "/org/name", head_status=403,
           head_headers={"X-Error-Code": "GatedRepo"})
    expect("401", 4, "HF_TOKEN", head_status=401)
    expect("403", 4, "access refused", "HTTP 403", "quota", head_status=403,
           head_headers={"X-Error-Message": "quota"})
    expect("404", 4, "HTTP 404", head_status=404)
    expect("416", 1, "HTTP 416", head_status=416)
    expect("418", 1, "HTTP 418", head_status=418)
    expect("a captive portal before the hub", 4, "no X-Repo-Commit", "login page", head_portal=True)
    expect("a captive portal before the storage", 1, "web page", portal=True)
    expect("more bytes than announced", 1, "more bytes than were announced", more_bytes=True)
    expect("another length", 1, "the hub announced 299999", claim_size=299_999)
    expect("wrong bytes", 1, "its hash differs", wrong_bytes=True)
    check(not home.blobs(), "and they are deleted", home.blobs())
    expect("more than the disk has", 1, "disk is too full", claim_size=10**17)
    expect("403 of the storage, for good", 1, "HTTP 403", "new address", status=403)
    check(sum(q.method == "HEAD" for q in hub.requests) == 4, "after three new addresses", hub.requests)
    expect("404 of the storage", 4, "HTTP 404", status=404)
    r = expect("the token is wanted", 4, "HF_TOKEN", token="sesame", environment={"HF_TOKEN": "wrong-one"})
    check("wrong-one" not in r.err, "and not printed")
    expect("a token that holds a control character", 2, "control character", environment={"HF_TOKEN": "a\x01b"})
    expect("nobody there", 4, "not in the cache", "'file.bin'", "at main", home.cache, "cannot be reached",
           environment={"HF_ENDPOINT": "http://127.0.0.1:9"})
    expect("no such host", 4, "cannot be reached", environment={"HF_ENDPOINT": "http://nowhere.invalid"})
    expect("offline", 4, "not in the cache", "offline", environment={"HF_HUB_OFFLINE": "ON"})
    check(not hub.requests, "without a request")
    check(not [n for n in home.blobs() if not n.endswith(".incomplete")], "no blob of all these", home.blobs())
    check_sound(home, "messages")
    hub.stop()


def tokens():
    hub = make_hub()
    home = Home(hub, "tokens")
    os.makedirs(home.path + "/.cache/huggingface")
    pathlib.Path(home.path, ".cache/huggingface/token").write_text(" from-file\r\n")

    def sent(**environment):
        hub.reset()
        shutil.rmtree(home.cache, ignore_errors=True)
        shutil.rmtree(home.own, ignore_errors=True)
        home.download(**environment)
        check_secrets(hub, home)
        return hub.requests[0].headers.get("Authorization")

    check(sent() == "Bearer from-file", "the token of the file")
    check(sent(HUGGING_FACE_HUB_TOKEN="old") == "Bearer old", "HUGGING_FACE_HUB_TOKEN")
    check(sent(HF_TOKEN=" new\n", HUGGING_FACE_HUB_TOKEN="old") == "Bearer new", "HF_TOKEN before it")
    check(sent(HF_HUB_DISABLE_IMPLICIT_TOKEN="1") is None, "HF_HUB_DISABLE_IMPLICIT_TOKEN")
    check(sent(HF_TOKEN_PATH="/dev/null") is None, "HF_TOKEN_PATH, empty")
    pathlib.Path(home.path, "t").write_text("third")
    check(sent(HF_TOKEN_PATH="~/t") == "Bearer third", "HF_TOKEN_PATH")
    sent(HF_HUB_DISABLE_TELEMETRY="1")
    check(hub.requests[0].headers["User-Agent"].count(" ") == 0, "a terse user agent")
    hub.stop()


def resume():
    """Broken connections: taken up where they broke."""
    hub = make_hub()

    def good(what, name, *ranges, environment=None, **fault):
        hub.reset(**fault)
        hub.expired = 0
        home = Home(hub, "resume-" + name)
        r = home.download(**(environment or {}))
        check(r.rc == 0 and same_file(r.out, DATA), what, r)
        got = [q.headers.get("Range", "") for q in hub.requests if q.method == "GET"]
        check(not ranges or got == list(ranges), what + ": its ranges", got)
        check(not home.partials(), what + ": no partial file left", home.blobs())
        check_sound(home, what)
        check_secrets(hub, home, [r])

    good("cut once", "cut", "", "bytes=100000-", cut_after=100_000, cuts=1)
    good("cut twice", "cut2", "", "bytes=100000-", "bytes=200000-", cut_after=100_000, cuts=2)
    good("cut, then all of it again", "norange", "", "bytes=100000-", cut_after=100_000, cuts=1, no_range=True)
    good("an expired signature", "expired", expire_after=100_000)
    check(sum(q.method == "HEAD" for q in hub.requests) == 2 and
          any("/resolve/" + hub.commit in q.path for q in hub.requests), "asked again, by commit", hub.requests)
    good("503 twice", "503", status=503, statuses=2)
    start = time.monotonic()
    good("429 with Retry-After", "429", status=429, statuses=1, retry_after=4)
    check(time.monotonic() - start >= 4, "which is waited for")
    good("a hub that answers 503 twice", "head503", head_status=503, head_statuses=2)
    good("gzip though it was asked not to", "gzip", gzip=True)
    good("chunked, of unknown size", "chunked", chunked=True, no_size=True)
    good("stalled", "stall", "", "bytes=102400-", stall_after=100_000, stalls=1,
         environment={"HF_HUB_DOWNLOAD_TIMEOUT": "2"})
    start = time.monotonic()
    home = Home(hub, "resume-stop")
    hub.reset(cut_after=0)
    r = home.download()
    check(r.rc == 1 and "5 times without a new byte" in r.err, "nothing comes, ever", r)
    # Tries are counted, not seconds: no upper limit holds on a machine that others use, too.
    gets = sum(q.method == "GET" for q in hub.requests)
    check(time.monotonic() - start >= 23 and gets == 6, "six tries, after waiting 1, 2, 4, 8 and 8 s", gets)
    check(not home.blobs(), "and leaves nothing", home.blobs())

    # Another run takes up what one left; unless it is of no use.
    etag = entry_etag(hub)
    for what, left, first in (("a partial file", DATA[:123_456], "bytes=123456-"),
                              ("all but the last byte", DATA[:-1], "bytes=299999-"),
                              ("all of it", DATA, None), ("too much of it", DATA + b"x", "")):
        home = Home(hub, "resume-left")
        os.makedirs(home.repo + "/blobs")
        pathlib.Path(home.repo, "blobs", etag + ".wilor.incomplete").write_bytes(left)
        pathlib.Path(home.repo, "blobs", etag + ".incomplete").write_bytes(b"Python's")
        hub.reset()
        r = home.download()
        got = [q.headers.get("Range", "") for q in hub.requests if q.method == "GET"]
        check(r.rc == 0 and same_file(r.out, DATA) and got == ([] if first is None else [first]), what, (r, got))
        check(home.partials() == [etag + ".incomplete"], what + ": Python's is left alone", home.blobs())
    home = Home(hub, "resume-unknown")
    os.makedirs(home.repo + "/blobs")
    pathlib.Path(home.repo, "blobs", etag + ".wilor.incomplete").write_bytes(DATA)
    hub.reset(no_size=True)
    r = home.download()
    got = [q.headers.get("Range", "") for q in hub.requests if q.method == "GET"]
    check(r.rc == 0 and same_file(r.out, DATA) and got == ["bytes=300000-"], "all of it, of unknown size", (r, got))
    home = Home(hub, "resume-wrong")
    os.makedirs(home.repo + "/blobs")
    pathlib.Path(home.repo, "blobs", etag + ".wilor.incomplete").write_bytes(b"y" * 1000)
    r = home.download()
    check(r.rc == 1 and "its hash differs" in r.err and not home.partials(), "a wrong one is found out", r)
    r = home.download()
    check(r.rc == 0 and same_file(r.out, DATA), "and gone the next time", r)
    hub.reset(cut_after=100_000, cuts=1, wrong_range=True)
    home = Home(hub, "resume-range")
    r = home.download()
    check(r.rc == 1 and "another part than was asked for" in r.err or r.rc == 0 and same_file(r.out, DATA),
          "a wrong part is not taken", r)
    check_sound(home, "a wrong part")
    hub.stop()


def kill():
    """SIGKILL at ten moments, then once more to the end."""
    hub = make_hub()
    big = noise(3_000_000, 5)
    hub.add(REPO, "big.bin", big)
    home = Home(hub, "kill")
    etag, sizes = entry_etag(hub, "big.bin"), []
    # A run gets so much and no more, however late it is killed; the later ones live until they have got something.
    hub.reset(rate=700_000, stall_after=150_000)
    for i in range(10):
        process = home.start("download", REPO + ":big.bin")
        time.sleep(0.02 + 0.06 * i)
        if i >= 5:
            until(lambda: home.size(etag) > sizes[-1])
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        check(set(home.blobs()) <= {etag, etag + ".wilor.incomplete"}, f"kill {i}: only the partial file",
              home.blobs())
        sizes.append(home.size(etag))
        check_sound(home, f"kill {i}")
    check(sizes == sorted(sizes) and sizes[-1] > sizes[0], "it grows from run to run", sizes)
    hub.reset()
    r = home.download(REPO + ":big.bin")
    check(r.rc == 0 and same_file(r.out, big), "then it completes", r)
    check(home.blobs() == [etag], "and leaves nothing over", home.blobs())
    last = [q for q in hub.requests if q.method == "GET"][-1]
    check(last.headers.get("Range", "").startswith("bytes="), "having gone on", last)
    left = [str(p) for p in pathlib.Path(home.path).rglob("*.tmp")]
    check(not left, "no temporary names", left)
    # SIGINT: 130, and the bytes stay.
    home = Home(hub, "interrupt")
    hub.reset(stall_after=500_000)
    process = home.start("download", REPO + ":big.bin")
    until(lambda: home.size(etag))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    check(process.returncode == 130 and not out and home.partials(), "interrupted", (process.returncode, err))
    hub.stop()


def parallel():
    hub = make_hub()
    home = Home(hub, "parallel")
    # Nothing comes before three have said that they wait.
    hold = threading.Event()
    hub.reset(hold=hold)
    processes = [home.start("download", REPO + ":file.bin", HF_HUB_DOWNLOAD_TIMEOUT="100") for _ in range(4)]
    said = [[] for _ in processes]

    def listen(stream, lines):
        for line in stream:
            lines.append(line)

    readers = [threading.Thread(target=listen, args=(p.stderr, s)) for p, s in zip(processes, said)]
    for reader in readers:
        reader.start()
    until(lambda: sum("waiting for it" in "".join(s) for s in said) == 3)
    hold.set()
    for reader in readers:
        reader.join()
    ends = [(p.stdout.read(), "".join(s), p.wait(100)) for p, s in zip(processes, said)]
    check(all(rc == 0 and same_file(out, DATA) for out, _, rc in ends), "four at once", ends)
    check(sum(q.method == "GET" for q in hub.requests) == 1, "one download", hub.requests)
    check(sum("waiting for it" in err for _, err, _ in ends) == 3, "three wait, and say so", ends)
    check_sound(home, "parallel")
    hub.reset(rate=150_000)
    files = {f"f{i}": noise(20_000, i) for i in range(6)}
    for name, data in files.items():
        hub.add(REPO, name, data)
    processes = {n: home.start("download", f"{REPO}:{n}") for n in files}
    ends = {n: p.communicate(timeout=100) + (p.returncode,) for n, p in processes.items()}
    check(all(rc == 0 and same_file(out, files[n]) for n, (out, _, rc) in ends.items()), "six files at once", ends)
    pins = json.loads(pathlib.Path(home.own, "pins.json").read_text())["files"]
    check(len(pins) == 7, "no pin is lost", pins)
    # Python takes the same lock. Said at once and not again within ten seconds; over when the lock is free.
    hub.add(REPO, "late.bin", DATA[::-1])
    lock = pathlib.Path(home.cache, ".locks/models--org--name", entry_etag(hub, "late.bin") + ".lock")
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = home.start("download", REPO + ":late.bin")
        first = process.stderr.readline()
        time.sleep(0.5)
        check("another process is downloading this file: waiting for it" in first and process.poll() is None,
              "somebody else's lock: it waits, and says so", first)
    out, err = process.communicate(timeout=60)
    check(process.returncode == 0 and same_file(out, DATA[::-1]) and "waiting" not in err, "then it goes on", err)
    hub.stop()


def caches():
    """Caches that cannot be written, that know no links, that hold damaged files; the store of newer Python."""
    hub = make_hub()
    home = Home(hub, "nolinks")
    r = home.download(HF_HUB_DISABLE_SYMLINKS="1")
    path = r.out.strip()
    check(r.rc == 0 and not os.path.islink(path) and same_file(path, DATA) and not home.blobs(), "no links", r)
    hub.reset()
    r = home.download(HF_HUB_DISABLE_SYMLINKS="1")
    check(r.rc == 0 and not hub.requests, "no links: found again", r)
    pathlib.Path(home.own, "pins.json").unlink()
    r = home.download(HF_HUB_OFFLINE="1")
    check(r.rc == 0 and r.out.strip() == path, "no links: by the ref", r)

    home = Home(hub, "damaged")
    path = home.download().out.strip()
    blob = os.path.realpath(path)
    pathlib.Path(blob).write_bytes(DATA[:1000])
    hub.reset()
    r = home.download()
    check(r.rc == 0 and same_file(path, DATA), "a blob that was cut is fetched again", r)
    pathlib.Path(blob).write_bytes(b"x" + DATA[1:])
    pathlib.Path(home.own, "pins.json").unlink()
    r = home.download("--offline", REPO + ":file.bin")
    check(r.rc == 4 and "damaged" in r.err and not r.out, "a wrong blob is not used", r)
    r = home.download()
    check(r.rc == 0 and same_file(path, DATA) and "damaged" in r.err, "but fetched again", r)
    check_sound(home, "damaged")

    # Python's shared store: the blob is a link, and stays what it is.
    home = Home(hub, "store")
    etag = entry_etag(hub)
    store = pathlib.Path(home.cache, "blobs/ab/" + "ab" * 32)
    store.parent.mkdir(parents=True)
    store.write_bytes(DATA)
    store.chmod(0o444)
    os.makedirs(home.repo + "/blobs")
    os.symlink("../../blobs/ab/" + "ab" * 32, f"{home.repo}/blobs/{etag}")
    hub.reset()
    r = home.download()
    check(r.rc == 0 and same_file(r.out, DATA) and not [q for q in hub.requests if q.method == "GET"],
          "a blob in the store is used", r)
    store.chmod(0o644)
    store.write_bytes(b"z" + DATA[1:])
    pathlib.Path(home.own, "pins.json").unlink()
    r = home.download()
    check(r.rc == 0 and same_file(r.out, DATA), "a damaged one is replaced", r)
    check(store.read_bytes() == b"z" + DATA[1:], "and not written through")

    # A link in the partial file's place leads nowhere.
    home = Home(hub, "planted")
    precious = pathlib.Path(home.path, "precious")
    precious.write_text("precious")
    os.makedirs(home.repo + "/blobs")
    os.symlink(precious, f"{home.repo}/blobs/{etag}.wilor.incomplete")
    r = home.download()
    check(r.rc == 1 and precious.read_text() == "precious", "a planted link is not written through", r)

    # A cache that may only be read.
    home = Home(hub, "readonly")
    path = home.download().out.strip()
    shutil.rmtree(home.own)
    if os.getuid() == 0:
        user = ["setpriv", "--reuid=65534", "--clear-groups", "--"] if shutil.which("setpriv") else None
    else:
        user = []
    if user is None:
        check(True, "a read-only cache # SKIP no setpriv to stop being root with")
    else:
        for folder, _, _ in os.walk(home.path):
            os.chmod(folder, 0o555)
        for what, environment in (("online", {}), ("offline", {"HF_HUB_OFFLINE": "1"}),
                                  ("hub away", {"HF_ENDPOINT": "http://127.0.0.1:9"})):
            p = subprocess.run(user + [WILOR, "download", REPO + ":file.bin"], text=True, capture_output=True,
                               env={**home.environment, **environment})
            if p.returncode in (126, 127):
                check(True, "a read-only cache # SKIP another user may not run the program")
                break
            check(p.returncode == 0 and p.stdout.strip() == path, "a read-only cache, " + what, p)
        p = subprocess.run(user + [WILOR, "download", REPO + ":small/a.txt"], text=True, capture_output=True,
                           env=home.environment)
        check(p.returncode in (1, 126, 127) and not p.stdout, "what it lacks cannot be fetched", p)
        for folder, _, _ in os.walk(home.path):
            os.chmod(folder, 0o755)

    # A disk that is full half way: writing fails behind a limit of the process.
    home = Home(hub, "full")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    p = subprocess.run([WILOR, "download", REPO + ":file.bin"], text=True, capture_output=True,
                       env=home.environment, preexec_fn=limit)
    check(p.returncode == 1 and "after 100000 bytes" in p.stderr and not p.stdout, "writing fails half way", p)
    check_sound(home, "writing fails")
    r = home.download()
    check(r.rc == 0 and same_file(r.out, DATA), "and goes on later", r)
    hub.stop()


def pins():
    hub = make_hub()
    home = Home(hub, "pins")
    first = home.download().out.strip()
    other = noise(1000, 9)
    commit = hub.add(REPO, "other.bin", b"o")
    hub.reset()
    r = home.download()
    check(r.rc == 0 and r.out.strip() == first and not hub.requests, "a new commit: the pin stays", r)
    shutil.rmtree(home.repo)
    r = home.download()
    check(r.rc == 0 and commit in r.out, "the same bytes in another commit are fine", r)
    hub.add(REPO, "file.bin", other)
    shutil.rmtree(home.repo)
    r = home.download()
    check(r.rc == 1 and "trusted before" in r.err and "--revision main" in r.err, "other bytes are refused", r)
    check(not r.out and not home.blobs(), "and not fetched")
    r = home.download(REPO + ":file.bin", "--revision", "main")
    check(r.rc == 0 and same_file(r.out, other), "unless a revision is named", r)
    hub.reset()
    r = home.download()
    check(r.rc == 0 and same_file(r.out, other) and not hub.requests, "which is the pin from then on", r)
    hub.reset()
    r = home.download(REPO + "@main:file.bin")
    check(r.rc == 0 and len(hub.requests) == 1, "a named branch is asked for", (r, hub.requests))
    hub.reset(head_status=500)
    r = home.download(REPO + "@main:file.bin")
    check(r.rc == 0 and "HTTP 500" in r.err and same_file(r.out, other), "500: what the cache has", r)
    for text in ("", "{", "[]", '{"version": 2, "files": {}}', '{"version": 1, "files": {"org/name:file.bin": {}}}',
                 '{"version": 1, "files": {"org/name:file.bin": {"commit": "../../..", "etag": "x", "sha256": "", '
                 '"size": -1}}}', "\x00"):
        pathlib.Path(home.own, "pins.json").write_text(text)
        r = home.download()
        check(r.rc == 1 and "pins.json" in r.err and "damaged" in r.err, f"damaged pins: {text[:30]!r}", r)
    hub.stop()


def https():
    """TLS: with a certificate of the test's own; not without knowing it; never down to http."""
    if not shutil.which("openssl"):
        skip("no openssl to make a certificate with")
    pem = os.path.join(SCRATCH, "https.pem")
    p = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", pem,
                        "-out", pem + ".crt", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"], capture_output=True, text=True)
    if p.returncode:
        skip("openssl made no certificate")
    with open(pem, "a") as f:
        f.write(pathlib.Path(pem + ".crt").read_text())
    hub = make_hub(certificate=pem)
    home = Home(hub, "https")
    r = home.download()
    check(r.rc == 4 and "certificate" in r.err, "an unknown certificate", r)
    check(not hub.requests, "gets no request")
    hub.reset(to_http=True)
    r = home.download(SSL_CERT_FILE=pem + ".crt")
    check(r.rc == 4 and "away from https" in r.err and not r.out, "no way down to http", r)
    hub.reset(cut_after=100_000, cuts=1)
    r = home.download(SSL_CERT_FILE=pem + ".crt", HF_TOKEN="sesame")
    check(r.rc == 0 and same_file(r.out, DATA), "a known one", r)
    check_secrets(hub, home, [r])
    check_sound(home, "https")
    hub.stop()


def cache_command():
    hub = make_hub()
    home = Home(hub, "cache")
    r = home.run("cache", "list")
    check(r.rc == 0 and "total" in r.out, "list of nothing", r)
    home.download()
    blobs = pathlib.Path(home.repo, "blobs")
    (blobs / ("a" * 64 + ".wilor.incomplete")).write_bytes(b"1" * 10)
    (blobs / ("b" * 64 + ".0123abcd.incomplete")).write_bytes(b"2" * 20)
    old = blobs / ("c" * 64 + ".incomplete")
    old.write_bytes(b"3" * 30)
    os.utime(old, (time.time() - 90_000,) * 2)
    os.makedirs(home.own + "/packed")
    packed = pathlib.Path(home.own, "packed", "0123456789abcdef.packed")
    packed.write_bytes(b"wilor packed 1\n" + b"4" * 25)
    foreign = [packed.with_name(name) for name in ("x", "fedcba9876543210.packed")]
    for path in foreign:
        path.write_bytes(b"4" * 40)
    os.makedirs(home.cache + "/blobs/ab")
    pathlib.Path(home.cache, "blobs/ab/" + "ab" * 32).write_bytes(b"5" * 50)
    r = home.run("cache", "list")
    check(r.rc == 0 and "'org/name'" in r.out and "300 kB" in r.out and "shared" in r.out, "list", r)
    check(r.out.count("partial") == 3 and "pins.json" in r.out and "packed" in r.out, "list: all kinds", r)
    r = home.run("cache", "clean")
    check(r.rc == 0 and len(r.out.splitlines()) == 4 and "--yes" in r.err and old.exists(), "clean says what", r)
    r = home.run("cache", "clean", "--yes")
    left = sorted(p.name[:1] for p in blobs.iterdir() if p.name.endswith("incomplete"))
    check(r.rc == 0 and left == ["b"], "clean --yes", (r, left))
    check(not packed.exists() and os.path.exists(home.own + "/pins.json"), "packed, no pins")
    check(all(path.exists() for path in foreign), "what is no packed weights stays")
    r = home.download("--offline", REPO + ":file.bin")
    check(r.rc == 0, "what is complete stays", r)
    hub.add(REPO, "slow.bin", noise(1_000_000, 3))
    hub.reset(rate=300_000)
    process = home.start("download", REPO + ":slow.bin")
    until(lambda: home.size(entry_etag(hub, "slow.bin")))
    r = home.run("cache", "clean", "--yes")
    out, err = process.communicate(timeout=60)
    check(process.returncode == 0 and same_file(out, noise(1_000_000, 3)), "a download under way is left alone",
          (r, err))
    for words in ((), ("wash",), ("list", "clean")):
        check(home.run("cache", *words).rc == 2, f"usage: cache {' '.join(words)}")
    hub.stop()


def terminal():
    """On a terminal: a bar with size, rate and time left; the licence notice once."""
    hub = make_hub()
    for name in ("wilor_final.ckpt", "detector.pt", "MANO_RIGHT.pkl", "mano_mean_params.npz"):
        hub.add("warmshao/WiLoR-mini", "pretrained_models/" + name, noise(400_000, len(name)))
    home = Home(hub, "terminal")
    hub.reset(rate=400_000)

    def on_terminal(*args):
        master, slave = pty.openpty()
        p = subprocess.Popen([WILOR, *args], env=home.environment, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=slave)
        os.close(slave)
        seen = b""
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        out = p.stdout.read()
        p.wait()
        os.close(master)
        return p.returncode, out.decode(), seen.decode()

    rc, out, seen = on_terminal("download", "mini")
    check(rc == 0 and len(out.splitlines()) == 4, "four files", (rc, out))
    check("% of 400 kB" in seen and "kB/s" in seen and "left" in seen and "wilor_final.ckpt [" in seen, "the bar",
          seen[:500])
    check(seen.count("CC BY-NC-ND") == 1 and seen.count("mano.is.tue.mpg.de") == 1, "the notice, once", seen[:900])
    check(seen.endswith("\x1b[K"), "nothing is left on the line", repr(seen[-50:]))
    rc, out, seen = on_terminal("download", "mini")
    check(rc == 0 and not seen, "the second time: quiet", seen)
    shutil.rmtree(home.cache)
    rc, out, seen = on_terminal("download", "mini")
    check(rc == 0 and "CC BY-NC-ND" not in seen, "never again", seen[:300])
    hub.reset(rate=None)
    quiet = Home(hub, "terminal2")
    r = quiet.download("mini", "--quiet")
    check(r.rc == 0 and not r.err, "--quiet", r)
    shutil.rmtree(quiet.cache)
    r = quiet.download("mini")
    check("CC BY-NC-ND" in r.err, "which does not count as having shown the notice", r)
    hub.stop()


TOPICS = {"basics": basics, "names": names, "messages": messages, "tokens": tokens, "resume": resume, "kill": kill,
          "parallel": parallel, "caches": caches, "pins": pins, "https": https, "cache": cache_command,
          "terminal": terminal}

if __name__ == "__main__":
    os.makedirs(SCRATCH, exist_ok=True)
    TOPICS[sys.argv[1]]()
    finish()
