#!/usr/bin/env python3
"""Make tests/golden/data/detector/route*.npz: WiLoR-mini's predict() from picture to hands.

    make_route_golden.py --upstream WILOR_MINI micro
        micro.pt and frames of tests/golden/data/detector, model hd80 of scripts/random_weights.py with
        hand-cc0.npz: everything is in the repository
    make_route_golden.py --upstream WILOR_MINI tiny|ema FIXTURES
        the reference fixtures' detector/detector_tiny.pt and tiny/wilor_tiny.ckpt, or
        detector/detector_ema.pt and hd80/wilor_hd80.ckpt, on their frames and photos: only numbers are
        kept, no pixels

Made with WiLoR-mini at commit ebec42f94c389070cdd7dda6fd1bf0b4a659c960, ultralytics 8.1.34, torch 2.11.0,
torchvision 0.26.0, opencv-python-headless 5.0.0.93, scikit-image 0.26.0, smplx 0.1.28, roma 1.8.0, timm
1.0.31, numpy 2.4.6, in one process, so that detector and crops are of the versions that the C side is held
to. ultralytics 8.1.34 is older than torch.load's habit of refusing modules: that argument is set here,
nothing else is changed. Its boxes under torch 2.11 and OpenCV 5 equal those under torch 2.2.2 and OpenCV 4.9
(the reference fixtures' detections at the default size, all of them).

predict() runs as it is, at hand_conf 0.05, on pictures as cv2.imread gives them (BGR). What it does not
return, scores and keypoints, is taken from the detector's answer on the way. Per hand, flat arrays in order
of the pictures: `picture` (row of `names`, paths from the folder), `side`, `box`, `score`, `detected` (21 x
(x, y, visibility), x = y = 0 where the visibility is below 0.5), `keypoints_3d`, `keypoints_2d`, `vertices`
(those of `sampled`), `cam_t`, `pred_cam`, `betas`, `global_orient`, `hand_pose`; `half`: how near the
unrounded box comes to a half, in pixels; `gain`: pixels of the network's input a picture pixel."""

import argparse, pathlib, sys
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
OUT = HERE.parent / 'tests/golden/data/detector'
KEYS = {
    'keypoints_3d': 'pred_keypoints_3d',
    'keypoints_2d': 'pred_keypoints_2d',
    'vertices': 'pred_vertices',
    'cam_t': 'pred_cam_t_full',
    'pred_cam': 'pred_cam',
    'betas': 'betas',
    'global_orient': 'global_orient',
    'hand_pose': 'hand_pose',
}
PARTS = {  # detector, sizes of the model, its checkpoint, folders of pictures
    'micro': ('micro.pt', 'hd80', None, ('frames',)),
    'tiny': ('detector/detector_tiny.pt', 'tiny', 'tiny/wilor_tiny.ckpt', ('detector/frames', 'photos')),
    'ema': ('detector/detector_ema.pt', 'hd80', 'hd80/wilor_hd80.ckpt', ('detector/frames', 'photos')),
}
SAMPLED = np.linspace(0, 777, 40).astype(np.int32)


class Listening:
    """The detector; keeps its last answer and how near a half its boxes were before rounding."""

    def __init__(self, path):
        import make_detector_golden

        self.detector = make_detector_golden.Detector(path)

    def __call__(self, picture, **kw):
        d = self.detector
        self.results = d.yolo(picture, **kw)
        self.record = d.record(0, self.results[0])
        self.gain = min(d.x.shape[2] / picture.shape[0], d.x.shape[3] / picture.shape[1])
        return self.results


def pipeline(folder, detector, model, checkpoint):
    """WiLoR-mini's pipeline object; only its constructor's downloads are left out."""
    import logging, torch, make_golden

    torch.set_num_threads(1)
    load = torch.load
    torch.load = lambda *a, **k: load(*a, **{'weights_only': False, **k})
    hand = dict(np.load(OUT.parent / 'hand-cc0.npz'))
    net, _ = make_golden.upstream_model(folder, model, hand)
    if checkpoint:
        net.load_state_dict(torch.load(checkpoint, map_location='cpu')['state_dict'], strict=False)
    import huggingface_hub

    huggingface_hub.hf_hub_download = None  # nothing is downloaded
    from wilor_mini.pipelines.wilor_hand_pose3d_estimation_pipeline import WiLorHandPose3dEstimationPipeline

    p = WiLorHandPose3dEstimationPipeline.__new__(WiLorHandPose3dEstimationPipeline)
    p.verbose, p.device, p.dtype = False, torch.device('cpu'), torch.float32
    p.logger = logging.getLogger('upstream')
    p.FOCAL_LENGTH, p.IMAGE_SIZE, p.wilor_model = 5000, 256, net
    p.hand_detector = Listening(str(detector))
    return p


def run(p, paths):
    import cv2

    a = {k: [] for k in ('picture', 'side', 'box', 'score', 'detected', 'half', 'gain', *KEYS)}
    for i, path in enumerate(paths):
        hands = p.predict(cv2.imread(str(path), cv2.IMREAD_COLOR), hand_conf=0.05)
        found = p.hand_detector.results[0]
        assert len(hands) == len(found)
        print(path.name, len(hands), 'hands', p.hand_detector.record['margins'])
        for hand, det, more in zip(hands, found, p.hand_detector.record['detections']):
            unrounded = np.array(more['xyxy_unrounded'])
            a['picture'].append(np.int32(i))
            a['side'].append(np.uint8(hand['is_right']))
            a['box'].append(np.float32(hand['hand_bbox']))
            a['score'].append(np.float32(det.boxes.conf.item()))
            a['detected'].append(det.keypoints.data.numpy().reshape(21, 3))
            a['half'].append(np.float32(np.abs(unrounded - np.floor(unrounded) - 0.5).min()))
            a['gain'].append(np.float32(p.hand_detector.gain))
            for key, name in KEYS.items():
                v = np.asarray(hand['wilor_preds'][name], np.float64)[0]
                a[key].append(v[SAMPLED] if key == 'vertices' else v)
    out = {k: np.stack(v) for k, v in a.items()}
    return {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in out.items()}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--upstream', required=True, help='checkout of WiLoR-mini')
    ap.add_argument('part', choices=('micro', 'tiny', 'ema'))
    ap.add_argument('folder', nargs='?', type=pathlib.Path, default=OUT)
    args = ap.parse_args()
    detector, model, checkpoint, folders = PARTS[args.part]
    paths = [p for f in folders for p in sorted((args.folder / f).iterdir())]
    if checkpoint:
        checkpoint = args.folder / checkpoint
    arrays = run(pipeline(args.upstream, args.folder / detector, model, checkpoint), paths)
    names = np.zeros((len(paths), 48), np.uint8)
    for row, path in zip(names, paths):
        name = path.relative_to(args.folder).as_posix().encode()
        row[: len(name)] = list(name)
    path = OUT / ('route_%s.npz' % args.part)
    np.savez_compressed(path, names=names, sampled=SAMPLED, **arrays)
    print(len(arrays['side']), 'hands', path.stat().st_size, 'bytes; nearest to a half', arrays['half'].min())


if __name__ == '__main__':
    main()
