"""The page of wilor serve in a headless Chromium: live hands, a dropped photo, reconnecting, the browser's own camera,
the token. Leaves screenshots in its scratch folder. Argument: a topic, or --shots FOLDER for larger pictures."""

import asyncio
import base64
import os
import signal
import sys

from server_case import *
from browser import Browser, find

TOKEN = "abcdefghijklmnop0123456789-._~XY"
SLOWLY = {"WILOR_DOUBLE_RATE": "3"}  # a page draws without a graphics card here

if not find():
    print("1..0 # SKIP no Chromium (Debian: chromium)")
    sys.exit(77)

# How many pixels of the 3D view are not the ground: something is drawn.
DRAWN = """(() => {
  view.draw();
  const gl = view.gl, w = gl.drawingBufferWidth, h = gl.drawingBufferHeight, p = new Uint8Array(w * h * 4);
  gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, p);
  let n = 0;
  for (let i = 0; i < p.length; i += 4) n += Math.abs(p[i] - p[0]) + Math.abs(p[i + 2] - p[2]) > 60;
  return n / (w * h);
})()"""

DROP = """(async () => {
  const bytes = Uint8Array.from(atob('%s'), c => c.charCodeAt(0));
  const t = new DataTransfer();
  t.items.add(new File([bytes], '%s', { type: '%s' }));
  dispatchEvent(new DragEvent('dragenter', { dataTransfer: t, cancelable: true }));
  dispatchEvent(new DragEvent('drop', { dataTransfer: t, cancelable: true }));
})()"""


def drop(data, name="hands.png", kind="image/png"):
    return DROP % (base64.b64encode(data).decode(), name, kind)


def errors(b):
    """What the browser complained of, but for failed requests, which some tests want."""
    said = [str(m["params"]) for m in b.log]
    return [t for t in said if "Failed to load resource" not in t and "WebSocket connection to" not in t
            and "ERR_CONNECTION" not in t and "GL Driver Message" not in t and "GPU stall" not in t]


async def live(b):
    hold = Hold()
    with Server("cam", "--share-frames", "--include", "det,vertices,gesture",
                env={"WILOR_DOUBLE_PICTURE": DEMO, **SLOWLY, **hold.env}) as s:
        await b.open(s.url)
        check("it connects", await b.until("document.getElementById('state').textContent.trim() === 'Connected'", 60))
        check("events arrive", await b.until("now.live && now.live.seq > 10 && now.live.hands.length === 2", 60))
        check("the camera's picture is there", await b.until("!document.getElementById('picture').hidden", 60))
        check("numbers are told", await b.until("parseFloat(document.getElementById('rate').textContent) > 1", 60))
        with hold:  # a processor that is busy does not get round to anything between two events
            check("a mesh is drawn", await b.until(DRAWN + " > 0.01", 60), await b.eval(DRAWN))
            check("and the hands are told", await b.until("document.querySelectorAll('#hands b').length === 2", 30))
            check("for screen readers, too", await b.until("/2 hands: left, right/.test(document.getElementById('say').textContent)", 30))
            await b.shot(scratch("live.png"))
            await b.eval("document.getElementById('view').focus()")
            before = await b.eval("view.turn")
            await b.key("ArrowRight")
            check("keys turn the view", await b.eval("view.turn") > before)
            await b.key("m")
            check("M shows the skeleton", await b.eval("now.mesh === false") and await b.eval(DRAWN) > 0.003)
            await b.shot(scratch("skeleton.png"))
            await b.key("f")
            check("F fits", await b.eval("view.turn") == 0.45)
            named = await b.eval("[...document.querySelectorAll('button, input')].every(e => (e.labels && e.labels.length) || e.textContent.trim())")
            check("all controls have names", named)
            wide = await b.eval("document.documentElement.scrollWidth <= innerWidth")
            await b.size(360, 640, True)
            check("phone width: nothing sticks out", wide and await b.until("innerWidth === 360", 30)
                  and await b.eval("document.documentElement.scrollWidth <= innerWidth"))
            await b.size(640, 480)
            check("the browser has no complaints", not errors(b), errors(b))


async def photo(b):
    with Server("--include", "det") as s:
        await b.open(s.url)
        check("without a source it says what to do", await b.until("/Nothing to see yet/.test(document.getElementById('empty').textContent)", 60))
        with open(DEMO, "rb") as f:
            picture = f.read()
        await b.eval(drop(picture))
        check("a dropped photo has its hands", await b.until("now.photo && now.photo.hands.length === 2", 60))
        check("with a mesh", await b.eval("now.photo.hands[0].vertices.length === 778"))
        check("which is drawn", await b.until(DRAWN + " > 0.01", 60), await b.eval(DRAWN))
        check("the photo is shown", await b.until("!document.getElementById('picture').hidden", 30))
        check("the chip names it", "hands.png: 2 hands" in await b.eval("document.getElementById('chip').textContent"))
        await b.shot(scratch("photo.png"))
        await b.key("Escape")
        check("Escape goes back", await b.eval("now.photo === null && document.getElementById('chip').hidden"))
        await b.eval(drop(b"no picture", "x.png"))
        check("what is no picture is told", await b.until("/x.png: .+/.test(document.getElementById('note').textContent) && document.getElementById('note').className === 'bad'", 30))
        await b.eval(drop(b"text", "x.txt", "text/plain"))
        check("what is no image is not sent", await b.until("/not a picture/.test(document.getElementById('note').textContent)", 30))
        r = await b.send("DOM.getDocument")
        node = await b.send("DOM.querySelector", nodeId=r["root"]["nodeId"], selector="#file")
        await b.send("DOM.setFileInputFiles", files=[DEMO], nodeId=node["nodeId"])
        check("the file button does the same", await b.until("now.photo && now.photo.hands.length === 2", 60))
        check("the browser has no complaints", not errors(b), errors(b))


