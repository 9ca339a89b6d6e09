"""The C interface as ctypes sees it: structs and functions of include/wilor/wilor.h, under their names there.

Nothing but declarations. Option structs begin with struct_size, so a newer library takes these; results
are only read, and grow at their end. python/tests/test_abi.py holds every offset against the header."""

from __future__ import annotations

import ctypes as c

OK = 0
(
    ERR_ARG,
    ERR_NOMEM,
    ERR_IO,
    ERR_FORMAT,
    ERR_MODEL,
    ERR_MISSING,
    ERR_LIMIT,
    ERR_UNSUPPORTED,
    ERR_CANCELLED,
    ERR_INTERNAL,
) = range(1, 11)

RGB8, BGR8, RGBA8, BGRA8, GRAY8 = 1, 2, 3, 4, 5
LEFT, RIGHT = 0, 1
DTYPES = {"f32": 0, "auto": 1, "f32x": 2, "f16": 3, "bf16": 4, "int8": 5, "int4": 6, "fp8": 7}
COMPAT = {"mini": 0, "wilor": 1, "mlx": 2}
WARPS = {"cv5": 0, "cv4": 1}

p = c.c_void_p
LogFn = c.CFUNCTYPE(None, p, c.c_int, c.c_char_p)
ProgressFn = c.CFUNCTYPE(None, p, c.c_char_p, c.c_uint64, c.c_uint64)
CancelFn = c.CFUNCTYPE(c.c_int, p)
WriteFn = c.CFUNCTYPE(c.c_int, p, p, c.c_size_t)


class Error(c.Structure):
    _fields_ = [("status", c.c_int), ("text", c.c_char * 508)]


class Callbacks(c.Structure):
    _fields_ = [("user", p), ("log", LogFn), ("progress", ProgressFn), ("cancel", CancelFn)]


class ModelOptions(c.Structure):
    _fields_ = [
        ("struct_size", c.c_size_t),
        ("weights", c.c_char_p),
        ("mano", c.c_char_p),
        ("mean", c.c_char_p),
        ("heads", c.c_int),
        ("threads", c.c_int),
        ("max_isa", c.c_int),
        ("callbacks", Callbacks),
        ("packed", c.c_char_p),
        ("dtype", c.c_int),
        ("device", c.c_char_p),
    ]


class ModelInfo(c.Structure):
    _fields_ = [
        ("width", c.c_int),
        ("depth", c.c_int),
        ("heads", c.c_int),
        ("mlp", c.c_int),
        ("vertices", c.c_int),
        ("faces", c.c_int),
        ("parameters", c.c_uint64),
        ("packed_bytes", c.c_uint64),
        ("load_seconds", c.c_double),
        ("isa", c.c_int),
        ("weights", c.c_char_p),
        ("label", c.c_char_p),
        ("from_packed", c.c_int),
        ("dtype", c.c_int),
        ("kernels", c.c_char_p),
        ("name", c.c_char_p),
        ("licence", c.c_char_p),
        ("rescale", c.c_double),
        ("device", c.c_char_p),
    ]


class DetectorOptions(c.Structure):
    _fields_ = [
        ("struct_size", c.c_size_t),
        ("detector", c.c_char_p),
        ("threads", c.c_int),
        ("max_isa", c.c_int),
        ("callbacks", Callbacks),
        ("dtype", c.c_int),
        ("device", c.c_char_p),
    ]


class DetectorInfo(c.Structure):
    _fields_ = [
        ("imgsz", c.c_int),
        ("parameters", c.c_uint64),
        ("packed_bytes", c.c_uint64),
        ("load_seconds", c.c_double),
        ("isa", c.c_int),
        ("detector", c.c_char_p),
        ("dtype", c.c_int),
        ("device", c.c_char_p),
        ("iou", c.c_double),
    ]


class PipelineOptions(c.Structure):
    _fields_ = [
        ("struct_size", c.c_size_t),
        ("max_hands", c.c_int),
        ("batch", c.c_int),
        ("threads", c.c_int),
        ("full_path", c.c_int),
        ("compat", c.c_int),
        ("find", p),
        ("find_user", p),
    ]


class Picture(c.Structure):
    _fields_ = [
        ("data", p),
        ("width", c.c_int),
        ("height", c.c_int),
        ("stride", c.c_ssize_t),
        ("format", c.c_int),
    ]


class Box(c.Structure):
    _fields_ = [("box", c.c_double * 4), ("score", c.c_float), ("side", c.c_int)]


class PredictOptions(c.Structure):
    _fields_ = [
        ("struct_size", c.c_size_t),
        ("rescale", c.c_double),
        ("warp", c.c_int),
        ("mirrored", c.c_int),
        ("has_intrinsics", c.c_int),
        ("intrinsics", c.c_double * 4),
        ("distortion", c.c_double * 5),
        ("focal", c.c_double),
        ("palm", c.c_double),
        ("betas", c.POINTER(c.c_float)),
        ("nv12_chroma", p),
        ("nv12_chroma_stride", c.c_ssize_t),
    ]


class DetectOptions(c.Structure):
    _fields_ = [
        ("struct_size", c.c_size_t),
        ("conf", c.c_double),
        ("iou", c.c_double),
        ("imgsz", c.c_int),
        ("max_hands", c.c_int),
        ("profile", c.c_int),
        ("force_side", c.c_int),
        ("nv12_chroma", p),
        ("nv12_chroma_stride", c.c_ssize_t),
    ]


