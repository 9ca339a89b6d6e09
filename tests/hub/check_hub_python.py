"""One cache, two programs: the real huggingface_hub finds what wilor downloaded, without network, and wilor
finds what it downloaded. Skipped where Python has no huggingface_hub."""
import os
import pathlib
import shutil
import subprocess
import sys

from hub_case import REPO, SCRATCH, Home, check, check_sound, finish, new_hub, noise, same_file, skip

try:
    import huggingface_hub
    import huggingface_hub.constants
except ImportError:
    skip("this Python has no huggingface_hub: -DWILOR_TEST_HUB_PYTHON")

DATA, SMALL = noise(300_000), b"small\n"


def python(home, code, **environment):
    p = subprocess.run([sys.executable, "-c", "from huggingface_hub import *\n" + code], text=True,
                       capture_output=True, timeout=120,
                       env={**home.environment, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                            **environment})
    return p.returncode, p.stdout.strip(), p.stderr[-600:]


def resolved(hub, *methods):
    """What was asked about files; Python also asks about itself."""
    return [q for q in hub.requests if "/api/" not in q.path and (not methods or q.method in methods)]


def get(home, path, *more, **environment):
    words = ", ".join([repr(REPO), repr(path), *more])
    return python(home, f"print(hf_hub_download({words}))", **environment)


def main():
    print("# huggingface_hub", huggingface_hub.__version__)
    hub = new_hub()
    hub.add(REPO, "config.json", b"{}", lfs=False)
    hub.add(REPO, "sub/dir/a.txt", SMALL, lfs=False)
    commit = hub.add(REPO, "file.bin", DATA)
    files = (("file.bin", DATA), ("sub/dir/a.txt", SMALL))

    home = Home(hub, "ours-first")
    for path, data in files:
        r = home.download(f"{REPO}:{path}")
        check(r.rc == 0, "we download " + path, r)
    hub.reset()
    for path, data in files:
        for more in (["local_files_only=True"], ["local_files_only=True", f"revision={commit!r}"]):
            rc, out, err = get(home, path, *more)
            check(rc == 0 and same_file(out, data), f"Python finds {path} {more[1:]}", (out, err))
        rc, out, err = get(home, path, HF_HUB_OFFLINE="1")
        check(rc == 0 and same_file(out, data), f"Python, offline, finds {path}", (out, err))
    check(not resolved(hub), "without a request", hub.requests)
    rc, out, err = get(home, "file.bin")
    check(rc == 0 and same_file(out, DATA) and not resolved(hub, "GET"),
          "Python, online, does not download again", (out, err, hub.requests))
    rc, out, err = python(home, f"print(try_to_load_from_cache({REPO!r}, 'file.bin'))")
    check(rc == 0 and same_file(out, DATA), "try_to_load_from_cache", (out, err))
    home.download(REPO + ":none.bin")
    rc, out, err = python(home, "from huggingface_hub import _CACHED_NO_EXIST\n"
                          f"print(try_to_load_from_cache({REPO!r}, 'none.bin') is _CACHED_NO_EXIST)")
    check(rc == 0 and out == "True", "knows what we saw to be absent", (out, err))
    # Old versions wonder at CACHEDIR.TAG, which new ones write themselves.
    rc, out, err = python(home, "i = scan_cache_dir(); w = [x for x in i.warnings if 'CACHEDIR.TAG' not in str(x)]\n"
                          "print(len(i.repos), len(w), i.size_on_disk)")
    check(rc == 0 and out == f"1 0 {len(DATA) + len(SMALL)}", "scan_cache_dir has nothing to say", (out, err))
    rc, out, err = python(home, f"print(snapshot_download({REPO!r}, allow_patterns=['file.bin'], local_files_only=True))")
    check(rc == 0 and same_file(out + "/file.bin", DATA), "snapshot_download", (out, err))

    home = Home(hub, "theirs-first")
    for path, data in files:
        rc, out, err = get(home, path)
        check(rc == 0 and same_file(out, data), "Python downloads " + path, (out, err))
        theirs = out
        hub.reset()
        r = home.download(f"{REPO}:{path}", "--offline")
        check(r.rc == 0 and r.out.strip() == theirs and not hub.requests, f"we find {path}, offline", r)
        r = home.download(f"{REPO}:{path}")
        check(r.rc == 0 and not hub.requests, "and online, from then on without a request", r)
    shutil.rmtree(home.own)
    hub.reset()
    r = home.download()
    check(r.rc == 0 and [q.method for q in hub.requests] == ["HEAD"], "unpinned: a HEAD", (r, hub.requests))
    rc, out, err = get(home, "file.bin", "force_download=True")
    check(rc == 0 and same_file(out, DATA), "Python downloads again", (out, err))
    r = home.download("--offline", REPO + ":file.bin")
    check(r.rc == 0 and same_file(r.out, DATA), "we still find it", r)

    kinds = [("links", {})]
    if hasattr(huggingface_hub.constants, "HF_HUB_DISABLE_SYMLINKS"):
        kinds.append(("no-links", {"HF_HUB_DISABLE_SYMLINKS": "1"}))
    for name, environment in kinds:
        ours, theirs = Home(hub, "mixed-ours-" + name), Home(hub, "mixed-theirs-" + name)
        r = ours.download(**environment)
        rc, out, err = get(ours, "file.bin", "local_files_only=True", **environment)
        check(rc == 0 and out == r.out.strip(), "the same path: " + name, (r, out, err))
        rc, out, err = get(theirs, "file.bin", **environment)
        r = theirs.download(HF_HUB_OFFLINE="1", **environment)
        check(rc == 0 and r.rc == 0 and r.out.strip() == out, "the same path, the other way: " + name, (r, out, err))

        def tree(home):
            return sorted((str(p.relative_to(home.cache)), os.readlink(p) if p.is_symlink() else "")
                          for p in pathlib.Path(home.cache).rglob("*")
                          if not p.is_dir() and not any(x in str(p) for x in (".locks", "/trees/", "CACHEDIR.TAG")))

        check(tree(ours) == tree(theirs), "the same files and links: " + name, (tree(ours), tree(theirs)))

    # Both at once.
    home = Home(hub, "both")
    hub.reset(rate=300_000)
    process = home.start("download", REPO + ":file.bin")
    rc, out, err = get(home, "file.bin")
    ours, said = process.communicate(timeout=60)
    check(rc == 0 and same_file(out, DATA) and process.returncode == 0 and same_file(ours, DATA), "both at once",
          (out, err, ours, said))
    check_sound(home, "both at once")
    hub.stop()
    finish()


main()
