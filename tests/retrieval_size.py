"""What exact ranks cost, beside the bare product of the same blocks: python tests/retrieval_size.py [FOLDER]

Made-up embeddings of width 512 in float32, five captions a picture, up to the original report's 135,930 captions and 27,186 pictures; the captions lie in a file that is mapped into memory.
Every size runs in a process of its own. Prints a row a size; not a test."""
import json, subprocess, sys, tempfile, time
from pathlib import Path
import numpy as np, pandas as pd, torch
from clip_lab.metrics import BLOCK, TILE, retrieval_metrics

PICTURES = [3_398, 6_796, 13_593, 27_186]

def peak(): return int(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))/1024
def held(): return sum(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith(('RssAnon', 'RssShmem')))/1024

def bare(image, text):
    for i in range(0, len(text), BLOCK):
        block = torch.from_numpy(np.array(text[i:i+BLOCK]))
        for j in range(0, len(image), TILE): block @ image[j:j+TILE].T

def measure(folder, m):
    rng, row, file = np.random.default_rng(0), np.repeat(np.arange(m), 5), folder/f'{m}.npy'
    image = torch.from_numpy(rng.standard_normal((m, 512), dtype=np.float32))
    text = np.lib.format.open_memmap(file, 'w+', np.float32, (5*m, 512))
    for i in range(0, m, 1000): text[5*i:5*i+5000] = image[row[5*i:5*i+5000]] + 8*rng.standard_normal((len(row[5*i:5*i+5000]), 512), dtype=np.float32)
    text.flush(); text = np.load(file, mmap_mode='r')
    bare(image[:TILE], text[:4*BLOCK]); retrieval_metrics(image[:TILE], text[:BLOCK], row[:BLOCK])      # warm
    seconds = {}
    for name,f in dict(product=lambda: bare(image, text), ranks=lambda: retrieval_metrics(image, text, row)).items():
        Path('/proc/self/clear_refs').write_text('5')
        before, start = held(), time.perf_counter()
        found = f()
        seconds[name] = time.perf_counter() - start
    mapped = text.nbytes/2**20            # pages of the file itself count as its input
    print(json.dumps({'pictures': m, 'captions': 5*m, 'bare product, s': seconds['product'], 'exact ranks, s': seconds['ranks'], 'ratio': seconds['ranks']/seconds['product'],
                      'ns a score': 1e9*seconds['ranks']/(5*m*m), 'MiB above inputs, at most': max(0, peak() - before - mapped), 't2i R@1': found['t2i_R@1']}))
    file.unlink()

if __name__ == '__main__':
    if len(sys.argv) == 3: measure(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
        rows = [json.loads(subprocess.run([sys.executable, __file__, folder, str(m)], capture_output=True, text=True, check=True).stdout.splitlines()[-1]) for m in PICTURES]
        print(pd.DataFrame(rows).round(2).to_string(index=False))
