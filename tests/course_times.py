"Measure how long the cells of each chapter take but those that are slow, and write it next to the module: python tests/course_times.py"
import os, subprocess, sys, tempfile, time
from pathlib import Path
from clip_lab.apps import course
from clip_lab.tools.files import write_json

RUN = """
import json, sys
from clip_lab.apps.course import _prefix, _run
from execnb.shell import CaptureShell
shell = CaptureShell()
for source in _prefix(json.loads(open(sys.argv[1]).read())['cells'], False):    # without the training of whole experiments
    if why := _run(shell, source): sys.exit(why)
"""

def main():
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        here = course.make_course(Path(folder)/'course')
        for chapter in course.chapters(here):
            start = time.perf_counter()
            subprocess.run([sys.executable, '-c', RUN, chapter.name], cwd=here, check=True, env=os.environ | dict(TQDM_DISABLE='1', MPLBACKEND='agg', OMP_NUM_THREADS='1'))
            seconds[chapter.name] = round(time.perf_counter() - start, 1)
            print(chapter.name, seconds[chapter.name], flush=True)
    write_json(Path(course.__file__).parent/'course_times.json', dict(cores=os.cpu_count(), seconds=seconds))

if __name__ == '__main__': main()
