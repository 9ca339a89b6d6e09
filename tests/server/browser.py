"""A headless Chromium, steered through its DevTools protocol: as much as the page's test needs."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time

import requests
import websockets

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu-sandbox", "--use-angle=swiftshader",
         "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--no-first-run", "--disable-extensions",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
         "--disable-dev-shm-usage", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
         "--remote-debugging-port=0", "--window-size=1280,800", "about:blank"]


def find():
    return next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


class Browser:
    def __init__(self, program, extra=()):
        self.folder = tempfile.mkdtemp(prefix="wilor-browser-")
        self.log = []
        self.waiting = {}
        self.last = 0
        self.process = subprocess.Popen([program, f"--user-data-dir={self.folder}", *extra, *FLAGS],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def start(self):
        place = os.path.join(self.folder, "DevToolsActivePort")
        for _ in range(1200):
            if os.path.exists(place) and open(place).read().count("\n") >= 1:
                break
            await asyncio.sleep(0.1)
        port = open(place).readline().strip()
        for _ in range(300):  # it answers before it has its page
            pages = [p for p in requests.get(f"http://127.0.0.1:{port}/json", timeout=60).json() if p["type"] == "page"]
            if pages:
                break
            await asyncio.sleep(0.1)
        page = pages[0]
        self.socket = await websockets.connect(page["webSocketDebuggerUrl"], max_size=None)
        self.reader = asyncio.ensure_future(self.read())
        for domain in ("Page", "Runtime", "Log", "DOM"): # not Network: it repeats every message
            await self.send(domain + ".enable")

    async def read(self):
        async for text in self.socket:
            message = json.loads(text)
            if "id" in message:
                self.waiting.pop(message["id"]).set_result(message)
            elif message["method"] in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
                self.log.append(message)

    async def send(self, method, **params):
        self.last += 1
        answer = self.waiting[self.last] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"id": self.last, "method": method, "params": params}))
        message = await asyncio.wait_for(answer, 240)  # it hangs: a page that is behind answers late
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    async def open(self, url):
        """Also waits until the page is there: a script would run in the one before."""
        await self.send("Page.navigate", url=url)
        await self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'", 60)

    async def eval(self, script):
        r = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in r:
            raise RuntimeError(json.dumps(r["exceptionDetails"])[:500])
        return r["result"].get("value")

    async def until(self, script, seconds=20):
        """Whether the script is true within that time, or the first 20 times that it is asked for."""
        end, tries = time.monotonic() + seconds, 0
        while time.monotonic() < end or tries < 20:
            tries += 1
            try:
                if await self.eval(script):
                    return True
            except RuntimeError:
                pass
            await asyncio.sleep(0.1)
        return False

    async def size(self, width, height, mobile=False, scale=1):
        await self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                        deviceScaleFactor=scale, mobile=mobile)

    async def scheme(self, name):
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    async def shot(self, path):
        r = await self.send("Page.captureScreenshot", format="png")
        with open(path, "wb") as f:
            f.write(base64.b64decode(r["data"]))

    async def key(self, key):
        for kind in ("keyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key)

    async def close(self):
        self.reader.cancel()
        await self.socket.close()
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)
