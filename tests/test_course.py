"What no notebook can show: real processes, notebooks that mean harm, and every check against its solution and its stub."
import json, os, signal, subprocess, sys, time
import pytest
from pathlib import Path
from clip_lab.apps import course
from clip_lab.tools.sandbox import what_holds

LINUX = sys.platform == 'linux'
HELD = what_holds()
pytestmark = pytest.mark.skipif(not LINUX, reason='answers are contained on Linux only')

QUESTIONS = {1: ('total', 'test_eq(total([1, 2]), 3)'), 2: ('largest', 'test_eq(largest([1, 2]), 2)'), 3: ('first', 'test_eq(first([1, 2]), 1)')}
HONEST = 'def total(numbers): return sum(numbers)'

def cell(kind, source, id): return dict(cell_type=kind, source=source, id=id, metadata={}) | (dict(outputs=[], execution_count=None) if kind == 'code' else {})

def chapter():
    cells = [cell('markdown', '# Small\n\n> A chapter', 'a'), cell('code', 'from fastcore.test import test_eq', 'b')]
    for n,(name,check) in QUESTIONS.items():
        cells += [cell('markdown', f'### Exercise {n}: {name}\n\nWrite it.', f'q{n}'), cell('code', f'#| exercise {n}\ndef {name}(numbers):\n    ...', f'e{n}'),
                  cell('code', f'#| solution {n}\ndef {name}(numbers): return numbers[0]', f's{n}'), cell('code', f'#| check {n}\n{check}', f'c{n}')]
    return dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)

@pytest.fixture
def small(tmp_path):
    (tmp_path/'small'/'results').mkdir(parents=True)
    (tmp_path/'small'/'00_small.ipynb').write_text(json.dumps(chapter()))
    return tmp_path/'small'

def hand_in(small, name, answers):
    "A student's folder with these answers"
    folder = course.make_course(small.parent/name, source=small)
    file = folder/'00_small.ipynb'
    notebook = json.loads(file.read_text())
    for c in notebook['cells']:
        role = course.role_of(c)
        if role and role[0] == 'exercise' and role[1] in answers: c['source'] = f'#| exercise {role[1]}\n{answers[role[1]]}'
    file.write_text(json.dumps(notebook))
    return folder

def states(small, *folders, seconds=3): return [[(r.state, r.why) for r in results] for results in course.check_course(list(folders), seconds, source=small).values()]

HARM = dict(
    endless='while True: pass',
    sleeps='import time\ntime.sleep(1000)',
    syntax='def total(numbers: return',
    exits='import os\nos._exit(0)',
    quits='import sys\nsys.exit(0)',
    kills_itself='import os, signal\nos.kill(os.getpid(), signal.SIGKILL)',
    stops='import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)',
    forks='import os\nwhile True: os.fork()',
    leaves='import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\nelse: os._exit(0)',
    grows='x = bytes(2**36)',
    fills='with open("big", "wb") as f:\n    for _ in range(10**4): f.write(bytes(2**24))',
    deep='def f(): return f()\nf()',
    crashes='import ctypes\nctypes.string_at(0)',
    prints='while True: print("clip_lab-result {}")',
    no_tests='def test_eq(a, b): pass\ndef total(numbers): return 0')
if HELD['processes']:
    HARM |= dict(kills_parent='import os, signal\nos.kill(os.getppid(), signal.SIGKILL)', kills_all='import os, signal\nos.kill(-1, signal.SIGKILL)')

@pytest.mark.parametrize('name', HARM)
def test_an_answer_that_means_harm_is_one_line_and_the_others_are_checked(name, small):
    harm = hand_in(small, 'harm', {1: HARM[name], 3: 'def first(numbers): return numbers[0]'})
    good = hand_in(small, 'good', {1: HONEST})
    before = {p: p.read_bytes() for folder in (harm, good, small) for p in folder.rglob('*') if p.is_file()}
    bad, fine = states(small, harm, good)
    assert bad[0][0] == 'fails' and bad[0][1] and '\n' not in bad[0][1] and len(bad[0][1]) < 300, bad
    assert bad[1:] == [('not started', ''), ('passes', '')]
    assert fine == [('passes', ''), ('not started', ''), ('not started', '')]
    assert {p: p.read_bytes() for p in before} == before
    deadline = time.time() + 10
    while (left := subprocess.run(['pgrep', '-g', '0', '-f', 'time.sleep.1000'], capture_output=True, text=True).stdout) and time.time() < deadline: time.sleep(.2)
    assert not left

@pytest.mark.skipif(not HELD['files'], reason='this system has no Landlock')
@pytest.mark.parametrize('way', ['open({!r}, "w").write("x")', 'import shutil\nshutil.rmtree({!r})', 'import os\nos.symlink("/", {!r} + "/link")', 'import subprocess\nsubprocess.run(["touch", {!r} + "/x"], check=True)'])
def test_nothing_outside_the_folder_is_written(way, small, tmp_path):
    outside = tmp_path/'outside'
    outside.mkdir()
    (outside/'kept').write_text('kept')
    target = str(outside/'new') if way.startswith('open') else str(outside)
    (bad,) = states(small, hand_in(small, 'writer', {1: way.format(target) + '\n' + HONEST}))
    assert bad[0][0] == 'fails'
    assert [p.name for p in outside.iterdir()] == ['kept'] and (outside/'kept').read_text() == 'kept'

