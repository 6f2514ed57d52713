"""Every numbered notebook in JupyterLab, driven through a real browser: Run All from a clean kernel.
Needs Chromium (apt install chromium), playwright and JupyterLab; skipped where one is missing."""
import json, os, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path
import pytest

TOP = Path(__file__).resolve().parent.parent
NUMBERED = sorted((TOP/'nbs').glob('[0-9][0-9]_*.ipynb'))
CHROMIUM = next((p for name in ('chromium', 'chromium-browser', 'google-chrome') if (p := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium is installed: apt install chromium')

# all cells are in the page, not only those in sight; nothing is fetched from elsewhere
SETTINGS = {'notebook-extension/tracker': dict(windowingMode='none'), 'apputils-extension/notification': dict(
    fetchNews='false', checkForUpdates=False), 'docmanager-extension/plugin': dict(autosave=False)}

LOADED = "() => [...document.querySelectorAll('.jp-OutputArea img')].every(i => (i.loading = 'eager', i.complete))"
LOOK = """() => [...jupyterapp.shell.currentWidget.content.widgets].map(cell => {
    const code = cell.model.type === 'code';
    return {id: cell.model.id, code, count: code ? cell.model.executionCount : null,
            source: cell.model.sharedModel.source,
            errors: code ? cell.model.outputs.toJSON().filter(o => o.output_type === 'error').map(o => o.evalue) : [],
            pictures: [...cell.node.querySelectorAll('.jp-OutputArea img')].map(i => i.naturalWidth),
            folded: !!cell.node.querySelector('.jp-InputPlaceholder')}
})"""
IS_IDLE = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
HAS_RUN = """() => {
    const codes = jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === 'code' && c.model.sharedModel.source.trim());
    const failed = ({outputs}) => [...Array(outputs.length).keys()].some(i => outputs.get(i).type === 'error');
    return codes.every(c => c.model.executionCount) || codes.some(c => failed(c.model));
}"""

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def copy_of_project(folder):
    "What git knows of the project; data, caches and runs are those of the project itself, where there are any"
    files = subprocess.run(['git', 'ls-files', '-z'], cwd=TOP, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split('\0')):
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP/name, folder/name)
    for name in ('_data', '_cache', '_runs'):
        (TOP/name).mkdir(exist_ok=True)
        (folder/name).symlink_to(TOP/name)
    return folder

@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "The address of a JupyterLab that serves a copy of the project"
    pytest.importorskip('jupyterlab')
    folder, settings, port = copy_of_project(tmp_path_factory.mktemp('lab')), tmp_path_factory.mktemp('settings'), free_port()
    for name,values in SETTINGS.items():
        file = settings/'@jupyterlab'/f'{name}.jupyterlab-settings'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    command = [sys.executable, '-m', 'jupyterlab', '--no-browser', f'--port={port}', '--ip=127.0.0.1', '--allow-root',
               '--IdentityProvider.token=', '--LabApp.expose_app_in_browser=True', f'--LabApp.user_settings_dir={settings}']
    env = {k: v for k,v in os.environ.items() if k != 'MPLBACKEND'} | dict(TQDM_DISABLE='1')    # figures belong into the page
    with (settings/'log.txt').open('w') as log:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    for _ in range(600):
        try: urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f'http://127.0.0.1:{port}/lab', timeout=2); break
        except OSError: assert server.poll() is None, (settings/'log.txt').read_text()
        time.sleep(.5)
    yield f'http://127.0.0.1:{port}'
    server.terminate()
    server.wait(60)

@pytest.fixture(scope='module')
def browser():
    playwright = pytest.importorskip('playwright.sync_api')
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu'])
        yield browser
        browser.close()

@pytest.fixture
def page(browser):
    page = browser.new_page(viewport=dict(width=1280, height=1000))
    page.set_default_timeout(600_000)
    yield page
    page.evaluate("() => window.jupyterapp?.serviceManager.sessions.shutdownAll()")    # a skipped chapter opened none
    page.close()

def run_all(page):
    "What a reader does: Run, Restart Kernel and Run All Cells, Restart; and waits"
    page.locator('.lm-MenuBar-item', has_text='Run').first.click()
    page.locator('.lm-Menu-item', has_text='Restart Kernel and Run All Cells').click()
    page.locator('.jp-Dialog button', has_text='Restart').click()
    page.wait_for_function(HAS_RUN, polling=1000)
    page.wait_for_function(IS_IDLE)    # after the last cell or, if one has failed, the rest is called off

TRAINED = TOP/'_runs'/'scenes'/'mod2'/'metrics.json'    # chapters 14 to 16 train for a quarter of an hour without it

def figures_in(outputs): return sum('image/png' in o.get('data', {}) for o in outputs)

@pytest.mark.parametrize('notebook', NUMBERED, ids=[n.stem for n in NUMBERED])
def test_run_all(lab, page, notebook):
    if notebook.stem[:2] in ('14', '15', '16') and not TRAINED.is_file(): pytest.skip('needs the runs that clip_lab run makes')
    page.goto(f'{lab}/lab/tree/nbs/{notebook.name}?reset')
    page.wait_for_function(IS_IDLE)
    run_all(page)
    page.wait_for_function(LOADED)
    seen = {cell['id']: cell for cell in page.evaluate(LOOK)}
    assert [cell['errors'] for cell in seen.values() if cell['errors']] == []
    cells = [c for c in json.loads(notebook.read_text())['cells'] if c['cell_type'] == 'code']
    assert {c['id'] for c in cells} <= set(seen)
    for cell in cells:
        now = seen[cell['id']]
        assert len(now['pictures']) >= figures_in(cell['outputs']), cell['id']    # some are in HTML
        assert all(width > 100 for width in now['pictures']), cell['id']
        if '#| solution' in now['source']: assert now['folded'], f"solution {cell['id']} lies open"
