"""What COCO 2014's size costs, on a made-up tree: python tests/coco_size.py FOLDER

Makes 123,287 tiny photos with 616,767 captions in COCO's layout (once), then reads, cleans, embeds and trains on them, each step in a process of its own.
Stand-ins of the real widths (512 and 2,048) take the encoders' places. Embedding is killed in the middle and goes on. Prints a row a step; not a test."""
import io, json, signal, subprocess, sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np, torch
from PIL import Image
from clip_lab.sources.cleaning import clean, listed_defects
from clip_lab.sources.coco import coco_split
from clip_lab.images import ImageTransform
from clip_lab.encoders import ImageEncoder
from clip_lab.features import Split, image_features, image_inputs, text_embeddings
from clip_lab.model import RetrievalModel
from clip_lab.experiments import BASELINE
from clip_lab.train import train

CAPTIONS = dict(train=(82_783, 414_113), val=(40_504, 202_654))
WORDS = 'a the man woman dog cat bus train pizza table street beach sitting standing riding holding with next to on in of two three red large small old'.split()

def make(root):
    rng = np.random.default_rng(0)
    for split,(m,n) in CAPTIONS.items():
        folder = root/f'{split}2014'; folder.mkdir(parents=True, exist_ok=True)
        names = [f'COCO_{split}2014_{i:012}.jpg' for i in range(m)]
        for name in names:
            Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(out := io.BytesIO(), 'jpeg', quality=50)
            (folder/name).write_bytes(out.getvalue())
        described = np.concatenate([np.repeat(np.arange(m), 5), rng.choice(m, n - 5*m, replace=False)])
        texts = [' '.join(rng.choice(WORDS, rng.integers(8, 14))).capitalize() + '.' for _ in described]
        images = [dict(license=3, file_name=f, coco_url=f'http://images.cocodataset.org/{split}2014/{f}', height=480, width=640, date_captured='2013-11-14 17:02:52',
                       flickr_url='http://farm9.staticflickr.com/8186/8119368305_4e622c8349_z.jpg', id=i) for i,f in enumerate(names)]
        (root/'annotations').mkdir(exist_ok=True)
        (root/'annotations'/f'captions_{split}2014.json').write_text(json.dumps(dict(info={}, images=images, licenses=[], annotations=[dict(image_id=int(i), id=j, caption=t) for j,(i,t) in enumerate(zip(described, texts))])))

class Texts:
    "Stands in for CLIP's text encoder"
    name, weights, width, max_tokens = 'stand-in', 'none', 512, 77
    def __call__(self, captions, device): return torch.stack([torch.from_numpy(np.random.default_rng(len(c)).standard_normal(512, dtype=np.float32)) + len(c) for c in captions])

def images():
    "Stands in for ResNet50"
    torch.manual_seed(0)
    return ImageEncoder('stand-in', torch.nn.Sequential(torch.nn.Conv2d(3, 16, 4, 4)), torch.nn.Conv2d(16, 2048, 8, 8), 1, 2048, (.5,)*3, (.5,)*3)

def cleaned(root): return {split: clean(data := coco_split(root, split), listed_defects(data, root/'cache')[0]) for split in CAPTIONS}
def features(root, data, encoder): return image_features(data, encoder, ImageTransform(32, encoder.mean, encoder.std), root/'cache')

def index(root): return {split: repr(coco_split(root, split)) for split in CAPTIONS}
def clean_all(root): return {split: repr(d) for split,d in cleaned(root).items()}
def embed_texts(root): return {split: text_embeddings(d, Texts(), root/'cache').shape for split,d in cleaned(root).items()}
def embed_images(root, encoder=None): return {split: features(root, d, images()).shape for split,d in cleaned(root).items()}
def train_epoch(root):
    encoder = images()
    model = RetrievalModel(encoder, 512)
    splits = {split: Split(image_inputs(d, None, None, features(root, d, encoder)), text_embeddings(d, Texts(), root/'cache')) for split,d in cleaned(root).items()}
    history = train(BASELINE.but(epochs=1), model, splits, root/'run')
    return dict(train_loss=round(history.train_loss[0], 3))

STEPS = [index, clean_all, embed_texts, embed_images, train_epoch]

def status(what): return int(next(line.split()[1] for line in open('/proc/self/status') if line.startswith(what)))//1024

def measure(root, step):
    before, start = status('VmRSS'), time.perf_counter()
    result = step(root)
    print(json.dumps(dict(step=step.__name__, seconds=round(time.perf_counter() - start, 1), MB_before=before, MB_above_at_peak=status('VmHWM') - before, MB_own_at_end=status('RssAnon'), result=result)), flush=True)

def main(root):
    if not (root/'annotations/captions_val2014.json').exists(): make(root)
    for step in STEPS:
        again = [sys.executable, __file__, str(root), step.__name__]
        if step.__name__.startswith('embed'):
            process = subprocess.Popen(again, stderr=subprocess.DEVNULL)
            notes = '*text*.json' if step is embed_texts else '*image*.json'
            while process.poll() is None and not list((root/'cache').glob(notes)): time.sleep(.1)
            time.sleep(8); process.send_signal(signal.SIGKILL); process.wait()
            blocks = [b for f in (root/'cache').glob(notes) for b in json.loads(f.read_text())['blocks']]
            print(json.dumps(dict(step=f'{step.__name__}: killed', kept=sum(stop - start for start,stop,_ in blocks))), flush=True)
        subprocess.run(again, check=True, stderr=subprocess.DEVNULL)

if __name__ == '__main__':
    root = Path(sys.argv[1])
    if len(sys.argv) > 2: measure(root, next(s for s in STEPS if s.__name__ == sys.argv[2]))
    else: main(root)
