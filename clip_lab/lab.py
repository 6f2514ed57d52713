"The command line was here in version 0.1.0; it is now in clip_lab.apps.cli. This module goes in the next version."
import importlib, sys, warnings

def __getattr__(name):
    if name.startswith('__'): raise AttributeError(name)
    warnings.warn('clip_lab.lab is now clip_lab.apps.cli', DeprecationWarning, stacklevel=2)
    return getattr(importlib.import_module('clip_lab.apps.cli'), name)

if __name__ == '__main__': sys.exit(importlib.import_module('clip_lab.apps.cli').main())
