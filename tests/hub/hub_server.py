"""A model hub for tests, on two ports of this machine: "the hub" (127.0.0.1) and "another host" (localhost,
another port), where large files lie behind signed addresses. It behaves as docs/hub.md says a hub does, and
misbehaves on demand. Standard library only.

    hub = Hub(); hub.add("org/name", "file.bin", b"...", lfs=True); hub.start()
    hub.fault = Fault(cut_after=1000)
    hub.requests      what was asked, as Request objects
"""
import gzip
import hashlib
import http.server
import re
import socketserver
import ssl
import threading
import time
import urllib.parse


class Fault:
    """What goes wrong. Counters go down as they are used; None: never."""

    def __init__(self, **what):
        self.cut_after = None  # bytes of a body, then the connection is closed …
        self.cuts = 10**9  # … so often
        self.status = None  # answer of the storage to a GET …
        self.statuses = 10**9  # … so often
        self.head_status = None  # answer of the hub to a HEAD …
        self.head_statuses = 10**9
        self.head_headers = {}
        self.retry_after = None
        self.wrong_bytes = False  # right length, wrong bytes
        self.portal = False  # the storage answers with a login page
        self.head_portal = False  # the hub does
        self.expire_after = None  # bytes sent in all, then signatures are no longer good
        self.gzip = False
        self.no_range = False  # 200 with everything
        self.wrong_range = False  # 206 with another part
        self.more_bytes = False  # chunked, more than announced
        self.chunked = False
        self.rate = None  # bytes a second
        self.hold = None  # an Event: the storage has nothing before it is set
        self.stall_after = None  # bytes, then nothing
        self.stalls = 10**9
        self.claim_size = None  # X-Linked-Size
        self.no_size = False
        self.hop = False  # a redirect within the hub first
        self.hops = 0  # redirects of the storage to itself
        self.token = None  # the hub wants it
        self.to_http = False
        self.__dict__.update(what)


class Request:
    def __init__(self, host, method, path, headers):
        self.host, self.method, self.path, self.headers = host, method, path, headers

    def __repr__(self):
        return f"{self.host} {self.method} {self.path} {self.headers.get('Range', '')}"


class Entry:
    def __init__(self, data, lfs):
        self.data, self.lfs = data, lfs
        self.sha256 = hashlib.sha256(data).hexdigest()
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        self.etag = self.sha256 if lfs else git


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that go away are what this is for


