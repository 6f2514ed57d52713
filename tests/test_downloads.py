"What no notebook can show of downloads: real processes that are killed, interrupted or started twice."
import random, signal, subprocess, sys, time
import pytest
from faulty_server import FaultyServer

BODY = random.Random(0).randbytes(1_000_000)

@pytest.fixture
def server():
    with FaultyServer() as s: yield s

def start(code, *args):
    "A process that does something with downloads; Ctrl-C reaches it wherever the tests are started"
    code = f'import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom clip_lab.sources.download import *\nargs = sys.argv[1:]\n{code}'
    return subprocess.Popen([sys.executable, '-c', code, *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

def start_download(url, file): return start('download(*args)', url, file)

def wait_for(condition, process):
    "Wait until something is so while a process runs"
    end = time.time() + 600
    while not condition() and process.poll() is None and time.time() < end: time.sleep(.01)
    assert condition() and process.poll() is None, process.communicate()

def names(folder): return sorted(p.name for p in folder.iterdir())

@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_download_goes_on_where_it_was(how, server, tmp_path):
    url, file, part = server.serve('/a.zip', BODY, hold=400_000, times=1), tmp_path/'a.zip', tmp_path/'.a.zip.download'
    process = start_download(url, file)
    wait_for(lambda: part.exists() and part.stat().st_size > 300_000, process)      # the server sends 400,000 bytes and then holds its breath
    process.send_signal(how)
    said = process.communicate()[1]
    assert process.returncode != 0 and (how == signal.SIGKILL or 'KeyboardInterrupt' in said)
    assert names(tmp_path) == ['.a.zip.download', '.a.zip.download.json', '.a.zip.lock']
    have = part.stat().st_size
    assert 300_000 < have <= 400_000
    again = start_download(url, file)
    assert again.communicate()[1] == '' and again.returncode == 0
    assert file.read_bytes() == BODY and names(tmp_path) == ['.a.zip.lock', 'a.zip']
    assert server.ranges('/a.zip') == [None, f'bytes={have}-']

def test_two_processes_that_want_the_same_file_fetch_it_once(server, tmp_path):
    url, file = server.serve('/a.zip', BODY, hold=400_000), tmp_path/'a.zip'
    first = start_download(url, file)
    wait_for(lambda: (tmp_path/'.a.zip.download').exists(), first)
    second = start_download(url, file)
    assert 'another process is downloading it' in second.stderr.readline()
    server.go.set()
    assert [p.communicate()[1] for p in (first, second)] == ['', ''] and [p.returncode for p in (first, second)] == [0, 0]
    assert file.read_bytes() == BODY and names(tmp_path) == ['.a.zip.lock', 'a.zip']
    assert server.ranges('/a.zip') == [None]

def test_an_interruption_among_many_files_leaves_whole_ones_and_no_queue(server, tmp_path):
    for i in range(400): server.serve(f'/{i}.jpg', BODY[:50_000], slow=.03)
    process = start('download_all([(f"{args[0]}/{i}.jpg", f"{args[1]}/{i}.jpg") for i in range(400)], "pictures")', server.address, tmp_path)
    wait_for(lambda: list(tmp_path.glob('*.jpg')), process)
    process.send_signal(signal.SIGINT)
    assert 'KeyboardInterrupt' in process.communicate()[1]
    assert all(p.suffix == '.jpg' and p.read_bytes() == BODY[:50_000] for p in tmp_path.iterdir())
    assert len(server.log) < 400
