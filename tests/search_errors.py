"""Measure how often the line of a search is wrong:
python tests/search_errors.py RUN [RUN ...] [--images FOLDER] [--out FILE]

RUN is the folder of a run; FOLDER holds captioned images, by default the run's own held-out ones.
Two kinds of query are asked:
  things     'a dog': on scenes for each thing, on other images for the nouns below, which captions mention
  sentences  one caption of each image
each once with everything that shows it taken out of the folder (absent), once with it (present).
On scenes what an image shows is known exactly. Elsewhere other images may show it too, so that errors
on absent sentences are counted too high."""
import argparse, json, re
from pathlib import Path
import numpy as np, torch
from torch.nn import functional as F
from clip_lab.analysis.hubs import hub_constants
from clip_lab.apps.pretrained import ClipLab
from clip_lab.apps.search import LINE, index_folder, index_images, line_of, relevance
from clip_lab.data import read_split
from clip_lab.scenes import ground_truth, THINGS
from clip_lab.tools.run import Run

NOUNS = '''
dog beach snow ball bicycle|bike water horse car grass skateboard mountain guitar camera bus boat pool
helmet soccer football tree bench motorcycle|motorbike kayak umbrella surfboard|surfer climber slide
swing frisbee trampoline bird sheep tent fountain hat sunglasses wheelchair ladder train violin river
hockey basketball stick rope balloon wagon flag race|racing street sand rock'''.split()

def what_they_show(data):
    "Queries for things; for each whether an image shows it, and whether it shows it anywhere (T, M)"
    truth = ground_truth(data)
    if truth:
        def named(kinds): return [{o['name'] for kind in kinds for o in scene[kind]} for scene in truth]
        shown, somewhere = named(['objects']), named(['objects', 'distractors'])
        def table(sets): return np.array([[n in s for s in sets] for n in THINGS])
        return list(THINGS), table(shown), table(somewhere)
    said = [[] for _ in data.file_names]
    for row, caption in zip(data.image_of_text, data.captions): said[row].append(caption.lower())
    shown = np.array([[bool(re.search(rf'\b({n})(s|es)?\b', ' '.join(s))) for s in said] for n in NOUNS])
    return [n.split('|')[0] for n in NOUNS], shown, shown

def rates(scores, line, shown, absent):
    "Shares of queries: absent and something is above; present and nothing right is above"
    above = scores >= line
    return [round(float(x), 3) for x in ((above & absent).any(1).mean(), 1 - (above & shown).any(1).mean())]

def curve(scores, shown, absent):
    "The same for every line: a ROC curve of (false alarms, right ones found)"
    there, gone = np.where(shown, scores, -9).max(1), np.where(absent, scores, -9).max(1)
    points = [((gone >= s).mean(), (there >= s).mean()) for s in np.unique(there)[::-1]]
    auc = (there[:, None] > gone).mean() + (there[:, None] == gone).mean()/2
    return dict(auc=round(float(auc), 3), curve=np.round(points[::max(1, len(points)//60)], 3).tolist())

def measure(run, folder=None):
    model, data = ClipLab.from_run(run), read_split(Path(folder), 'val') if folder else Run(run).held_out()
    index = index_images(model, data.folder, index_folder(run), names=data.file_names)
    order = np.array([index.names.index(n) for n in data.file_names])
    images, bank = index.vectors[order], model.bank
    names, shown, somewhere = what_they_show(data)
    first = np.unique(data.image_of_text, return_index=True)[1]
    own = np.eye(len(images), dtype=bool)
    alike = shown.T.astype(int) @ somewhere.astype(int) > 0 if ground_truth(data) else own
    asked = dict(things=(model.embed_texts([f'a {n}' for n in names]), shown, ~somewhere),
                 sentences=(model.embed_texts([data.captions[i] for i in first]), own, ~alike))
    found = dict(bank=len(bank.captions), errors={}, banks={}, roc={})
    for size in (1000, 300, 100):
        some = np.linspace(0, len(images) - 1, min(size, len(images))).astype(int)
        for captions in (10_000, 2000, 1000, 500, 200):
            if captions != 10_000 and (size < 1000 or captions > len(bank.captions)): continue
            lines, draws = {}, 1 if captions == 10_000 else 5
            for seed in range(draws):
                part = bank.part(captions, seed)
                hubs = hub_constants(images[some], part.captions, part.temperature)[:, None].float()
                line = line_of(images[some], hubs, part.captions)
                for kind, (query, there, gone) in asked.items():
                    held = there[:, some].any(1)
                    cosines = F.normalize(query[held], dim=1) @ F.normalize(images[some], dim=1).T
                    right = there[held][:, some], gone[held][:, some]
                    lines.setdefault(kind, []).append(rates((cosines - hubs.T).numpy(), line, *right))
            means = {kind: np.mean(x, 0).round(3).tolist() for kind, x in lines.items()}
            if captions == 10_000: found['errors'][len(some)] = means
            if size == 1000: found['banks'][min(captions, len(bank.captions))] = means
    query, there, gone = asked['things']
    held = there.any(1)
    plain = (F.normalize(query[held], dim=1) @ F.normalize(images, dim=1).T).numpy()
    shares, corrected = relevance(query[held], images, bank), plain - index.hubs[order][:, 0].numpy()
    for name, scores in dict(cosine=plain, relevance=shares, corrected=corrected).items():
        found['roc'][name] = curve(scores, there[held], gone[held])
    found['shares'] = {s: rates(shares, s, there[held], gone[held]) for s in (.99, .995, .998, .999)}
    edges = [0, .5, .8, .9, .95, .98, .99, .995, .998, 1.001]
    parts = [(shares >= low) & (shares < high) for low, high in zip(edges, edges[1:])]
    def shown_among(part): return round(float(100*there[held][part].mean()), 2)    # in percent
    held_parts = [(edge, part) for edge, part in zip(edges, parts) if part.any()]
    found['calibration'] = {f'{100*e:g}': [int(p.sum()), shown_among(p)] for e, p in held_parts}
    return found

if __name__ == '__main__':
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument('runs', nargs='+')
    parser.add_argument('--images')
    parser.add_argument('--out')
    given = parser.parse_args()
    found = {Path(run).name: measure(run, given.images) for run in given.runs}
    if given.out: Path(given.out).write_text(json.dumps(found))
    units = dict(errors='images', banks='captions in the bank')
    for name, m in found.items():
        print(f'{name}: bank of {m["bank"]:,} captions; in %, with the line at {LINE}: '
              'absent and something is above / present and nothing right is above')
        for what, unit in units.items():
            for n, kinds in m[what].items():
                said = '  '.join(f'{k} {100*a:.0f} / {100*b:.0f}' for k, (a, b) in kinds.items())
                print(f'  {unit} {n:>6}  {said}')
        shares = ', '.join(f'{s} {100*a:.0f} / {100*b:.0f}' for s, (a, b) in m['shares'].items())
        print(f'  a fixed relevance: {shares}')
        print('  area under the curve: ' + ', '.join(f'{k} {r["auc"]}' for k, r in m['roc'].items()))
        right = ', '.join(f'{k}: {p}' for k, (_, p) in m['calibration'].items())
        print(f'  relevance (from) -> % that show it: {right}')
