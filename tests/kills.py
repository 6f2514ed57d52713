"""Kills a run again and again at random moments and compares what it ends with: python tests/kills.py FOLDER [KILLS]

A run of all three experiments on 160 scenes is killed (SIGKILL) at a random moment after its start, started again with the same command, killed again, until it comes to its end; then everything is deleted and it begins anew, until there were as many
kills as asked for (20). Every finished run must hold the same bits as one that was never touched: weights, optimizer, random state, history, ranks and figures' data. Prints where each kill hit; not a test, because it takes some minutes."""
import json, os, random, shutil, signal, subprocess, sys, time
from pathlib import Path
import pandas as pd
from clip_lab.tools.checkpoints import load_tensors
from clip_lab.scenes import make_scenes
from clip_lab.experiments import EXPERIMENTS

def start(root, where):
    options = ['run', '--data', root/'scenes', '--epochs', 3, '--device', 'cpu', '--save-every', .3, '--cache', where/'cache', '--out', where/'runs']
    return subprocess.Popen([sys.executable, '-c', 'import sys; from clip_lab.apps.cli import main; sys.exit(main())', *map(str, options)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | dict(TQDM_DISABLE='1'))

def moment(where):
    "What a run was doing, as its files tell"
    runs = where/'runs'/'scenes'
    for e in EXPERIMENTS.values():
        folder = runs/e.name
        if (folder/'metrics.json').exists(): continue
        if any(where.rglob('*.part')): return f'{e.name}: writing ' + next(where.rglob('*.part')).name[1:].split('.')[0]
        if not (folder/'config.json').exists(): return f'{e.name}: reading and embedding'
        history = pd.read_csv(folder/'history.csv') if (folder/'history.csv').exists() else []
        return f'{e.name}: evaluating' if len(history) == 3 else f'{e.name}: epoch {len(history) + 1}'
    return 'summing up'

def content(where):
    "All that a run ends with, apart from times"
    found, runs = {}, where/'runs'/'scenes'
    for e in EXPERIMENTS:
        for file in ('best', 'last/checkpoint', 'epochs', 'ranks'):
            tensors, note = load_tensors(runs/e/f'{file}.safetensors')
            found |= {f'{e}/{file}/{k}': v.numpy().tobytes() for k,v in tensors.items()}
        found[f'{e}/history'] = pd.read_csv(runs/e/'history.csv').drop(columns='seconds').to_csv()
        metrics = json.loads((runs/e/'metrics.json').read_text())
        found[f'{e}/metrics'] = json.dumps({k: v for k,v in metrics.items() if k != 'seconds'})
    return found

def main(root, kills):
    root.mkdir(parents=True, exist_ok=True)
    make_scenes(root/'scenes', 160, 40)
    shutil.rmtree(root/'untouched', ignore_errors=True)
    began = time.time()
    assert start(root, root/'untouched').wait() == 0
    whole, wanted, rng = time.time() - began, content(root/'untouched'), random.Random(0)
    killed, runs = [], 0
    while len(killed) < kills:
        shutil.rmtree(root/'killed', ignore_errors=True)
        while True:
            process = start(root, root/'killed')
            try: process.wait(rng.uniform(.1, .7)*whole if len(killed) < kills else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL); process.wait()
                killed.append(moment(root/'killed')); print(f'kill {len(killed)}: {killed[-1]}', flush=True)
                continue
            assert process.returncode == 0, process.stderr.read()
            break
        found, runs = content(root/'killed'), runs + 1
        differ = [k for k in wanted if found.get(k) != wanted[k]]
        print(f'run {runs}: {len(wanted) - len(differ)} of {len(wanted)} parts are the same to the bit', *differ[:5], flush=True)
        assert not differ
    print(f'{len(killed)} kills, {runs} runs, every one ended like the one that was never touched')

if __name__ == '__main__': main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
