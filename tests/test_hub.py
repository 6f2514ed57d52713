"There and back through a stand-in of the Hugging Face Hub on this machine: its commit and download paths, as huggingface_hub uses them."
import base64, hashlib, json, os, subprocess, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import pytest

COMMIT = 'c' * 40

class Hub(BaseHTTPRequestHandler):
    "One server with any number of repositories, in memory"
    files, asked, protocol_version = {}, [], 'HTTP/1.1'
    def log_message(self, *a): pass
    def answer(self, content=b'', status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for k,v in (dict(Content_Length=str(len(body)), Content_Type='application/json') | headers).items(): self.send_header(k.replace('_', '-'), v)
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)
    def body(self): return self.rfile.read(int(self.headers.get('Content-Length', 0)))
    def address(self): return f'http://127.0.0.1:{self.server.server_port}'

    def do_POST(self):
        body, path = self.body(), self.path.split('?')[0]
        self.asked.append(f'POST {path}')
        if path != '/api/validate-yaml' and self.headers.get('Authorization') != 'Bearer hf_right': return self.answer(dict(error='Invalid username or password.'), 401, X_Error_Message='Invalid username or password.')
        if path == '/api/repos/create':
            said = json.loads(body)
            return self.answer(dict(url=f"{self.address()}/{said.get('organization') or 'me'}/{said['name']}", name=said['name'], id='1'))
        if path == '/api/validate-yaml': return self.answer(dict(errors=[], warnings=[]))
        if '/preupload/' in path: return self.answer(dict(files=[dict(path=f['path'], uploadMode='lfs' if f['path'].endswith('.safetensors') else 'regular', shouldIgnore=False) for f in json.loads(body)['files']]))
        if path.endswith('/info/lfs/objects/batch'):
            objects = [dict(oid=o['oid'], size=o['size'], actions=dict(upload=dict(href=f"{self.address()}/lfs/{o['oid']}"))) for o in json.loads(body)['objects']]
            return self.answer(dict(transfer='basic', objects=objects))
        if '/commit/' in path:
            for line in map(json.loads, body.splitlines()):
                if line['key'] == 'file': self.files[line['value']['path']] = base64.b64decode(line['value']['content'])
                if line['key'] == 'lfsFile': self.files[line['value']['path']] = self.files.pop(line['value']['oid'])
            return self.answer(dict(success=True, commitOid=COMMIT, commitUrl=f'{self.address()}/me/small/commit/{COMMIT}', hookOutput=''))
        self.answer(dict(error='not here'), 404)

    def do_PUT(self):
        content = self.body()
        self.files[hashlib.sha256(content).hexdigest()] = content
        self.answer()

    def do_GET(self):
        path = self.path.split('?')[0]
        self.asked.append(f'{self.command} {path}')
        if path.startswith('/api/models/me/small'):
            tree = [dict(type='file', path=f, size=len(c), oid=hashlib.sha1(c).hexdigest()) for f,c in self.files.items()]
            return self.answer(tree if '/tree/' in path else dict(id='me/small', sha=COMMIT, private=False, tags=[], siblings=[dict(rfilename=f) for f in self.files], xetEnabled=False))
        name = path.split(f'/resolve/{COMMIT}/')[-1]
        if path.startswith('/me/small/resolve/') and name in self.files:
            return self.answer(self.files[name], ETag=f'"{hashlib.sha256(self.files[name]).hexdigest()}"', X_Repo_Commit=COMMIT)
        self.answer(dict(error='Repository not found'), 404, X_Error_Code='RepoNotFound', X_Error_Message='Repository Not Found')
    do_HEAD = do_GET

@pytest.fixture
def hub():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Hub)
    Hub.files, Hub.asked = {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()

MODEL = '''
from clip_lab.encoders import load_image_encoder, load_text_encoder
from clip_lab.model import RetrievalModel
from clip_lab.analysis.hubs import Bank
import torch
from clip_lab.apps.pretrained import ClipLab, load_model
image, text = load_image_encoder('efficientnet_lite0'), load_text_encoder('all-MiniLM-L6-v2')
config = dict(format=1, name='small', shape={}, image_encoder=dict(name='efficientnet_lite0', weights=image.weights), text_encoder=dict(name='all-MiniLM-L6-v2', weights=text.weights),
              image_size=64, temperature=.07, trained_on=dict(images=1, captions=1), measured={})
bank = Bank(torch.eye(384)[:300].half(), torch.eye(384)[:300].half(), .07)
model = ClipLab(config, RetrievalModel(image, text.width, seed=3).trained_state(), bank=bank)
'''

def python(code, hub, tmp_path, token='hf_right'):
    env = os.environ | dict(HF_ENDPOINT=hub, HF_HOME=str(tmp_path/'hf'), HF_TOKEN=token, HF_HUB_DISABLE_XET='1', HF_HUB_DISABLE_PROGRESS_BARS='1', HF_HUB_OFFLINE='0', NO_PROXY='127.0.0.1')
    return subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, timeout=1800)

def test_a_model_goes_to_the_hub_and_comes_back(hub, tmp_path):
    there = python(MODEL + "print(model.push_to_hub('me/small'))", hub, tmp_path)
    assert there.returncode == 0, there.stderr
    assert COMMIT in there.stdout and set(Hub.files) == {'README.md', 'bank.safetensors', 'config.json', 'model.safetensors'}
    assert b'## Limits' in Hub.files['README.md'] and str(tmp_path).encode() not in Hub.files['config.json']
    back = python(MODEL + "again = load_model('me/small')\nassert (again.embed_texts(['a dog']) == model.embed_texts(['a dog'])).all()\n"
                  "assert all((a == b).all() for a,b in zip(again.model.trained_state().values(), model.model.trained_state().values()))\n"
                  "assert (again.bank.captions == bank.captions).all() and again.bank.temperature == .07\nprint(again)", hub, tmp_path)
    assert back.returncode == 0, back.stderr
    assert 'ClipLab(small' in back.stdout

def test_what_goes_wrong_is_said_in_one_line(hub, tmp_path):
    wrong = python(MODEL + "model.push_to_hub('me/small')", hub, tmp_path, token='hf_wrong')
    last = wrong.stderr.strip().splitlines()[-1]
    assert wrong.returncode == 1 and last.startswith('clip_lab.tools.files.LabError: me/small: could not be put on the Hugging Face Hub') and 'hf auth login' in last
    gone = python("from clip_lab.apps.pretrained import ClipLab\nClipLab.from_pretrained('me/other')", hub, tmp_path)
    last = gone.stderr.strip().splitlines()[-1]
    assert gone.returncode == 1 and last.startswith('clip_lab.tools.files.LabError: me/other: no such folder, and could not be fetched from the Hugging Face Hub')
