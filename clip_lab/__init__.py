"""A CLIP-style image-text retrieval lab. What is offered here is imported when it is first used."""
__version__ = "0.1.0"
import importlib, sys, types, warnings

OFFERED = dict(run='apps.cli', ClipLab='apps.pretrained', info_nce_loss='loss', retrieval_metrics='metrics',
               BASELINE='experiments', MOD1='experiments', MOD2='experiments', BEST='experiments')

def __getattr__(name):
    if name not in OFFERED: raise AttributeError(f'module clip_lab has no attribute {name}')
    return getattr(importlib.import_module(f'clip_lab.{OFFERED[name]}'), name)

def __dir__(): return sorted([*globals(), *OFFERED])

# Until the next version: where modules and names of version 0.1.0 are now
MOVED = dict(experiment='apps.workflow', pretrained='apps.pretrained', search='apps.search', demo='apps.demo',
             readers='sources.readers', cleaning='sources.cleaning', presets='sources.presets', coco='sources.coco',
             files='tools.files', devices='tools.devices', checkpoints='tools.checkpoints')
MOVED_NAMES = dict(load_image='tools.image_files', ImageTransform='images', pixel_batches='images',
                   EXPERIMENTS='experiments', Experiment='experiments', BASELINE='experiments', MOD1='experiments',
                   MOD2='experiments', BEST='experiments')

def moved_name(module, name):
    "What a module had in version 0.1.0, from where it is now, with a warning"
    if name not in MOVED_NAMES: raise AttributeError(f'module {module} has no attribute {name}')
    warnings.warn(f'{module}.{name} is now clip_lab.{MOVED_NAMES[name]}.{name}; the old place goes in the next version',
                  DeprecationWarning, stacklevel=3)
    return getattr(importlib.import_module(f'clip_lab.{MOVED_NAMES[name]}'), name)

def _forwarding(old, new):    # a module that passes on what it is asked for, with a warning
    module = types.ModuleType(f'clip_lab.{old}', f'Moved to clip_lab.{new}')
    def forward(name):
        if name.startswith('__'): raise AttributeError(name)
        warnings.warn(f'clip_lab.{old} is now clip_lab.{new}; the old name goes in the next version',
                      DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(f'clip_lab.{new}'), name)
    module.__getattr__ = forward
    return module

sys.modules |= {f'clip_lab.{old}': _forwarding(old, new) for old,new in MOVED.items()}