class Hands(c.Structure):
    _fields_ = [
        ("n", c.c_int),
        ("vertices", c.c_int),
        ("side", p),
        ("failed", p),
        ("score", p),
        ("box", p),
        ("crop", p),
        ("pred_cam", p),
        ("cam_t", p),
        ("focal", p),
        ("principal", p),
        ("keypoints_3d", p),
        ("keypoints_2d", p),
        ("vertices_3d", p),
        ("global_orient", p),
        ("hand_pose", p),
        ("betas", p),
        ("rotation", p),
        ("stage_ms", c.c_double * 4),
        ("distortion", p),
        ("mirrored", c.c_int),
        ("detected_keypoints", p),
        ("detected", p),
        ("detect_ms", c.c_double),
        ("rescale", c.c_double),
    ]


class Detections(c.Structure):
    _fields_ = [
        ("n", c.c_int),
        ("boxes", c.POINTER(Box)),
        ("keypoints", p),
        ("input_width", c.c_int),
        ("input_height", c.c_int),
        ("stage_ms", c.c_double * 4),
        ("busy_ms", c.c_double * 3),
        ("gflop", c.c_double),
    ]


class TrackerOptions(c.Structure):
    _fields_ = [
        ("struct_size", c.c_size_t),
        ("max_hands", c.c_int),
        ("detect_every", c.c_int),
        ("smooth", c.c_double),
        ("hold", c.c_double),
        ("lost_after", c.c_double),
    ]


class Tracks(c.Structure):
    _fields_ = [
        ("hands", c.POINTER(Hands)),
        ("id", p),
        ("state", p),
        ("age_ns", p),
        ("velocity", p),
        ("spin", p),
        ("lost", c.c_int),
        ("lost_id", p),
        ("detected", c.c_int),
    ]


# Struct of the header, and of this file.
STRUCTS = {
    "wilor_error": Error,
    "wilor_callbacks": Callbacks,
    "wilor_model_options": ModelOptions,
    "wilor_model_info": ModelInfo,
    "wilor_detector_options": DetectorOptions,
    "wilor_detector_info": DetectorInfo,
    "wilor_pipeline_options": PipelineOptions,
    "wilor_picture": Picture,
    "wilor_box": Box,
    "wilor_predict_options": PredictOptions,
    "wilor_detect_options": DetectOptions,
    "wilor_hands": Hands,
    "wilor_detections": Detections,
    "wilor_tracker_options": TrackerOptions,
    "wilor_tracks": Tracks,
}

ref = c.POINTER
err = ref(Error)
hands_out = ref(ref(Hands))

# Name: result, arguments.
FUNCTIONS = {
    "wilor_version": (c.c_char_p, []),
    "wilor_build_info": (c.c_char_p, []),
    "wilor_isa_name": (c.c_char_p, [c.c_int]),
    "wilor_dtype_name": (c.c_char_p, [c.c_int]),
    "wilor_threads_default": (c.c_int, []),
    "wilor_model_options_init": (None, [ref(ModelOptions), c.c_size_t]),
    "wilor_model_open": (c.c_int, [ref(p), ref(ModelOptions), err]),
    "wilor_model_free": (None, [ref(p)]),
    "wilor_model_get_info": (None, [p, ref(ModelInfo), c.c_size_t]),
    "wilor_model_save_packed": (c.c_int, [p, WriteFn, p, err]),
    "wilor_model_faces": (p, [p, c.c_int]),
    "wilor_detector_options_init": (None, [ref(DetectorOptions), c.c_size_t]),
    "wilor_detector_open": (c.c_int, [ref(p), ref(DetectorOptions), err]),
    "wilor_detector_free": (None, [ref(p)]),
    "wilor_detector_get_info": (None, [p, ref(DetectorInfo), c.c_size_t]),
    "wilor_detect_options_init": (None, [ref(DetectOptions), c.c_size_t]),
    "wilor_predict_options_init": (None, [ref(PredictOptions), c.c_size_t]),
    "wilor_pipeline_options_init": (None, [ref(PipelineOptions), c.c_size_t]),
    "wilor_pipeline_create": (c.c_int, [ref(p), p, p, ref(PipelineOptions), err]),
    "wilor_pipeline_free": (None, [ref(p)]),
    "wilor_pipeline_session": (p, [p]),
    "wilor_detect": (
        c.c_int,
        [p, ref(Picture), c.c_int, ref(DetectOptions), ref(ref(Detections)), err],
    ),
    "wilor_detect_raw": (c.c_int, [p, ref(Picture), ref(ref(c.c_float)), ref(c.c_int), err]),
    "wilor_pipeline_memory": (c.c_size_t, [p, p, ref(PipelineOptions), c.c_int, c.c_int]),
    "wilor_pipeline_run": (
        c.c_int,
        [
            p,
            ref(Picture),
            ref(Box),
            c.c_int,
            ref(DetectOptions),
            ref(PredictOptions),
            hands_out,
            err,
        ],
    ),
    "wilor_predict_boxes": (
        c.c_int,
        [p, ref(Picture), ref(Box), c.c_int, ref(PredictOptions), hands_out, err],
    ),
    "wilor_predict_crops": (c.c_int, [p, ref(Picture), ref(c.c_int), c.c_int, hands_out, err]),
    "wilor_run": (c.c_int, [p, p, c.c_int, hands_out, err]),
    "wilor_tracker_options_init": (None, [ref(TrackerOptions), c.c_size_t]),
    "wilor_tracker_create": (c.c_int, [ref(p), p, ref(TrackerOptions), err]),
    "wilor_tracker_free": (None, [ref(p)]),
    "wilor_tracker_reset": (None, [p]),
    "wilor_tracker_run": (
        c.c_int,
        [
            p,
            p,
            ref(Picture),
            c.c_int64,
            ref(DetectOptions),
            ref(PredictOptions),
            ref(ref(Tracks)),
            err,
        ],
    ),
}