class Hub:
    def __init__(self, certificate=None):
        self.repos = {}  # id -> {revision: commit}, {commit: {path: Entry}}
        self.fault = Fault()
        self.requests = []
        self.sent = 0
        self.generation = 0  # of signatures
        self.certificate = certificate
        self.lock = threading.Lock()
        self.servers = []

    def add(self, repo, path, data, lfs=True, revision="main", commit=None):
        """Add a file; every addition is a commit of its own unless one is given."""
        refs, trees = self.repos.setdefault(repo, ({}, {}))
        old = dict(trees.get(refs.get(revision), {}))
        old[path] = Entry(data, lfs)
        commit = commit or hashlib.sha1(f"{repo}{revision}{len(trees)}".encode()).hexdigest()
        trees[commit] = old
        refs[revision] = commit
        return commit

    def start(self):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                hub.answer(self, "HEAD")

            def do_GET(self):
                hub.answer(self, "GET")

        for name, address in (("hub", "127.0.0.1"), ("cdn", "127.0.0.1")):
            server = Server((address, 0), Handler)
            server.role = name
            if self.certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.certificate)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self.servers.append(server)
        scheme = "https" if self.certificate else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self.servers[0].server_port}"
        self.storage = f"{scheme}://localhost:{self.servers[1].server_port}"
        return self

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.servers = []

    def reset(self, **fault):
        self.fault = Fault(**fault)
        self.requests.clear()
        self.sent = 0

    # ------------------------------------------------------------ answers

    def answer(self, h, method):
        host = h.server.role
        if h.path.startswith("http://"):  # as a proxy
            host, h.path = "proxy", "/" + h.path.split("/", 3)[3]
        with self.lock:
            self.requests.append(Request(host, method, h.path, h.headers))
        try:
            if host in ("hub", "proxy"):
                self.answer_hub(h, method)
            else:
                self.answer_storage(h, method)
        except (BrokenPipeError, ConnectionResetError):
            h.close_connection = True

    def count(self, name):
        """Take one of a fault's counter."""
        with self.lock:
            left = getattr(self.fault, name)
            setattr(self.fault, name, left - 1)
            return left > 0

    @staticmethod
    def plain(h, status, headers=(), body=b""):
        h.send_response(status)
        for key, value in dict(headers).items():
            h.send_header(key, value)
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(body)

    def answer_hub(self, h, method):
        f = self.fault
        if f.token and h.headers.get("Authorization") != f"Bearer {f.token}":
            return self.plain(h, 401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no"})
        if f.head_portal:
            return self.plain(h, 200, {"Content-Type": "text/html"}, b"<html>log in</html>")
        if method == "HEAD" and f.head_status and self.count("head_statuses"):
            headers = dict(f.head_headers)
            if f.retry_after is not None:
                headers["Retry-After"] = str(f.retry_after)
            return self.plain(h, f.head_status, headers)
        if f.hop and not h.path.startswith("/hop"):
            return self.plain(h, 307, {"Location": "/hop" + h.path})
        path = h.path.removeprefix("/hop")
        match = re.fullmatch(r"/((?:datasets/|spaces/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if not match:
            return self.plain(h, 404)
        repo, revision, name = match.group(1), *map(urllib.parse.unquote, match.groups()[1:])
        if repo not in self.repos:
            return self.plain(h, 401, {"X-Error-Code": "RepoNotFound"})
        refs, trees = self.repos[repo]
        commit = refs.get(revision, revision)
        if commit not in trees:
            return self.plain(h, 404, {"X-Error-Code": "RevisionNotFound"})
        entry = trees[commit].get(name)
        if not entry:
            return self.plain(h, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        self.answer_entry(h, method, repo, commit, name, entry)

    def answer_entry(self, h, method, repo, commit, name, entry):
        headers = {"X-Repo-Commit": commit}
        if not entry.lfs:
            headers["ETag"] = f'W/"{entry.etag}"'
            if method == "HEAD":
                headers["X-Linked-Size"] = str(len(entry.data))
                return self.plain(h, 200, headers)
            return self.body(h, entry, headers)
        size = self.fault.claim_size if self.fault.claim_size is not None else len(entry.data)
        headers["X-Linked-Etag"] = f'"{entry.etag}"'
        if not self.fault.no_size:
            headers["X-Linked-Size"] = str(size)
        with self.lock:
            self.generation += 1
            generation = self.generation
        storage = self.storage.replace("https:", "http:") if self.fault.to_http else self.storage
        query = urllib.parse.urlencode({"signature": "SECRET%d" % generation, "file": name,
                                        "repo": repo, "commit": commit})
        headers["Location"] = f"{storage}/lfs/{entry.etag}?{query}"
        headers["X-Xet-Hash"] = "0" * 64
        self.plain(h, 302, headers)

    def answer_storage(self, h, method):
        f = self.fault
        query = dict(urllib.parse.parse_qsl(h.path.partition("?")[2]))
        # The token must never come here; of the counter Python thinks otherwise.
        ours = h.headers.get("User-Agent", "").startswith("wilor/")
        if h.headers.get("Authorization") or (ours and h.headers.get("X-HF-Download-Counter")):
            return self.plain(h, 400)
        entry = self.repos[query["repo"]][1][query["commit"]][query["file"]]
        if f.hops > int(query.get("hop", 0)):
            path = re.sub(r"&hop=\d+", "", h.path) + "&hop=%d" % (int(query.get("hop", 0)) + 1)
            return self.plain(h, 302, {"Location": path})
        if f.portal:
            return self.plain(h, 200, {"Content-Type": "text/html"}, b"<html>log in</html>")
        if f.status and self.count("statuses"):
            headers = {} if f.retry_after is None else {"Retry-After": str(f.retry_after)}
            return self.plain(h, f.status, headers)
        if f.expire_after is not None and self.sent >= f.expire_after:
            good = int(query["signature"].removeprefix("SECRET"))
            if good <= getattr(self, "expired", 0):
                return self.plain(h, 403, {}, b"Request has expired")
        self.body(h, entry, {})

    def body(self, h, entry, headers):
        f, data = self.fault, entry.data
        if f.wrong_bytes:
            data = bytes([data[0] ^ 1]) + data[1:]
        first, status = 0, 200
        match = re.fullmatch(r"bytes=(\d+)-", h.headers.get("Range", ""))
        if match and not f.no_range:
            first, status = int(match.group(1)), 206
            if first >= len(data):
                return self.plain(h, 416, {"Content-Range": f"bytes */{len(data)}"})
            shown = first + 1 if f.wrong_range else first
            headers["Content-Range"] = f"bytes {shown}-{len(data) - 1}/{len(data)}"
        data = data[first:]
        if f.gzip:
            data = gzip.compress(data)
            headers["Content-Encoding"] = "gzip"
        if f.more_bytes:
            data += b"more"
        h.send_response(status)
        for key, value in headers.items():
            h.send_header(key, value)
        chunked = f.chunked or f.more_bytes
        if chunked:
            h.send_header("Transfer-Encoding", "chunked")
        else:
            h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        self.send(h, data, chunked)

    def send(self, h, data, chunked):
        f, at = self.fault, 0
        if f.hold:
            f.hold.wait()
        piece = 4096 if f.rate or f.cut_after or f.stall_after or f.expire_after else 1 << 16
        cut = f.cut_after if f.cut_after is not None and self.count("cuts") else None
        stall = f.stall_after if f.stall_after is not None and self.count("stalls") else None
        while at < len(data):
            n = min(piece, len(data) - at)
            if cut is not None:
                n = min(n, cut - at)
            if n <= 0 or (f.expire_after is not None and self.sent >= f.expire_after
                          and not getattr(self, "expired", 0)):
                self.expired = self.generation
                h.close_connection = True
                return
            if stall is not None and at >= stall:
                time.sleep(20)
                h.close_connection = True
                return
            bytes_now = data[at:at + n]
            h.wfile.write(b"%x\r\n%s\r\n" % (n, bytes_now) if chunked else bytes_now)
            at += n
            with self.lock:
                self.sent += n
            if f.rate:
                time.sleep(n / f.rate)
        if chunked:
            h.wfile.write(b"0\r\n\r\n")
