"""Where weights are when nobody says: $WILOR_WEIGHTS, the cache of huggingface_hub (which the program
`wilor` shares), files that the program fetches. Nothing here uses the network itself, nothing is written.

The cache's rules: docs/hub.md. A file that the C program has pinned by its hash is not hashed again here."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import NamedTuple

from .errors import MissingError

MINI, MLX = "warmshao/WiLoR-mini", "BasinShapers/wilor-mlx"
_FOLDER = "pretrained_models/"
_WEIGHTS = {"mini": (MINI, _FOLDER + "wilor_final.ckpt"), "mlx": (MLX, "wilor-mlx.safetensors")}
_DETECTOR = {"mini": (MINI, _FOLDER + "detector.pt"), "mlx": (MLX, "hand-detector.safetensors")}
_MANO = (MINI, _FOLDER + "MANO_RIGHT.pkl")
_MEAN = (MINI, _FOLDER + "mano_mean_params.npz")
# nano, the free model, comes with the wheel (docs/nano.md).
_DATA = Path(__file__).with_name("data")
_NANO_MODEL, _NANO_DETECTOR = "nano.safetensors", "hand-detector-nano.safetensors"
NANO_RUNS = "wilor: the model is nano, small and free; `wilor download mini` fetches WiLoR's own, more exact"


class ModelFiles(NamedTuple):
    weights: str
    mano: str | None
    mean: str | None


def _home(variable: str, *default: str) -> Path:
    value = os.environ.get(variable)
    if value:
        return Path(os.path.expandvars(value)).expanduser()
    return Path.home().joinpath(*default)


def cache_folder() -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return _home(name)
    if os.environ.get("HF_HOME"):
        return _home("HF_HOME") / "hub"
    return _home("XDG_CACHE_HOME", ".cache") / "huggingface" / "hub"


def offline() -> bool:
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in ("1", "ON", "YES", "TRUE")


def cached(repo: str, path: str, revision: str = "main") -> str | None:
    """A file of a repository in the cache, or None."""
    folder = cache_folder() / ("models--" + repo.replace("/", "--"))
    try:
        commit = (folder / "refs" / revision).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    file = folder / "snapshots" / commit / path
    return str(file) if commit and file.is_file() else None


def _first(*candidates: str | os.PathLike[str] | None) -> str | None:
    for one in candidates:
        if one and os.path.isfile(one):
            return os.fspath(one)
    return None


def _fetch(which: str) -> bool:
    """Let the program wilor download a set. It shows the terms of use and the progress on stderr."""
    program = shutil.which("wilor")
    if program is None or offline():
        return False
    return subprocess.run([program, "download", which], stdout=subprocess.DEVNULL).returncode == 0


def _missing(what: str, variable: str) -> MissingError:
    why = " (HF_HUB_OFFLINE is set)" if offline() else ""
    return MissingError(
        f"no {what}{why}: give its path, set {variable}, or download {MINI} into {cache_folder()} "
        "with `wilor download mini` or `hf download warmshao/WiLoR-mini`"
    )


def _find_set(files: dict[str, tuple[str, str]], which: str) -> str | None:
    """A set's file in the cache: "any" takes the first that is there."""
    names = list(files) if which == "any" else [which]
    return _first(*(cached(*files[name]) for name in names))


def _nano(name: str) -> str:
    found = _first(_DATA / name)
    if found is None:
        raise MissingError(f"nano: no {name} in {_DATA}, where a wheel has it")
    return found


def _find(
    given: str | os.PathLike[str] | None,
    files: dict[str, tuple[str, str]],
    nano: str | None,
    what: str,
    variable: str,
    prefer: str,
) -> str | None:
    """A path, a set's name, "nano", or nothing: the variable, the cache; None where neither has it.
    nano: its file's name, or None where it is not to be taken."""
    if given is None:
        given = os.environ.get(variable)
    if given == "nano":
        if nano is not None:
            return _nano(nano)
        given = None
    if given is not None and given not in files:
        return os.fspath(given)
    which = os.fspath(given) if given is not None else None
    order = {k: files[k] for k in sorted(files, key=lambda k: k != prefer)}
    found = _find_set(order, which or "any")
    if found is None and which is not None:
        found = _fetched(order, which, what, variable)
    return found


def _fetched(files: dict[str, tuple[str, str]], which: str, what: str, variable: str) -> str:
    found = _find_set(files, which) if _fetch(which) else None
    if found is None:
        raise _missing(what, variable)
    return found


def find_model(
    weights: str | os.PathLike[str] | None,
    mano: str | os.PathLike[str] | None,
    mean: str | os.PathLike[str] | None = None,
    prefer: str = "mini",
    nano: bool = True,
) -> ModelFiles:
    """The network's file, and the hand's and the mean pose's where known: a checkpoint has its own. Where
    nothing is said and nothing cached it is nano, in wheels and if it may, and a warning says so."""
    what = ("WiLoR weights", "WILOR_WEIGHTS")
    found = _find(weights, _WEIGHTS, _NANO_MODEL if nano else None, *what, prefer)
    if found is None and nano:
        found = _first(_DATA / _NANO_MODEL)
    found = found or _fetched(_WEIGHTS, prefer, *what)
    if is_nano(found):
        if not weights and not os.environ.get(what[1]):
            warnings.warn(NANO_RUNS, stacklevel=4)
        return ModelFiles(found, None, None)
    beside = Path(found).parent
    own = _home("XDG_CACHE_HOME", ".cache") / "wilor" / "mano.npz"
    if mano is None:
        mano = os.environ.get("WILOR_MANO") or _first(
            beside / "mano.npz",
            beside / "MANO_RIGHT.pkl",
            own,
            Path.home() / ".cache" / "wilor-mlx" / "mano.npz",
            cached(*_MANO),
        )
    if mean is None:
        mean = _first(beside / "mano_mean_params.npz", cached(*_MEAN))
    return ModelFiles(found, os.fspath(mano) if mano else None, os.fspath(mean) if mean else None)


def find_detector(path: str | os.PathLike[str] | None, prefer: str = "mini") -> str:
    what = ("hand detector", "WILOR_DETECTOR")
    return _find(path, _DETECTOR, _NANO_DETECTOR, *what, prefer) or _fetched(_DETECTOR, prefer, *what)


def is_nano(weights: str) -> bool:
    return Path(weights) == _DATA / _NANO_MODEL


def detector_for(found: str, detector: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    """nano's own detector beside nano (`found`: the model's file) where no other is asked for; it serves
    other weights only by name."""
    asked = detector is not None or os.environ.get("WILOR_DETECTOR")
    return "nano" if is_nano(found) and not asked else detector
