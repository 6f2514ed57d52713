"""Image files damaged at random, and what becomes of them: python tests/damages.py [HOW_MANY] [SEED]

Every format that Pillow reads and writes here, some with EXIF, is damaged in one of six ways, and read as a stranger's image is. A line of JSON counts, format by format, the images that could be used
and those that were called unusable; anything else is a defect of the lab: it is printed with its seed, and the script ends with status 1. Not a test, but run before a release."""
import io, json, sys, tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from clip_lab.tools.image_files import FOREIGN, UnusableImage, load_image

WITH_EXIF = 'JPEG', 'MPO', 'PNG', 'WEBP', 'AVIF', 'TIFF'

def whole_files():
    "Format -> bytes of a sound image, for all that can be written here"
    Image.init()
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((48, 36))
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010f: 'a camera', 0x0128: 2, 0x011a: 72.0, 0x9204: -1/3})
    kinds = {'16 bit PNG': ('PNG', Image.fromarray(rng.integers(0, 4096, (36, 48)).astype(np.uint16)), {}), 'palette GIF': ('GIF', rgb.quantize(16), {}),
             'transparent PNG': ('PNG', rgb.convert('RGBA'), {}), 'float TIFF': ('TIFF', Image.fromarray(rng.random((36, 48), dtype=np.float32)), {}),
             'packed TIFF': ('TIFF', rgb, dict(compression='tiff_lzw')), 'CMYK JPEG': ('JPEG', rgb.convert('CMYK'), {}), 'animation': ('WEBP', rgb, dict(save_all=True, append_images=[rgb.rotate(9)]))}
    kinds |= {f'{f} with EXIF': (f, rgb, dict(exif=exif)) for f in WITH_EXIF}
    kinds |= {f: (f, rgb, {}) for f in sorted(set(Image.SAVE) & set(Image.OPEN) - FOREIGN)}
    found = {}
    for name,(kind,image,options) in kinds.items():
        for mode in (image.mode, 'RGB', 'L', '1'):
            file = io.BytesIO()
            try: image.convert(mode).save(file, kind, **options)
            except Exception: continue
            found[name] = file.getvalue()
            break
    return found

def damage(data, rng):
    "One of six damages to a file"
    data, n = bytearray(data), len(data)
    at, kind = int(rng.integers(n)), int(rng.integers(6))
    if kind == 0: data[at] ^= int(rng.integers(1, 256))
    elif kind == 1:
        for i in rng.integers(n, size=int(rng.integers(2, 30))): data[i] = int(rng.integers(256))
    elif kind == 2: data[at:at+64] = bytes(len(data[at:at+64]))
    elif kind == 3: del data[at:]
    elif kind == 4: data[at:at] = rng.bytes(int(rng.integers(1, 40)))
    else:
        for i in rng.integers(min(n, 200), size=int(rng.integers(1, 6))): data[i] = int(rng.integers(256))    # where headers and EXIF are
    return bytes(data)

def batch(seeds):
    "Read damaged files; (format, what became of it) of each, and what should not happen"
    files, seen, bad = whole_files(), Counter(), []
    names = sorted(files)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder)/'damaged'
        for seed in seeds:
            rng = np.random.default_rng(seed)
            name = names[seed % len(names)]
            file.write_bytes(damage(files[name], rng))
            try:
                image = load_image(file)
                seen[name, 'used'] += 1
                if image.mode != 'RGB': bad.append((seed, name, f'mode {image.mode}'))
            except UnusableImage as e: seen[name, e.reason] += 1
            except BaseException as e: bad.append((seed, name, repr(e)[:200]))
    return seen, bad

def main(many=20_000, first=0):
    parts = [range(i, min(i + 500, first + many)) for i in range(first, first + many, 500)]
    seen, bad = Counter(), []
    with ProcessPoolExecutor() as pool:
        for counts,wrong in pool.map(batch, parts): seen += counts; bad += wrong
    for name in sorted({n for n,_ in seen}): print(json.dumps(dict(format=name) | {what: n for (f,what),n in sorted(seen.items()) if f == name}))
    print(json.dumps(dict(damaged=many, used=sum(n for (_,w),n in seen.items() if w == 'used'), unusable=sum(n for (_,w),n in seen.items() if w != 'used'), defects=bad)))
    return int(bool(bad))

if __name__ == '__main__': sys.exit(main(*map(int, sys.argv[1:])))
