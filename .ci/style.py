"""Lines of at most 110 characters and one statement on each, in all code cells; exported cells of at most 40 lines;
no progress bar, warning, temporary folder or number of nine digits in what notebooks show; every notebook in the sidebar; and what a numbered module may import.
Says where it is not so."""
import io, json, re, sys, tokenize
from pathlib import Path

TOP, WIDTH, HEIGHT = Path(__file__).resolve().parent.parent, 110, 40

def cells_of(file):
    "(id, source) of each code cell, without lines for the shell and without a semicolon that only hides an output"
    for cell in json.loads(file.read_text())['cells']:
        if cell['cell_type'] != 'code': continue
        lines = [l for l in ''.join(cell['source']).split('\n') if not l.lstrip().startswith(('%', '!'))]
        yield cell['id'], '\n'.join(lines).rstrip().removesuffix(';')

def faults(name, source):
    "What is wrong with a piece of code, a line each"
    found = [f'{name}, line {i}: {len(l)} characters' for i,l in enumerate(source.split('\n'), 1) if len(l) > WIDTH]
    height = sum(bool(l.strip()) for l in source.split('\n'))
    if source.startswith('#| export') and height > HEIGHT: found.append(f'{name}: {height} lines')
    for token in tokenize.generate_tokens(io.StringIO(source + '\n').readline):
        two = token.type == tokenize.OP and token.string == ';'
        if two: found.append(f'{name}, line {token.start[0]}: two statements')
    return found

def left_in(file):
    "What no output of a notebook should show, cell by cell"
    for cell in json.loads(file.read_text())['cells']:
        outputs = cell.get('outputs', [])
        data = [o.get('data', {}) for o in outputs]
        printed = ''.join(''.join(o.get('text', '')) for o in outputs)
        shown = printed + ''.join(''.join(d.get('text/html') or d.get('text/plain', '')) for d in data)
        found = {'a progress bar': '\r' in printed or 'it/s]' in printed,
                 'a warning': any(o.get('name') == 'stderr' for o in outputs),
                 'a temporary folder': re.search(r'(?<![\w.])/tmp/', shown),
                 'too many digits': re.search(r'(?<![\w./-])\d+\.\d{9,}', shown)}
        yield from (f"{file.relative_to(TOP)}, cell {cell['id']}: {what}" for what,is_so in found.items() if is_so)

def imported(file):
    "Modules of the package that the exported cells of a notebook import"
    exported = [source for _,source in cells_of(file) if source.startswith('#| export')]
    return {m for source in exported for m in re.findall(r'from clip_lab\.([\w.]+) import', source)}

def import_faults(numbered):
    "Numbered modules that import something else than numbered modules before them and tools"
    found, before = [], set()
    for file in numbered:
        wrong = sorted(m for m in imported(file) - before if not m.startswith('tools.'))
        found += [f'{file.name}: imports {m}, which comes later or is in another folder' for m in wrong]
        before.add(re.sub(r'^\d+_', '', file.stem))
    return found

def missing_pages(notebooks):
    "Notebooks that the sidebar of the site does not name"
    sidebar = (TOP/'_quarto.yml').read_text()
    return [f'_quarto.yml: {name} is missing' for f in notebooks if (name := str(f.relative_to(TOP))) not in sidebar]

def main():
    def hidden(f): return any(p[0] in '._' for p in f.relative_to(TOP).parts[:-1])
    notebooks = [f for f in sorted(TOP.glob('**/*.ipynb')) if not hidden(f)]
    pieces = [(f'{f.relative_to(TOP)}, cell {i}', source) for f in notebooks for i,source in cells_of(f)]
    numbered = [f for f in notebooks if f.parent.name == 'nbs' and f.name[0].isdigit()]
    found = [fault for name,source in pieces for fault in faults(name, source)] + import_faults(numbered)
    found += missing_pages(notebooks) + [left for f in notebooks for left in left_in(f)]
    print('\n'.join(found) or f'{len(pieces):,} code cells in {len(notebooks)} notebooks: in style')
    return int(bool(found))

if __name__ == '__main__': sys.exit(main())
