"""Execute notebooks in place, all of them or those that are named, two at a time and without progress bars, and write
down in nbs/executed.json when and on what. Ends with status 1 if one fails."""
import json, os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
CODE = 'import sys; from execnb.shell import CaptureShell; CaptureShell().execute(*sys.argv[1:], exc_stop=True)'

def notebooks():
    "All notebooks of the site"
    found = (p for p in (TOP/'nbs').rglob('*.ipynb') if not any(part[0] in '._' for part in p.relative_to(TOP).parts))
    return [TOP/'index.ipynb', *sorted(found)]

def clear(file):
    "Take the outputs out of a notebook; a cell that shows nothing any more would keep what it showed"
    notebook = json.loads(file.read_text())
    for cell in notebook['cells']:
        if cell['cell_type'] == 'code': cell['outputs'] = []
    file.write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + '\n')

def execute(file):
    "Run a notebook in its folder, which it may leave; the last line of an error, empty if there is none"
    clear(file)
    done = subprocess.run([sys.executable, '-c', CODE, file.name, file], cwd=file.parent, capture_output=True, text=True,
                          env=os.environ | dict(TQDM_DISABLE='1', OMP_NUM_THREADS='1', IN_TEST='1'))
    return '' if done.returncode == 0 else (done.stderr.strip().splitlines() or ['?'])[-1]

def write_down():
    "When and on what the outputs were computed"
    from clip_lab.tools.devices import hardware, pick_device
    device = pick_device()
    about = dict(date=date.today().isoformat(), hardware=hardware(device), precision=device.computes_in)
    (TOP/'nbs'/'executed.json').write_text(json.dumps(about, indent=1) + '\n')

def main():
    files = [Path(name).resolve() for name in sys.argv[1:]] or notebooks()
    with ThreadPoolExecutor(2) as pool: failed = {f: e for f,e in zip(files, pool.map(execute, files)) if e}
    for file,error in failed.items(): print(f'{file.relative_to(TOP)}: {error}')
    if not sys.argv[1:] and not failed: write_down()
    print(f'{len(files) - len(failed)} executed, {len(failed)} failed')
    return bool(failed)

if __name__ == '__main__': sys.exit(main())