@pytest.mark.skipif(not HELD['private copy'], reason='this system has no namespaces')
def test_students_cannot_leave_anything_for_each_other(small):
    leave = 'from pathlib import Path\nPath("left").write_text("x")\n' + HONEST
    find = 'from pathlib import Path\nassert not Path("left").exists()\n' + HONEST
    one, other = states(small, hand_in(small, 'one', {1: leave}), hand_in(small, 'other', {1: find}))
    assert one[0] == other[0] == ('passes', '')

def test_files_next_to_a_notebook_can_be_read(small):
    folder = hand_in(small, 'helper', {1: 'from mine import total'})
    (folder/'mine.py').write_text(HONEST)
    (result,) = states(small, folder)
    assert result[0] == ('passes', '')

@pytest.mark.parametrize('text', ['', 'not JSON', '[' * 10_000, '{"cells": {}}', '\x00\x01'])
def test_a_damaged_notebook_is_one_line(text, small):
    folder, good = hand_in(small, 'damaged', {}), hand_in(small, 'good', {1: HONEST})
    (folder/'00_small.ipynb').write_text(text)
    bad, fine = states(small, folder, good)
    assert all(state == 'fails' and 'not a notebook' in why for state,why in bad) and fine[0] == ('passes', '')

def test_a_notebook_that_is_gone_renamed_or_without_its_cells(small):
    gone, renamed, empty = (hand_in(small, n, {1: HONEST}) for n in ('gone', 'renamed', 'empty'))
    (gone/'00_small.ipynb').unlink()
    (renamed/'00_small.ipynb').rename(renamed/'Lösung von mir.ipynb')
    notebook = json.loads((empty/'00_small.ipynb').read_text())
    notebook['cells'] = [c for c in notebook['cells'] if c['id'] not in ('e1', 'e2')]
    (empty/'00_small.ipynb').write_text(json.dumps(notebook))
    of_gone, of_renamed, of_empty = states(small, gone, renamed, empty)
    assert {s for s,_ in of_gone} == {'notebook missing'} and of_renamed[0] == ('passes', '')
    assert [s for s,_ in of_empty] == ['fails', 'fails', 'not started'] and 'its cell is gone' in of_empty[0][1]

def test_without_a_sandbox_answers_are_still_checked_one_process_each(small, monkeypatch):
    monkeypatch.setattr(course, 'what_holds', lambda: dict.fromkeys(('files', 'processes', 'private copy'), False))
    monkeypatch.setattr(course.sys, 'platform', 'darwin')
    one, other = states(small, hand_in(small, 'one', {1: HONEST, 2: 'import os\nos._exit(0)', 3: 'def first(n): return n[0]'}), hand_in(small, 'other', {1: HONEST}))
    assert [s for s,_ in one] == ['passes', 'fails', 'passes'] and other[0] == ('passes', '')

def command(*words, cwd): return subprocess.run([sys.executable, '-c', 'import sys; from clip_lab.apps.cli import main; sys.exit(main())', *map(str, words)], cwd=cwd, capture_output=True, text=True)

def test_the_command_ends_with_0_1_or_2(tmp_path):
    assert command('course', 'mine', cwd=tmp_path).returncode == 0
    again = command('course', 'mine', cwd=tmp_path)
    assert again.returncode == 2 and 'holds notebooks' in again.stderr and again.stderr.count('\n') == 1
    none = command('check', 'mine', '--json', 'out.json', cwd=tmp_path)
    assert none.returncode == 1 and none.stdout.splitlines()[-1].startswith('0 of ')
    assert json.loads((tmp_path/'out.json').read_text())['students'][0]['passed'] == 0
    for wrong in (['check'], ['check', 'nowhere'], ['check', 'mine', '--seconds', '0'], ['course', 'out.json']):
        done = command(*wrong, cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.count('\n') == 1, (wrong, done.stderr)

@pytest.mark.parametrize('name', [c.name for c in course.chapters() if course.read_exercises(c)])
def test_each_check_passes_its_solution_and_not_its_stub(name):
    "Without the exercises that train whole experiments"
    file = course.course_folder()/name
    exercises = [e for e in course.read_exercises(file) if not e.slow]
    results = [course.Result(e, answer=source, file=file) for e in exercises for source in (e.solution, e.exercise)]
    course._try_answers(file, results, 600, False, True)
    said = [(r.exercise.name, r.state) for r in results]
    assert said == [(e.name, state) for e in exercises for state in ('passes', 'fails')], [(r.exercise.name, r.why) for r in results]