async def reconnect(b):
    s = Server("cam", env=SLOWLY)
    await b.open(s.url)
    check("it connects", await b.until("now.live && now.live.seq > 3", 60))
    s.stop()
    check("a server that stops is told", await b.until("/trying again/.test(document.getElementById('state').textContent)", 30))
    check("and its last hands are gone", await b.eval("now.live === null"))
    await b.shot(scratch("gone.png"))
    again = Server("cam", port=s.port, env=SLOWLY)
    check("it comes back by itself", await b.until("now.live && now.live.seq > 3 && /Connected/.test(document.getElementById('state').textContent)", 60))
    again.process.send_signal(signal.SIGKILL)
    again.process.wait()
    check("also after a crash", await b.until("/trying again/.test(document.getElementById('state').textContent)", 30))
    again = Server("cam", port=s.port, env=SLOWLY)
    check("it comes back again", await b.until("now.live && now.live.seq > 3", 60))
    again.stop()


async def camera(b):
    with Server() as s:
        await b.open(s.url)
        await b.until("now.info", 60)
        await b.eval("let taken = 0; const toBlob = camera.canvas.toBlob; camera.canvas.toBlob = function (...a) { taken++; toBlob.apply(this, a); }")
        await b.eval("document.getElementById('camera').click()")
        check("the browser's camera gives frames that are answered", await b.until("now.live && now.live.clock === 'client' && now.live.frame > 5", 90))
        check("the way there and back is measured", await b.until("camera.trip > 0 && /there and back/.test(document.getElementById('delay-of').textContent)", 30))
        check("the picture is a mirror", await b.eval("document.getElementById('picture').className === 'selfie'"))
        await b.shot(scratch("camera.png"))
        await b.eval("document.getElementById('camera').click()")
        check("the last frame has its answer", await b.until("now.live.frame === taken - 1", 60))
        last = await b.eval("taken")
        await asyncio.sleep(1)
        check("it stops", await b.eval("taken === now.live.frame + 1 && !camera.on") and await b.eval("taken") == last)
        check("the browser has no complaints", not errors(b), errors(b))


async def token(b):
    pair = certificate()
    options = ("--tls-cert", pair[0], "--tls-key", pair[1]) if pair else ()
    with Server("cam", "--share-frames", "--token-file", scratch("token", TOKEN), *options, env=SLOWLY) as s:
        await b.send("Security.setIgnoreCertificateErrors", ignore=True)
        await b.open(s.url)
        check("a token is asked for", await b.until("!document.getElementById('token').hidden", 60))
        await b.shot(scratch("token.png"))
        fill = "document.getElementById('secret').value = '%s'; document.querySelector('#token form').requestSubmit()"
        await b.eval(fill % "wrong-wrong-wrong-wrong")
        check("a wrong one is told", await b.until("/not the right one/.test(document.getElementById('state').textContent)", 60))
        await b.eval(fill % TOKEN)
        check("the right one connects", await b.until("now.live && now.live.seq > 3 && document.getElementById('token').hidden", 60))
        check("and gives the picture", await b.until("!!frames.image", 60))
        check("over TLS", not pair or (await b.eval("location.protocol + socket.url")).startswith("https:wss:"))


async def foreign(b):
    """A page of another origin, with a real browser's own rules and words."""
    with Server("cam", "--share-frames") as s, Server() as other:
        await b.open(other.url + "/health")
        got = await b.eval(f"""new Promise(done => {{
          const w = new WebSocket('{s.ws}', 'wilor.v1.json');
          w.onmessage = () => done('message');
          w.onclose = () => done('closed');
        }})""")
        check("a foreign page gets no events by WebSocket", got == "closed", got)
        got = await b.eval(f"fetch('{s.url}/info').then(r => r.status, e => 'refused')")
        check("nor anything by fetch", got == "refused", got)
        got = await b.eval(f"""new Promise(done => {{
          const e = new EventSource('{s.url}/events');
          e.onmessage = () => done('message');
          e.onerror = () => done('error');
        }})""")
        check("nor events by SSE", got == "error", got)
        got = await b.eval(f"""fetch('{s.url}/predict', {{ method: 'POST', mode: 'no-cors', body: new Blob(['x'], {{ type: 'image/png' }}) }})
          .then(r => r.type + r.status, e => 'refused')""")
        check("nor does its POST arrive", got in ("refused", "opaque0") and "wilor_frames_total" in s.get("/metrics").text, got)


async def shots(b, folder):
    with Server("cam", "--share-frames", "--include", "det,vertices,gesture",
                env={"WILOR_DOUBLE_PICTURE": DEMO, "WILOR_DOUBLE_RATE": "10"}) as s:
        for name, width, height, scheme, scale in (("light", 1280, 800, "light", 1), ("dark", 1280, 800, "dark", 1),
                                                   ("phone", 390, 844, "light", 2)):
            await b.size(width, height, name == "phone", scale)
            await b.scheme(scheme)
            await b.open(s.url)
            await b.until("now.live && now.live.seq > 10 && !!frames.image", 90)
            await asyncio.sleep(2)
            await b.shot(os.path.join(folder, name + ".png"))


async def main(topic):
    b = Browser(find())
    try:
        await b.start()
        await b.size(640, 480)
        if topic == "--shots":
            await shots(b, sys.argv[2])
        else:
            await globals()[topic](b)
    finally:
        await b.close()


asyncio.run(main(sys.argv[1]))
finish()
