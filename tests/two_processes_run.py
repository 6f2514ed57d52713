"""Trains an experiment for two epochs with a learning rate of zero: the weights stay, and the optimizer's moments are what all gradients of the run come to. Started alone, or by torchrun; arguments: the images, where the run goes, the cache, the experiment.

(Adam divides a gradient by its size: rounding that differs decides where weights go that hardly matter, so weights after some steps cannot be compared.) Dropout is off, whose masks every process draws for itself."""
import sys
from dataclasses import replace
from clip_lab.apps.workflow import open_lab, run_experiment
from clip_lab.sources.presets import choose_preset
from clip_lab.experiments import BEST, EXPERIMENTS

SMALL = dict(best=BEST.but(dropout=0., zoom=1., views=2, heads=2, batch_size=64, learn_temperature=True))
data, out, cache, name = sys.argv[1:]
lab = open_lab(choose_preset('scenes', data), device='cpu', out=out, cache=cache, precision='float32')
run_experiment(replace(lab, drawn=False), (EXPERIMENTS | SMALL)[name].but(lr=0., epochs=2), ('train',))
