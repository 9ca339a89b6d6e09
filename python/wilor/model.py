"""WiLoR: crops of hands in, hands out, with the calls of wilor_mlx.WiLoR 0.3.1."""

from __future__ import annotations

import ctypes as c
import os
from types import SimpleNamespace
from typing import Any

import numpy as np

from . import _abi, _library, _native, _picture, _results, _weights
from .errors import ArgumentError

# Crops at once in one call of the library; it works them off in batches.
_MOST = 64
# wilor-mlx's batch norms see a whole call.
_MOST_MLX = 256

Path = str | os.PathLike[str]


class WiLoR:
    """The hand model. Weights are loaded once and never change: one object serves any number of threads.

    model = WiLoR.from_pretrained()
    pred = model(crops)  # (B, 256, 256, 3) uint8 RGB, right hands (left ones mirrored)
    """

    def __init__(self) -> None:
        self._handle: _native.Handle | None = None
        self._stores: dict[int, _native.Store] = {}
        self.FOCAL_LENGTH = 5000
        self.IMAGE_SIZE = 256

    @staticmethod
    def from_pretrained(
        weights_path: Path | None = None,
        mano_path: Path | None = None,
        *,
        mean_path: Path | None = None,
        device: object = None,
        dtype: str = "f32",
        threads: int = 0,
        compat: str = "mini",
        packed: Path | None = None,
        heads: int = 0,
    ) -> WiLoR:
        """Load weights.

        weights_path: a file that wilor.h names, "mini", "mlx", "nano", or None: $WILOR_WEIGHTS, then the
            cache of huggingface_hub, then nano where the wheel has it (a warning says so), then a download
            by the program `wilor` where that is installed
        mano_path: mano.npz or MANO_RIGHT.pkl; None: $WILOR_MANO, or what lies beside the weights, or
            in a cache
        device: None or "cpu"; "cuda" or "cuda:0" where the module for NVIDIA cards is; also torch's objects
        dtype: "f32" (the oracle), "auto", "bf16", "int8", "int4", "f32x"; on a card also "f16"
        threads: of each call, too; 0: the physical cores that this process may use
        compat: whose numbers: "mini" (WiLoR-mini), "wilor" (its demo), "mlx" (wilor-mlx 0.3.1)
        packed: a file of packed weights that is mapped, so that processes share it; made when it is
            not there, or not of these weights
        """
        files = _weights.find_model(weights_path, mano_path, mean_path, _preferred(compat))
        model = WiLoR()
        model._compat = _native.choice("compat", compat, _abi.COMPAT)
        model._threads, model._file = threads, files.weights
        opened = _native.open_model(*files, dtype, threads, packed, heads, device)
        on_card = (_info(opened).device or b"cpu") != b"cpu"  # packs nothing
        if packed is not None and not on_card and not _info(opened).from_packed:
            _native.save_packed(opened, packed)
            opened.close()
            opened = _native.open_model(*files, dtype, threads, packed, heads, device)
        model._set(opened)
        return model

    @staticmethod
    def from_pytorch_checkpoint(
        ckpt_path: Path, mano_model_path: Path, mano_mean_path: Path, **options: Any
    ) -> WiLoR:
        """The three files of WiLoR by name. No torch: checkpoints are parsed, nothing in them is run."""
        return WiLoR.from_pretrained(ckpt_path, mano_model_path, mean_path=mano_mean_path, **options)

    def _set(self, handle: _native.Handle) -> None:
        lib = _library.load()
        self._handle = handle
        info = _info(handle)
        self.info: dict[str, Any] = {
            name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for name, value in ((name, getattr(info, name)) for name, *_ in info._fields_)
        }
        """What wilor_model_info says: width, depth, heads, parameters, packed_bytes, kernels …"""
        self.info["dtype"] = lib.wilor_dtype_name(info.dtype).decode()
        self.info["isa"] = lib.wilor_isa_name(info.isa).decode()
        self._side_faces = (self._copy_faces(_abi.LEFT), self._copy_faces(_abi.RIGHT))

    _compat = 0
    _file = ""
    _threads = 0

    def _copy_faces(self, side: int) -> np.ndarray:
        # Read-only and with the model's life as theirs would be a trap in a result that is kept.
        count = self.info["faces"] * 3
        address = _library.load().wilor_model_faces(self._loaded().value, side)
        faces = np.frombuffer(c.string_at(address, count * 4), np.int32)
        return faces.reshape(-1, 3)

    @property
    def faces(self) -> np.ndarray:
        """(1538, 3) int32: triangles of a right hand."""
        self._loaded()
        return self._side_faces[_abi.RIGHT]

    @property
    def mano(self) -> SimpleNamespace:
        """What programs ask wilor-mlx's and WiLoR-mini's models for: `model.mano.faces`."""
        return SimpleNamespace(faces=self.faces)

    def _loaded(self) -> _native.Handle:
        if self._handle is None:
            raise ArgumentError("WiLoR() has no weights: use WiLoR.from_pretrained")
        return self._handle

    def _sessions(self, n: int) -> tuple[_native.Store, int]:
        """Where to take a session for n crops, and how many of them go into a call."""
        mlx = self._compat == _abi.COMPAT["mlx"]
        if mlx and n > _MOST_MLX:
            raise ArgumentError(f"{n} crops in one call: with compat='mlx' at most {_MOST_MLX}")
        most, batch = (n, n) if mlx else (_MOST, 0)
        store = self._stores.get(batch)
        if store is None:
            handle = self._loaded()
            options: dict[str, Any] = dict(
                compat=self._compat, threads=self._threads, batch=batch, max_hands=most
            )
            made = _native.Store(lambda: _native.Pipeline(None, handle, **options))
            store = self._stores.setdefault(batch, made)
        return store, most

    def __call__(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """x: (B, 256, 256, 3) RGB, uint8, or float with 0 … 255.

        Returns float32 arrays: global_orient (B, 1, 3), hand_pose (B, 15, 3), betas (B, 10), pred_cam (B, 3),
        pred_keypoints_3d (B, 21, 3), pred_vertices (B, V, 3); faces (1538, 3) int32."""
        self._loaded()
        x = np.asarray(x)
        if x.ndim != 4 or x.shape[1:] != (256, 256, 3):
            raise TypeError(f"crops: {x.shape}; wanted (B, 256, 256, 3)")
        if x.dtype != np.uint8:
            x = np.ascontiguousarray(x, np.float32)
        store, most = self._sessions(len(x))
        parts = []
        with store.pipeline() as pipeline:
            for first in range(0, max(len(x), 1), max(most, 1)):
                parts.append(_run(pipeline, x[first : first + most]))
        return self._join(parts)

    def _join(self, parts: list[_results.HandArrays]) -> dict[str, np.ndarray]:
        def whole(name: str) -> np.ndarray:
            arrays = [getattr(p, name) for p in parts]
            return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

        return {
            "global_orient": whole("global_orient")[:, None, :],
            "hand_pose": whole("hand_pose"),
            "betas": whole("betas"),
            "pred_cam": whole("pred_cam"),
            "pred_keypoints_3d": whole("keypoints_3d"),
            "pred_vertices": whole("vertices_3d"),
            "faces": self._side_faces[_abi.RIGHT],
        }

    def save_packed(self, path: Path) -> None:
        """Write the packed weights, for `packed=` of later starts on this kind of processor."""
        _native.save_packed(self._loaded(), path)


def _preferred(compat: str) -> str:
    return "mlx" if compat == "mlx" else "mini"


def _info(handle: _native.Handle) -> _abi.ModelInfo:
    info = _abi.ModelInfo()
    _library.load().wilor_model_get_info(handle.value, c.byref(info), c.sizeof(info))
    return info


def _run(pipeline: _native.Pipeline, x: np.ndarray) -> _results.HandArrays:
    """One call of the library on crops."""
    lib = _library.load()
    if x.dtype == np.uint8:
        views = [_picture.view(crop) for crop in x]
        pictures = (_abi.Picture * len(views))(*(v[0] for v in views))
        status = lib.wilor_predict_crops(pipeline.session, pictures, None, len(x), *pipeline.answer)
    else:
        status = lib.wilor_run(pipeline.session, x.ctypes.data, len(x), *pipeline.answer)
    return pipeline.take(status)
