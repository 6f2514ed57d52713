"The demo page in a real browser: two runs, a sentence, a picture, bad input, and nobody else asked. Needs Chromium, playwright and gradio; skipped where one is missing."
import os, re, shutil, signal, socket, subprocess, sys, time, urllib.request
import pytest

CHROMIUM = next((p for name in ('chromium', 'chromium-browser', 'google-chrome') if (p := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium is installed: apt install chromium')
RUNS = '''
import sys
from dataclasses import replace
from clip_lab.apps.workflow import open_lab, run_experiment
from clip_lab.sources.presets import PRESETS
from clip_lab.scenes import make_scenes
from clip_lab.experiments import BASELINE
make_scenes('scenes', 220, 40)
lab = replace(open_lab(replace(PRESETS['scenes'], root='scenes', drawn=False), 'small'), drawn=False)
for name,seed in (('one', 0), ('two', 1)): run_experiment(lab, BASELINE.but(name=name, epochs=1, seed=seed), ('train', 'evaluate'))
lab.run('two').path('bank').unlink()    # as in a run of an earlier version
'''

SERVE = 'import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from clip_lab.apps.cli import main; sys.exit(main())'    # Ctrl-C reaches it wherever the tests are started

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    pytest.importorskip('gradio'); pytest.importorskip('playwright.sync_api')
    here, port = tmp_path_factory.mktemp('demo'), free_port()
    subprocess.run([sys.executable, '-c', RUNS], cwd=here, check=True, capture_output=True)
    command = [sys.executable, '-c', SERVE, 'demo', '_runs/small/one', '_runs/small/two', '--port', str(port)]
    server = subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for _ in range(2400):
        try: urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f'http://127.0.0.1:{port}', timeout=2); break
        except OSError: assert server.poll() is None, server.stdout.read()
        time.sleep(.5)
    yield here, port, server
    if server.poll() is None: server.kill()

@pytest.fixture
def page(demo):
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        page = browser.new_page(viewport=dict(width=1280, height=1000))
        page.set_default_timeout(600_000)
        page.asked, page.errors = [], []
        page.on('request', lambda r: page.asked.append(r.url)); page.on('pageerror', lambda e: page.errors.append(str(e)))
        page.goto(f'http://127.0.0.1:{demo[1]}')
        page.get_by_label('Sentence', exact=True).wait_for()
        yield page
        browser.close()

def shot(page, name):
    if folder := os.environ.get('SCREENSHOTS'): page.screenshot(path=f'{folder}/{name}.png', full_page=True)

def test_a_sentence_finds_pictures_with_both_runs(demo, page):
    page.get_by_label('Sentence', exact=True).fill('a dog on a beach')
    page.get_by_role('button', name='Find images', exact=True).click()
    for below in page.get_by_text('below the line: nothing there clearly shows that').all(): below.click()
    page.wait_for_function('document.querySelectorAll(".thumbnail-item img, .grid-container img").length >= 12')
    page.get_by_text('Nothing says how sure this is').first.wait_for()    # the second has no bank
    text = page.locator('body').inner_text()
    assert len(re.findall(r'\d\.\d{3}  ?[\d.]+ %', text)) == 6, text    # relevance of the first
    assert page.get_by_role('heading', name='one', exact=True).count() and page.get_by_role('heading', name='two', exact=True).count()
    page.wait_for_function('[...document.querySelectorAll(".grid-container img")].every(i => i.complete && i.naturalWidth > 0)')
    shot(page, 'pictures')
    assert not page.errors and all(u.startswith((f'http://127.0.0.1:{demo[1]}', 'data:', 'blob:')) for u in page.asked), page.asked

def test_a_sentence_that_is_empty_or_too_long_is_said(page):
    page.get_by_role('button', name='Find images', exact=True).click()
    page.get_by_text('Type a sentence first.').first.wait_for()
    page.get_by_label('Sentence', exact=True).fill('dog '*300)
    page.get_by_role('button', name='Find images', exact=True).click()
    page.get_by_text('reads the first 256').first.wait_for()

def test_a_picture_finds_captions_and_is_classified(demo, page):
    picture = sorted((demo[0]/'scenes'/'val').rglob('*.jpg'))[0]
    page.get_by_role('tab', name='Find sentences').click()
    page.get_by_role('button', name='Find sentences', exact=True).click()
    page.get_by_text('Drop an image first.').first.wait_for()
    page.locator('input[type=file]').first.set_input_files(picture)
    page.locator('.image-frame img, [data-testid="detailed-image"], .image-container img').first.wait_for()
    page.get_by_role('button', name='Find sentences', exact=True).click()
    page.get_by_text('The nearest captions of the run').first.wait_for()
    shot(page, 'captions')
    page.get_by_label('Sentences to choose from, one per line').fill('a dog\na cat\na truck')
    page.get_by_role('button', name='Find sentences', exact=True).click()
    page.get_by_text('Probabilities among the sentences given').first.wait_for()
    page.get_by_text('a truck').nth(1).wait_for()
    assert page.get_by_text('relevance', exact=True).count()
    shot(page, 'labels')
    assert not page.errors

def test_it_listens_on_this_machine_only_and_ends_with_ctrl_c(demo):
    here, port, server = demo
    own = next((a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET) if not a[4][0].startswith('127.')), None)
    if own:
        with socket.socket() as s: s.settimeout(2); assert s.connect_ex((own, port)) != 0
    taken = subprocess.run([sys.executable, '-m', 'clip_lab.apps.cli', 'demo', '_runs/small/one', '--port', str(port)], cwd=here, capture_output=True, text=True)
    assert taken.returncode == 2 and f'--port {port}' in taken.stderr.splitlines()[-1]
    server.send_signal(signal.SIGINT)
    assert server.wait(30) in (0, 130)
