"Write README.md from index.ipynb; with --check only say whether it is in step."
import json, re, sys
from pathlib import Path

def text_of(source): return source if isinstance(source, str) else ''.join(source)

def shown(output):
    "A cell's output as Markdown"
    data = output.get('data', {})
    if 'text/markdown' in data: return text_of(data['text/markdown'])
    return ''.join('    ' + line for line in text_of(output.get('text') or data.get('text/plain', '')).splitlines(True))

def readme(notebook):
    parts = []
    for cell in notebook['cells']:
        source = text_of(cell['source'])
        if re.search(r'^#\|\s*(hide|default_exp)', source, re.M): continue
        if cell['cell_type'] == 'markdown': parts.append(source); continue
        if not re.search(r'^#\|\s*echo:\s*false', source, re.M): parts.append('```python\n' + re.sub(r'^#\|.*\n', '', source, flags=re.M) + '\n```')
        parts += [shown(o) for o in cell['outputs']]
    return '\n\n'.join(p.strip('\n') for p in parts if p.strip()) + '\n'

if __name__ == '__main__':
    top = Path(__file__).parent.parent
    text = readme(json.loads((top/'index.ipynb').read_text()))
    if '--check' not in sys.argv: (top/'README.md').write_text(text)
    elif (top/'README.md').read_text() != text: sys.exit('README.md is not what index.ipynb says; run python .ci/readme.py')
