"""Trains `best` for two epochs, small and without dropout, whose masks every process draws for itself. Started alone, or by torchrun; arguments: the pictures, where the run goes, the cache."""
import sys
from dataclasses import replace
from clip_lab.devices import use_precision
from clip_lab.experiment import open_lab, run_experiment
from clip_lab.presets import choose_preset
from clip_lab.train import BEST

data, out, cache = sys.argv[1:]
with use_precision('float32'):
    lab = replace(open_lab(choose_preset('scenes', data), device='cpu', out=out, cache=cache), drawn=False)
    run_experiment(lab, replace(BEST, dropout=0., zoom=1., views=2, heads=2, batch_size=64, epochs=2, learn_temperature=True), ('train',))
