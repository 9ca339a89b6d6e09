"""From an empty home: `wilor predict` finds its weights by itself, WiLoR's own on the hub and then in the cache, or
nano's beside it, without a request."""
import json
import os
import pathlib
import subprocess
import zipfile

from hub_case import SCRATCH, Home, check, check_secrets, check_sound, finish, new_hub, noise

MINI, MLX = "warmshao/WiLoR-mini", "BasinShapers/wilor-mlx"
CHECKPOINT = "pretrained_models/wilor_final.ckpt"
DETECTOR = "pretrained_models/detector.pt"


def made(name):
    path = os.path.join(SCRATCH, name + ".safetensors")
    subprocess.run([os.environ["HUB_MAKE_MODEL"], name, os.environ["HUB_HAND"], path], check=True)
    return path


def without(path, *prefixes):
    """A safetensors file without the tensors of these names."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:8 + length]), data[8 + length:]
    kept, out = {"__metadata__": header.pop("__metadata__", {})}, b""
    for name, t in header.items():
        if not name.startswith(prefixes):
            a, b = t["data_offsets"]
            kept[name] = {**t, "data_offsets": [len(out), len(out) + b - a]}
            out += body[a:b]
    text = json.dumps(kept).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + out


def events(text):
    """The events without what depends on the clock and on where the weights lie."""
    found = []
    for line in text.splitlines():
        event = json.loads(line)
        found.append([{k: v for k, v in hand.items() if k not in ("timing",)} for hand in event["hands"]])
    return found


def main():
    os.makedirs(SCRATCH, exist_ok=True)
    tiny = made("tiny")
    hand = pathlib.Path(os.environ["HUB_HAND"]).read_bytes()
    picture = os.path.join(SCRATCH, "a.png")
    subprocess.run([os.environ["HUB_MAKE_PICTURE"], picture, "96", "80", "1"], check=True)
    box = ["--bbox", "10,12,60,70,right", "--threads", "1"]

    hub = new_hub()
    hub.add(MINI, CHECKPOINT, pathlib.Path(tiny).read_bytes())
    home = Home(hub, "empty")
    nano = pathlib.Path(SCRATCH, "nano")
    home.environment["WILOR_NANO_DIR"] = str(nano)
    nano.joinpath("nano.safetensors").unlink(missing_ok=True)
    r = home.run("predict", picture, *box)
    check(r.rc == 4 and "wilor download mini" in r.err and "WILOR_NANO_DIR" in r.err and not hub.requests,
          "nothing anywhere: 4, no request", r)
    nano.mkdir(exist_ok=True)
    os.rename(made("nano"), nano / "nano.safetensors")
    r = home.run("predict", picture, *box)
    check(r.rc == 0 and json.loads(r.out)["model"]["name"] == "nano" and not hub.requests,
          "from an empty home: nano, no request", r)
    check(r.err.count("nano") == 1 and "wilor download mini" in r.err, "which is told, and how to get more", r)
    r = home.run("predict", picture, *box, "--weights", tiny)
    check(r.rc == 0 and not hub.requests, "a path: no request", r)
    want = events(r.out)
    r = home.run("predict", "none.png", *box, "--weights", "wilor")
    check(r.rc == 1 and not hub.requests, "a picture that is not there: no download", r)
    r = home.run("predict", picture, *box, "--weights", "wilor", "--offline")
    check(r.rc == 4 and "not in the cache" in r.err and not hub.requests, "--offline and nothing there: 4", r)
    r = home.run("predict", picture, *box, "--weights", "wilor")
    check(r.rc == 0 and events(r.out) == want and want[0], "one command from an empty home", r)
    check("CC BY-NC-ND" in r.err, "the notice", r)
    check_secrets(hub, home, [r])
    check_sound(home, "predict")
    mano = pathlib.Path(home.own, "mano.npz")
    check(mano.exists(), "the hand is kept")
    with zipfile.ZipFile(mano) as z, zipfile.ZipFile(os.environ["HUB_HAND"]) as theirs:
        check(z.testzip() is None and {"v_template.npy", "faces.npy", "init_cam.npy"} <= set(z.namelist()),
              "as a sound npz", z.namelist())
        for name in ("v_template", "faces", "posedirs", "parents", "J_regressor"):
            size = len(theirs.read(name + ".npy")) - 128
            check(z.read(name + ".npy")[-size:] == theirs.read(name + ".npy")[-size:], "its " + name)
    r = home.run("predict", picture, *box, "--weights", "random:tiny", "--mano", str(mano), "--heads", "4")
    check(r.rc == 0, "which is hand data", r)

    # Without a box: the same repository's detector finds the hands.
    data = pathlib.Path(os.environ["HUB_HAND"]).parent / "detector"
    frame, find = str(data / "frames" / "half_320x240.png"), ["--conf", "0.05", "--threads", "1"]
    hub.add(MINI, DETECTOR, (data / "micro.pt").read_bytes())
    given = home.run("predict", frame, *find, "--weights", tiny, "--detector", str(data / "micro.pt"))
    found = events(given.out)
    check(given.rc == 0 and len(found[0]) > 1, "a detector finds hands", given)
    r = home.run("predict", frame, *find, "--weights", "wilor")
    check(r.rc == 0 and events(r.out) == found, "no detector, no box: one command", r)

    hub.stop()
    r = home.run("predict", frame, *find)
    check(r.rc == 0 and events(r.out) == found and not r.err, "the same with the hub away", r)
    r = home.run("predict", picture, *box)
    check(r.rc == 0 and events(r.out) == want and not r.err, "again with the hub away", r)
    asked = len(hub.requests)
    r = home.run("predict", picture, *box, "--weights", "mini", "--offline")
    check(r.rc == 0 and events(r.out) == want, "mini, offline", r)
    r = home.run("predict", picture, *box, "--weights", MINI)
    check(r.rc == 0 and events(r.out) == want, "by the repository's name", r)
    r = home.run("predict", picture, *box, "--weights", f"{MINI}:{CHECKPOINT}")
    check(r.rc == 0 and events(r.out) == want, "and the file's", r)
    check(len(hub.requests) == asked, "without a request", hub.requests[asked:])
    r = home.run("predict", picture, *box, "--weights", "mlx")
    check(r.rc == 4 and "wilor-mlx.safetensors" in r.err, "mlx is not there: 4", r)
    r = home.run("predict", picture, *box, "--weights", "some/thing.ckpt")
    check(r.rc == 4 and "--weights 'some/thing.ckpt'" in r.err, "a mistyped path is no repository", r)

    # wilor-mlx's: no hand of its own. The kept one, else MANO's own file.
    hub = new_hub()
    hub.add(MLX, "wilor-mlx.safetensors", without(tiny, "mano."))
    hub.add(MINI, "pretrained_models/MANO_RIGHT.pkl", hand)
    hub.add(MINI, "pretrained_models/mano_mean_params.npz", mean_parameters(hand))
    hub.add("me/copy", CHECKPOINT, pathlib.Path(tiny).read_bytes(), revision="v2")
    for name in ("kept", "fetched"):
        home_mlx = Home(hub, "mlx-" + name)
        if name == "kept":
            os.makedirs(home_mlx.own)
            pathlib.Path(home_mlx.own, "mano.npz").write_bytes(mano.read_bytes())
        hub.reset()
        r = home_mlx.run("predict", picture, *box, "--weights", "mlx")
        check(r.rc == 0 and events(r.out) == want, "mlx, the hand " + name, r)
        asked = [q.path for q in hub.requests if "MANO_RIGHT" in q.path]
        check(bool(asked) == (name == "fetched"), f"the hand is {name}", hub.requests)
        r = home_mlx.run("predict", picture, *box, "--offline")
        check(r.rc == 0 and events(r.out) == want, f"what the cache has is taken ({name})", r)
    home_copy = Home(hub, "copy")
    r = home_copy.run("predict", picture, *box, "--weights", "me/copy@v2")
    check(r.rc == 0 and events(r.out) == want, "a repository of somebody's, at a revision", r)
    r = home_copy.run("predict", picture, *box, "--weights", "me/none")
    check(r.rc == 4, "none such: 4", r)
    hub.add(MINI, CHECKPOINT, noise(5000))
    r = Home(hub, "noise").run("predict", picture, *box, "--weights", "wilor")
    check(r.rc == 1 and "wilor_final.ckpt" in r.err, "a hub that has something else there", r)
    hub.stop()
    finish()


def mean_parameters(hand):
    """mano_mean_params.npz from a hand's init_*."""
    import io

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(hand)) as z, zipfile.ZipFile(out, "w") as to:
        for name, old in (("pose", "init_hand_pose"), ("shape", "init_betas"), ("cam", "init_cam")):
            to.writestr(name + ".npy", z.read(old + ".npy"))
    return out.getvalue()


main()
