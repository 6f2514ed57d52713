"What no notebook can show: real processes that are stopped, killed, limited or started twice."
import fcntl, json, os, pty, re, resource, signal, struct, subprocess, sys, termios, time
import numpy as np, pandas as pd, pytest, torch
from pathlib import Path
from safetensors import safe_open
from clip_lab.tools.checkpoints import load_tensors
from clip_lab.scenes import make_scenes

@pytest.fixture(scope='module')
def scenes(tmp_path_factory): return make_scenes(tmp_path_factory.mktemp('data')/'scenes', 60, 30)

def command(*options):
    "A process that Ctrl-C reaches wherever the tests are started"
    return [sys.executable, '-c', 'import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from clip_lab.apps.cli import main; sys.exit(main())', *map(str, options)]

def lab(what, where, scenes, *options): return command(what, '--data', scenes, '--out', where/'runs', '--cache', where/'cache', '--device', 'cpu', *options)

def call(*args, **kwargs): return subprocess.run(*args, capture_output=True, text=True, **kwargs)

def start_and_wait_for(file, args):
    "Start a process and wait until it has written a file"
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.time() + 1200
    while not file.exists() and process.poll() is None and time.time() < end: time.sleep(.05)
    assert file.exists() and process.poll() is None, process.communicate()
    return process

def assert_whole(folder):
    "Every file in a folder can be read to its end"
    for file in folder.rglob('*'):
        if file.suffix == '.json': json.loads(file.read_text())
        if file.suffix == '.csv': pd.read_csv(file)
        if file.suffix == '.npy': np.load(file, allow_pickle=False)
        if file.suffix == '.safetensors':
            with safe_open(file, 'pt') as f: [f.get_tensor(k) for k in f.keys()]

@pytest.fixture(scope='module')
def uninterrupted(scenes, tmp_path_factory):
    where = tmp_path_factory.mktemp('uninterrupted')
    done = call(lab('train', where, scenes, '--experiments', 'mod1', '--epochs', 16))
    assert done.returncode == 0, done.stderr
    return pd.read_csv(where/'runs'/'scenes'/'mod1'/'history.csv').drop(columns='seconds')

@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(how, scenes, uninterrupted, tmp_path):
    args, run = lab('run', tmp_path, scenes, '--experiments', 'mod1', '--epochs', 16), tmp_path/'runs'/'scenes'/'mod1'
    process = start_and_wait_for(run/'history.csv', args)
    process.send_signal(how)
    said = process.communicate()[1]
    assert_whole(tmp_path)
    assert not (run/'metrics.json').exists(), said
    assert len(pd.read_csv(run/'history.csv')) < 16
    if how == signal.SIGINT:
        assert process.returncode == 130 and 'Traceback' not in said and 'interrupted' in said
        assert not list(tmp_path.rglob('*.part'))
    again = call(args)
    assert again.returncode == 0, again.stderr
    pd.testing.assert_frame_equal(pd.read_csv(run/'history.csv').drop(columns='seconds'), uninterrupted)
    assert json.loads((run/'metrics.json').read_text())['n_images'] == 30

def test_a_full_disk_gets_one_line_and_loses_nothing(scenes, tmp_path):
    "A limit on the size of files stands in for the disk: the checkpoint of 9 MB does not fit"
    args = lab('run', tmp_path, scenes, '--experiments', 'baseline', '--epochs', 1)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    done = call(args, preexec_fn=limit)
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    assert line.startswith('clip_lab: ') and 'best.safetensors' in line and '--out' in line
    assert_whole(tmp_path)
    assert not list(tmp_path.rglob('*.part')) and not list(tmp_path.rglob('best.safetensors'))
    assert call(args).returncode == 0
    before = {f: f.read_bytes() for f in (tmp_path/'runs'/'scenes'/'baseline').rglob('*.*')}
    assert before and call([*args, '--force'], preexec_fn=limit).returncode == 2
    assert {f: f.read_bytes() for f in before} == before

@pytest.mark.parametrize('options, part', [
    (['run', '--data', 'no/such/folder'], 'no/such/folder: no such folder'),
    (['run', '--out', '/dev/null/runs'], '--out /dev/null/runs'),
    (['train', '--experiments', 'mod7'], '--experiments mod7'),
    (['fly'], 'invalid choice')])
def test_bad_input_gets_one_line_and_status_2(options, part, tmp_path):
    done = call(command(*options), cwd=tmp_path)
    assert done.returncode == 2 and part in done.stderr
    assert done.stderr.startswith('clip_lab: ') and len(done.stderr.strip().splitlines()) == 1

