"""The examples of docs/server.md, as they stand there, but for the port. Argument: examples."""

import asyncio
import os
import re
import shutil
import subprocess
import sys

from server_case import *

ROOT = os.path.dirname(os.path.dirname(DEMO))


def examples():
    with open(os.environ["SERVER_DOC"]) as f:
        return {name: (kind, text) for name, kind, text in
                re.findall(r"<!-- example: (\S+) (\S+) -->\n```\w+\n(.*?)```", f.read(), re.S)}


def run(kind, text, s):
    text = text.replace("127.0.0.1:8017", f"127.0.0.1:{s.port}")
    if "curl -sN" in text:  # it has no end
        text = text.replace("curl -sN", "curl -sN -m 30").strip() + " | head -n 9"
    command = ["sh", "-c", text] if kind == "sh" else [sys.executable, "-c", text]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60 * SLOW)


async def in_browser(text, s):
    from browser import Browser, find
    b = Browser(find())
    try:
        await b.start()
        await b.open(s.url + "/health")
        await b.eval("seen = []; console.log = (...a) => seen.push(a)")
        await b.eval(text.replace("127.0.0.1:8017", f"127.0.0.1:{s.port}").replace("const socket", "socket"))
        return await b.until("seen.length > 3 && seen.every(a => a[1] === 2)", 60)
    finally:
        await b.close()


found = examples()
check("the document has its examples", set(found) == {"predict", "json", "events", "ws", "push", "browser"}, found.keys())
wanted = {"predict": '"pinch_strength"', "json": "left 778 vertices", "events": 'data: {"v":1,"type":"hands"',
          "ws": "0 ['left', 'right']", "push": "2 hands after"}
with Server("cam") as server, Server() as without_source:  # a source may overtake what is pushed
    for name, word in wanted.items():
        kind, text = found[name]
        if kind == "sh" and not shutil.which("curl"):
            continue
        out = run(kind, text, without_source if name == "push" else server)
        check(f"example {name}", word in out.stdout and out.returncode == 0, (out.stdout[:300], out.stderr[-300:]))
    from browser import find
    if find():
        check("example browser", asyncio.run(in_browser(found["browser"][1], server)))
finish()
