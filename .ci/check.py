#!/usr/bin/env python3
"""Everything that is checked before a change lands, in a virtual environment of its own. The last line counts the tests."""
import hashlib, os, re, shutil, subprocess, sys, time, venv
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
VENV = TOP/'.ci-venv'
START = time.time()
CPU = Path('/proc/cpuinfo')
NARROW = CPU.is_file() and 'avx512' not in CPU.read_text()    # a processor without AVX512 and bfloat16

def free_disk(): return shutil.disk_usage(TOP).free/2**30

def sh(command):
    "Run a command in the environment, pass its output through, return status and output"
    env = os.environ | dict(PATH=f'{VENV/"bin"}{os.pathsep}{os.environ["PATH"]}', VIRTUAL_ENV=str(VENV), TQDM_DISABLE='1', MPLBACKEND='agg', PIP_NO_CACHE_DIR='1', OMP_NUM_THREADS='1')    # notebooks and test files run side by side, one a core
    print(f'\n[{time.time()-START:.0f} s, {free_disk():.0f} GB free] {command}', flush=True)
    process = subprocess.Popen(command, shell=True, cwd=TOP, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, executable='/bin/bash')
    lines = []
    for line in process.stdout: lines.append(line); print(line, end='', flush=True)
    return process.wait(), ''.join(lines)

def state(pattern): return {f: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(TOP.glob(pattern)) if not any(p[0] in '._' for p in f.relative_to(TOP).parts[:-1])}

def unchanged(command, *patterns):
    "Whether a command succeeds and leaves the files as they are"
    before = [state(p) for p in patterns]
    status, _ = sh(command)
    changed = [str(f.relative_to(TOP)) for p,b in zip(patterns, before) for f,h in state(p).items() if b.get(f) != h]
    if changed: print(f'{command} changed {", ".join(changed)}: commit what it makes')
    return status == 0 and not changed

def notebooks(status, output):
    "How many notebooks passed and failed"
    total = len(state('**/*.ipynb'))
    listed = re.search(r'nbdev Tests Failed On The Following Notebooks:\n=+\n(.*?)(\n\n|\Z)', output, re.S)
    failed = len(re.findall(r'\.ipynb', listed[1])) if listed else 0 if status == 0 or re.search(r'\d+ passed', output) else total
    return total - failed, failed

def main():
    print(f'{free_disk():.0f} GB of disk are free; the environment takes 7, the tests up to 6', flush=True)
    venv.create(VENV, clear=True, with_pip=True)
    if not any(map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))): sh('apt-get update -qq && apt-get install -yqq --no-install-recommends chromium')     # the tests of the site want a browser
    shutil.rmtree(TOP/'_docs', ignore_errors=True)
    test = next(line.strip() for line in (TOP/'README.md').read_text().splitlines() if 'nbdev_test && pytest' in line)    # as the README says it
    status, output = sh(test)
    passed, failed = notebooks(status, output)
    for n,word in re.findall(r'(\d+) (passed|failed|error)', (output.strip().splitlines() or [''])[-1]):       # pytest's own line
        passed, failed = (passed + int(n), failed) if word == 'passed' else (passed, failed + int(n))
    plain = 'CLIP_LAB_PRECISION=float32 ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2'        # as on most laptops
    parts = 'big_set_up' if NARROW else '05_features|11_train|cli|big_set_up'        # a narrow machine has run the others like this above
    checks = {'encoders, training, the lab and the big set-up on stand-ins, in float32 without AVX512':
                  sh(f"{plain} nbdev_test --flags slow --path nbs --file_re '^({parts})'")[0] == 0,
              'nbdev_export changes nothing': unchanged('nbdev_export', 'clip_lab/**/*.py'),
              'lines are short and hold one statement': sh('python .ci/style.py')[0] == 0,
              'the notebooks are clean': unchanged('nbdev_clean', '**/*.ipynb'),
              'the site is whole': (TOP/'_docs'/'index.html').is_file() or sh('clip_lab site')[0] == 0,    # its tests make it
              'README.md says what index.ipynb says': sh('python .ci/readme.py --check')[0] == 0}
    for name,good in checks.items(): print(f'{"ok    " if good else "FAILED"} {name}')
    passed, failed = passed + sum(checks.values()), failed + len(checks) - sum(checks.values())
    if status and not failed: failed = 1
    print(f'[{time.time()-START:.0f} s]\n{passed} passed, {failed} failed')
    return int(failed > 0 or passed == 0)

if __name__ == '__main__': sys.exit(main())
