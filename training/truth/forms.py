"""The photos in other forms: of other contrast and brightness, by other detector inputs. Few hands are annotated, and whether
one of them is found can hang on a pixel: what holds in all forms is no accident."""
import numpy as np
from PIL import Image, ImageOps

import scoring

MIDDLE = 110                       # the grey level that contrast turns about
GRADINGS = {                       # contrast, then brightness
    'as they are': (1, 1), 'less contrast': (0.7, 1), 'more contrast': (1.3, 1), 'darker': (1, 0.7), 'brighter': (1, 1.25),
}
SIZES = (320, 352, 384, 416)


def graded(picture, contrast, brightness):
    """A picture (height, width, 3) of bytes in another grading."""
    grey = ((picture.astype(np.float32) - MIDDLE) * contrast + MIDDLE) * brightness
    return np.rint(grey.clip(0, 255)).astype(np.uint8)


def write(photos, folder, to, grading):
    """The photos' files in `to`, in another grading; as they are, byte for byte."""
    for photo in photos:
        if GRADINGS[grading] == (1, 1):
            (to / photo['file']).write_bytes((folder / photo['file']).read_bytes())
            continue
        picture = ImageOps.exif_transpose(Image.open(folder / photo['file'])).convert('RGB')
        Image.fromarray(graded(np.asarray(picture), *GRADINGS[grading])).save(to / photo['file'], quality=97)


def row(photos, found):
    """Means over the clear hands of some forms of the photos. photos and found: beside each other, a form's after another's.
    both: found, and with their side, of all."""
    scored = [scoring.score_photo(p, f) for p, f in zip(photos, found)]
    means = scoring.means([r for rows, _ in scored for r in rows if r['clear']], [e for _, e in scored])
    return {**means, 'both': means['found'] * (means['side_right'] or 0)}
