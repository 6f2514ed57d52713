"""Measure the search on made-up embeddings: python tests/search_size.py [N ...]

Each size is measured in a process of its own: seconds to write the index and to open it, milliseconds a query (median of 20), MB above the imports;
then the same for usearch's graph, and how many of the exact ten nearest it finds. The embeddings are 2,000 clusters of unit vectors, 384 wide."""
import json, resource, subprocess, sys, tempfile, time
from pathlib import Path

def measure(n, approximate):
    import numpy as np, torch
    from clip_lab.cache import cached_vectors
    from clip_lab.apps.search import ImageIndex, approximate_index
    from torch.nn import functional as F
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024
    start, width = peak(), 384
    centers = np.random.default_rng(0).standard_normal((2000, width), dtype=np.float32)
    def made_up(seed, rows): return F.normalize(torch.from_numpy(centers[np.arange(rows) % 2000] + np.random.default_rng(seed).standard_normal((rows, width), dtype=np.float32)), dim=1)
    def compute(todo):
        for i in range(0, len(todo), 4096): yield todo[i:i+4096], made_up([1, i], len(todo[i:i+4096])).numpy()
    names = [f'{i:07}.jpg' for i in range(n)]
    with tempfile.TemporaryDirectory() as folder:
        clock = time.perf_counter(); cached_vectors(folder, 'pictures', {}, names, width, compute); build = time.perf_counter() - clock
        clock = time.perf_counter(); index = ImageIndex(Path(folder), names, names, cached_vectors(folder, 'pictures', {}, names, width, compute), {}); opened = time.perf_counter() - clock
        queries, times, exact = made_up(7, 20), [], []
        for q in queries:
            clock = time.perf_counter(); exact.append({a.name for a in index.search(q[None], 10)}); times.append(time.perf_counter() - clock)
        found = dict(embeddings=n, write_s=round(build, 1), open_s=round(opened, 1), query_ms=round(1000*float(np.median(times)), 1), MB_above_imports=round(peak() - start), MB_on_disk=round(index.vectors.file.stat().st_size/2**20))
        if not approximate: return found
        clock = time.perf_counter(); graph = approximate_index(index); found['graph_build_s'] = round(time.perf_counter() - clock, 1)
        times, hits = [], 0
        for q,right in zip(queries, exact):
            clock = time.perf_counter(); graph.search(q.numpy(), 10); times.append(time.perf_counter() - clock)
            hits += len({a.name for a in index.search_approximately(graph, q[None], 10)} & right)
        return found | dict(graph_query_ms=round(1000*float(np.median(times)), 2), graph_finds_of_ten=round(hits/len(queries), 2))

if __name__ == '__main__':
    if sys.argv[1:2] == ['--one']: print(json.dumps(measure(int(sys.argv[2]), sys.argv[3] == '1')))
    else:
        for n in map(int, sys.argv[1:] or [10_000, 100_000, 1_000_000]): subprocess.run([sys.executable, __file__, '--one', str(n), str(int(n <= 100_000))], check=True)