def test_two_processes_may_share_a_cache(scenes, tmp_path):
    args = [command('train', '--data', scenes, '--experiments', 'baseline', '--epochs', 1, '--cache', tmp_path/'cache', '--out', tmp_path/f'runs{i}') for i in (1, 2)]
    both = [subprocess.Popen(a, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for a in args]
    said = [p.communicate()[1] for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert_whole(tmp_path)
    histories = [pd.read_csv(tmp_path/f'runs{i}'/'scenes'/'baseline'/'history.csv').drop(columns='seconds') for i in (1, 2)]
    pd.testing.assert_frame_equal(*histories)

COMPUTE = """
import sys, time
import numpy as np
from clip_lab.cache import cached_vectors
def compute(todo):
    for i in todo: print(i, flush=True); time.sleep(.005); yield [i], np.full((1, 4), i)
vectors = cached_vectors(sys.argv[1], 'slow', {}, [str(i) for i in range(200)], 4, compute, seconds=0)
assert vectors[:].tolist() == [[i]*4 for i in range(200)]
"""

def test_a_killed_computation_goes_on_where_it_was(tmp_path):
    args = [sys.executable, '-c', COMPUTE, str(tmp_path)]
    process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    first = [int(process.stdout.readline()) for _ in range(60)]
    process.kill()
    first += [int(line) for line in process.stdout.read().split()]      # until it was killed it went on
    process.wait()
    again = call(args)
    assert again.returncode == 0, again.stderr
    second = [int(line) for line in again.stdout.split()]
    assert set(first + second) == set(range(200)) and len(set(first) & set(second)) <= 1      # at most the one that was being written

def test_two_processes_compute_each_vector_once(tmp_path):
    both = [subprocess.Popen([sys.executable, '-c', COMPUTE, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [int(line) for p in both for line in p.communicate()[0].split()]
    assert [p.returncode for p in both] == [0, 0]
    assert sorted(printed) == list(range(200))

def test_a_terminal_shows_progress_and_the_time_that_remains(scenes, tmp_path):
    main_end, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 120, 0, 0))
    process = subprocess.Popen(lab('train', tmp_path, scenes, '--experiments', 'mod2', '--epochs', 6), stdout=subprocess.DEVNULL, stderr=end, env={k: v for k,v in os.environ.items() if k != 'TQDM_DISABLE'})
    os.close(end)
    seen = b''
    try:
        while chunk := os.read(main_end, 4096): seen += chunk
    except OSError: pass
    assert process.wait() == 0
    assert re.search(rb'training mod2: +\d+%.*\d+/1800 \[\d\d:\d\d<\d\d:\d\d', seen), seen[-500:]

def test_the_package_is_imported_without_loading_models():
    done = call([sys.executable, '-c', 'import sys, clip_lab.apps.cli; sys.exit("transformers" in sys.modules)'])
    assert done.returncode == 0, done.stderr

def alone(*command): return call([sys.executable, *map(str, command)], env=os.environ | dict(OMP_NUM_THREADS='1'))

def together(*command): return call([sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2', *map(str, command)], env=os.environ | dict(OMP_NUM_THREADS='1'))

def test_a_step_of_two_processes_is_the_step_of_one():
    done = together(Path(__file__).with_name('two_processes.py'))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('of 13 pairs') == 2

@pytest.mark.parametrize('name', ['baseline', 'mod1', 'mod2', 'best'])
def test_the_gradients_of_two_processes_are_those_of_one(name, scenes, tmp_path_factory):
    "For best: whole images, several captions each, heads, text maps, mixed captions, averaged weights and a trained temperature"
    script, where = Path(__file__).with_name('two_processes_run.py'), tmp_path_factory.mktemp(name)
    for start,out in (alone, where/'one'), (together, where/'two'):
        done = start(script, scenes, out, where/'cache', name)
        assert done.returncode == 0, done.stderr
    runs = [where/out/'scenes'/name for out in ('one', 'two')]
    losses = [pd.read_csv(r/'history.csv')[['train_loss', 'val_loss']].to_numpy() for r in runs]
    assert (abs(losses[0] - losses[1])/losses[0]).max() < 1e-5
    one, two = (load_tensors(r/'last'/'checkpoint.safetensors')[0] for r in runs)
    def of_both(what): return [torch.cat([v.double().flatten() for k,v in sorted(t.items()) if what in k]) for t in (one, two)]
    for moment in ('/exp_avg', '/exp_avg_sq'):
        a, b = of_both(moment)
        assert len(a) > 1e6 and a.norm() > 0 and (a - b).norm() < 1e-3*a.norm()            # gradients of a run cancel out in their mean, their rounding does not
    assert any('running' in k for k in one) == (name in ('mod2', 'best'))
    if name in ('mod2', 'best'):
        a, b = of_both('running')
        assert (a - b).norm() < 1e-4*a.norm()

def test_the_command_runs_in_two_processes(scenes, tmp_path):
    options = ['train', '--data', scenes, '--cache', tmp_path/'cache', '--device', 'cpu', '--precision', 'float32', '--experiments', 'baseline,mod2', '--epochs', '1', '--out', tmp_path/'two']
    launch = ['-m', 'accelerate.commands.launch', '--multi_gpu', '--num_processes', '2', '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no', '-m', 'clip_lab.apps.cli']
    both = call([sys.executable, *launch, *map(str, options)], env=os.environ | dict(OMP_NUM_THREADS='1'))
    assert both.returncode == 0, both.stderr
    assert both.stdout.count('mod2: trained 1 epochs') == 1                 # one of them talks

SHARE = """
import sys
import numpy as np
from clip_lab.cache import cached_vectors
from clip_lab.tools.devices import pick_device
from clip_lab.tools.parallel import process, wait_for_all
pick_device('cpu')
computed = []
def compute(todo):
    for i in todo:
        computed.append(i)
        yield [i], np.full((1, 4), i)
vectors = cached_vectors(sys.argv[1], 'shared', {}, [str(i) for i in range(200)], 4, compute, seconds=0, part=process(), wait=wait_for_all)
assert vectors[:].tolist() == [[i]*4 for i in range(200)]
import os
os.write(1, (' '.join(map(str, ['computed', *computed])) + '\\n').encode())      # in one piece: both processes write to one pipe
"""

def test_two_processes_of_a_run_share_the_embedding_of_a_set(tmp_path):
    (tmp_path/'share.py').write_text(SHARE)
    for there in (200, 0):                                                      # the second time everything is in the cache
        done = together(tmp_path/'share.py', tmp_path/'cache')
        assert done.returncode == 0, done.stderr
        shares = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith('computed')]
        assert len(shares) == 2 and sorted(int(i) for s in shares for i in s) == list(range(there))
        assert there == 0 or min(map(len, shares)) > 50
