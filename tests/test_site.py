"The site in a real browser, from files, without a network. Needs Chromium (apt install chromium) and playwright; skipped where there is none."
import json, re, shutil, subprocess, sys
from pathlib import Path
import pandas as pd, pytest

TOP = Path(__file__).resolve().parent.parent
SITE, RESULTS = TOP/'_docs', TOP/'nbs'/'results'
CHROMIUM = next((p for name in ('chromium', 'chromium-browser', 'google-chrome') if (p := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium is installed: apt install chromium')
DESKTOP, PHONE = dict(width=1280, height=900), dict(width=390, height=844)

@pytest.fixture(scope='module')
def pages():
    subprocess.run([sys.executable, '-c', 'import sys; from clip_lab.apps.cli import main; sys.exit(main(["site"]))'], cwd=TOP, check=True)
    return sorted(SITE.rglob('*.html'))

@pytest.fixture(scope='module')
def chromium(pages):
    playwright = pytest.importorskip('playwright.sync_api')
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu'])
        yield browser
        browser.close()

def patient(context):
    "A context that waits as long as a busy machine needs"
    context.set_default_timeout(600_000)
    return context

@pytest.fixture
def open_page(chromium):
    contexts = []
    def visit(name, size=DESKTOP, **options):
        contexts.append(patient(chromium.new_context(viewport=size, **options)))
        page = contexts[-1].new_page()
        page.goto((SITE/name).as_uri())
        return page
    yield visit
    for c in contexts: c.close()

def violations(page):
    "What axe finds that is serious"
    Axe = pytest.importorskip('axe_playwright_python.sync_playwright').Axe()
    found = Axe.run(page, options=dict(resultTypes=['violations'], preload=False)).response['violations']
    return [f"{v['id']}: {n['html'][:150]}" for v in found if v['impact'] in ('serious', 'critical') for n in v['nodes'][:2]]

def is_read(file): return SITE/'source' not in file.parents or file == SITE/'source'/'clip_lab'/'loss.html'    # one page of code for all

@pytest.fixture(scope='module')
def seen(chromium, pages):
    "What is wrong with each page; all are opened once, on a desk, and then made as narrow as a phone"
    context = patient(chromium.new_context(viewport=DESKTOP, color_scheme='light'))
    page, said = context.new_page(), []
    page.on('request', lambda r: said.append(r.url) if not r.url.startswith(('file:', 'data:', 'blob:')) else None)
    page.on('console', lambda m: said.append(m.text) if m.type in ('error', 'warning') else None)
    page.on('pageerror', lambda e: said.append(str(e)))
    found = dict(errors={}, titles={}, accessibility={}, sideways={})
    for file in pages:
        name = str(file.relative_to(SITE))
        page.set_viewport_size(DESKTOP)
        page.goto(file.as_uri())
        page.evaluate('() => { window.scrollTo(0, document.body.scrollHeight) }')
        found['titles'][name] = bool(page.title()) and page.locator('h1').count() == 1
        found['errors'][name], said[:] = list(said), []
        found['accessibility'][name] = violations(page) if is_read(file) else []
        page.set_viewport_size(PHONE)
        found['sideways'][name] = max(0, page.evaluate('document.scrollingElement.scrollWidth - innerWidth'))
    context.close()
    return found

def wrong(found): return {name: what for name,what in found.items() if what}

def test_every_page_opens_without_a_request_or_an_error(seen):
    assert len(seen['titles']) > 35 and all(seen['titles'].values())
    assert wrong(seen['errors']) == {}

def test_no_page_scrolls_sideways_on_a_phone(seen): assert wrong(seen['sideways']) == {}

def test_every_page_is_accessible(seen): assert wrong(seen['accessibility']) == {}

def test_dark_pages_are_accessible(open_page):
    for name in ('index', 'nbs/loss', 'nbs/metrics', 'nbs/lab_report', 'nbs/guide/glossary'):
        assert violations(open_page(f'{name}.html', color_scheme='dark')) == [], name

def test_parameters_fit_a_phone(open_page):
    for name in ('nbs/apps/cli.html', 'nbs/sources/coco.html', 'nbs/guide/names.html'):
        page = open_page(name, PHONE)
        inside = 'all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText.slice(0, 99))'
        assert page.locator('.parameters').count() and page.locator('.parameters').evaluate_all(inside) == [], name

def test_dark_and_light(open_page):
    def brightness(scheme): return sum(map(int, re.findall(r'\d+', open_page('index.html', color_scheme=scheme).evaluate('getComputedStyle(document.body).backgroundColor'))[:3]))
    assert brightness('dark') < 200 < 600 < brightness('light')

def test_search_finds_a_function(open_page):
    page = open_page('index.html')
    page.locator('.smalldocs-search input:visible').fill('info_nce_loss')
    page.locator('.search-result').first.wait_for()
    hrefs = page.locator('.search-result').evaluate_all('links => links.map(a => a.getAttribute("href"))')
    assert any('nbs/loss.html' in h for h in hrefs)

@pytest.mark.parametrize('asked, wanted', {
    'how do I use my own photos': ('using.html', 'data_guide.html', 'index.html'), 'training loop': ('train.html',),
    'negatives': ('glossary.html', 'loss.html'), 'InfoNCE': ('glossary.html', 'loss.html')}.items())
def test_search_answers_questions(open_page, asked, wanted):
    page = open_page('nbs/loss.html')
    page.locator('.smalldocs-search input:visible').fill(asked)
    page.locator('.search-result').first.wait_for()
    first = page.locator('.search-result').evaluate_all('links => links.slice(0, 3).map(a => a.getAttribute("href"))')
    assert any(w in first[0] for w in wanted), first

def test_the_implementation_is_on_the_page(open_page):
    "Every exported line of every numbered notebook can be read on its page"
    def lines(text): return [l for l in text.splitlines() if l.strip() and not l.startswith('#|')]
    for notebook in sorted((TOP/'nbs').glob('[0-9][0-9]_*.ipynb')):
        sources = (''.join(c['source']) for c in json.loads(notebook.read_text())['cells'] if c['cell_type'] == 'code')
        exported = [l for s in sources if s.startswith('#| export') for l in lines(s)]
        page = open_page(f'nbs/{notebook.stem[3:]}.html')
        shown = set(lines('\n'.join(page.locator('.exported pre').evaluate_all('all => all.map(p => p.textContent)'))))
        assert [l for l in exported if l not in shown] == [], notebook.name

def test_source_links_lead_to_the_line(open_page):
    page = open_page('nbs/analysis/hubs.html')
    links = page.locator('main a:text-is("source")').evaluate_all('links => links.map(a => a.href)')
    assert links and all(l.startswith('file:') for l in links)
    page.goto(next(l for l in links if '#L-' in l))
    assert 'def ' in page.locator('span:has(> a:target)').inner_text()

def test_the_entry_of_a_page_is_in_sight(open_page):
    for name in ('nbs/lab_report.html', 'nbs/reporting/site.html', 'nbs/guide/names.html'):
        page = open_page(name)
        box, bar = (page.locator(f'#quarto-sidebar{more}').first.bounding_box() for more in (' .sidebar-link.active', ''))
        assert bar['y'] <= box['y'] < bar['y'] + bar['height'], name

def test_an_image_enlarges(open_page):
    page = open_page('nbs/lab_report.html')
    page.locator('main img.enlarges').first.click()
    assert page.locator('dialog.enlarged').is_visible()
    page.keyboard.press('Escape')
    assert not page.locator('dialog.enlarged').is_visible()

def test_formulas_are_drawn(open_page):
    page = open_page('nbs/lab_report.html')
    assert page.locator('math').count() and page.locator('math').first.bounding_box()['height'] > 5
    assert '$$' not in page.locator('main').inner_text()

def test_retrievals_can_be_leafed_through(open_page):
    page = open_page('nbs/lab_report.html')
    box = page.locator('.browser')
    def shown(): return box.locator('.question:visible').inner_text()
    seen, n = [shown()], box.locator('.question').count()
    for _ in range(n - 1): box.locator('.next').click(); seen.append(shown())
    assert len(set(seen)) == n == 24 and box.locator('output').inner_text() == f'{n} of {n}'
    box.locator('.next').click(); assert shown() == seen[0]
    box.locator('.previous').click(); assert shown() == seen[-1]
    box.press('ArrowLeft'); assert shown() == seen[-2]
    assert box.locator('.question img').evaluate_all('images => images.every(i => i.alt)')

def test_pictures_of_the_report_are_there(open_page):
    page = open_page('nbs/lab_report.html')
    page.evaluate('document.querySelectorAll(".question").forEach(c => c.hidden = false)')
    page.wait_for_load_state('networkidle')
    assert page.locator('main img').evaluate_all('images => images.filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(0, 100))') == []

def test_tables_of_the_report_say_what_was_measured(open_page):
    tables = open_page('nbs/lab_report.html').locator('main table').evaluate_all('tables => tables.map(t => [...t.rows].map(r => [...r.cells].map(c => c.innerText.trim())))')
    rows = [row for table in tables for row in table]
    for name in json.loads((RESULTS/'results.json').read_text())['experiments']:
        found = json.loads((RESULTS/name/'metrics.json').read_text())['unique']
        wanted = [f"{found[c]:.1f}" for c in ('i2t_R@1', 'i2t_R@5', 'i2t_R@10', 't2i_R@1', 't2i_R@5', 't2i_R@10', 'mR')]
        assert any(row[0] == name and [(cell.split() or [''])[0] for cell in row[1:]] == wanted for row in rows), name

def test_the_report_of_other_runs(tmp_path):
    "Runs of somebody else, with other numbers and without ground truth, photos for example"
    from clip_lab.reporting.site import _render, report_on
    from PIL import Image
    before = {f: f.read_bytes() for f in RESULTS.rglob('*.*')}
    shutil.copytree(RESULTS, runs := tmp_path/'mine')
    (runs/'results.json').unlink()
    (runs/'summary.md').write_text('Made by `clip_lab run --data mine --experiments baseline`')
    for file in [*runs.glob('*/minimal_pairs.csv'), *runs.glob('*/zero_shot.csv')]: file.unlink()
    for file in runs.glob('*/figures/*.webp'): Image.open(file).save(file.with_suffix('.png'))
    shutil.copytree(runs/'thumbs', runs/'baseline'/'thumbs')
    table = pd.read_csv(runs/'summary.csv')
    table[table.experiment == 'baseline'].to_csv(runs/'summary.csv', index=False)
    seeds = pd.read_csv(runs/'seeds.csv')
    seeds[(seeds.experiment == 'baseline') & (seeds.seed == 0)].to_csv(runs/'seeds.csv', index=False)
    (tmp_path/'copy').mkdir()
    notebook = json.loads((report_on(runs, TOP, tmp_path/'copy')/'nbs'/'17_lab_report.ipynb').read_text())
    said = json.dumps([c.get('outputs') for c in notebook['cells']])
    assert 'clip_lab run --data mine' in said and 'mod2/figures' not in said and 'That is baseline. Guessing' in said and 'the content of the images is not known' in said
    assert not any(o['output_type'] == 'error' for c in notebook['cells'] for o in c.get('outputs', []))
    _render(tmp_path/'copy', tmp_path/'copy')
    assert 'clip_lab run --data mine' in (tmp_path/'copy'/'_docs'/'nbs'/'lab_report.html').read_text()
    assert {f: f.read_bytes() for f in RESULTS.rglob('*.*')} == before
