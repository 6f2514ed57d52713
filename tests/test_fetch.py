"What no notebook can show of getting data: the commands as they are typed, from nothing to a result, with a local server in the place of COCO's and of Stanford's and a folder in the place of Kaggle's."
import csv, hashlib, io, json, os, subprocess, sys, zipfile
import pandas as pd, pytest
from faulty_server import FaultyServer
from clip_lab.sources.coco import COCO_SERVER
from clip_lab.scenes import make_scenes

SIZES = dict(train=60, val=24)
CHILD = '''
import json, sys
from clip_lab.sources import coco
from clip_lab.apps.cli import main
archives, karpathy = json.loads(sys.argv[1])
coco.COCO_ARCHIVES.update(archives)                     # sizes and MD5 sums of the stand-in's archives
coco.get_karpathy.__defaults__ = (karpathy,)
sys.exit(main(sys.argv[2:]))
'''
KAGGLEHUB = 'import os\ndef dataset_download(handle): return os.environ["KAGGLE_FOLDER"]\n'

def zipped(files):
    "An archive as bytes"
    with zipfile.ZipFile(out := io.BytesIO(), 'w') as z:
        for name,content in files.items(): z.writestr(name, content)
    return out.getvalue()

@pytest.fixture(scope='module')
def drawn(tmp_path_factory): return make_scenes(tmp_path_factory.mktemp('drawn')/'scenes', *SIZES.values())

def read(drawn, split):
    "The annotations of a split and the folder of its pictures"
    file = next(drawn.glob(f'annotations/captions_{split}*.json'))
    return json.loads(file.read_text()), next(p for p in drawn.iterdir() if p.is_dir() and p.name.startswith(split))

@pytest.fixture
def world(drawn, tmp_path):
    "A server with what COCO's and Stanford's have, and a function that types a command into a terminal beside it"
    with FaultyServer() as server:
        archives, annotations, parts = {}, {}, []
        for split in SIZES:
            said, folder = read(drawn, split)
            if split == 'val':                                  # COCO's ids are those of one set, the scenes' of each split
                for i in said['images']: i['id'] += 1000
                for a in said['annotations']: a['id'], a['image_id'] = a['id'] + 10_000, a['image_id'] + 1000
            for i in said['images']:
                i['coco_url'], picture = f'{COCO_SERVER}/{split}2014/{i["file_name"]}', (folder/i['file_name']).read_bytes()
                server.serve(i['coco_url'], picture)
            files = {f'{split}2014/{i["file_name"]}': (folder/i['file_name']).read_bytes() for i in said['images']}
            archives[f'zips/{split}2014.zip'] = zipped(files)
            annotations[f'annotations/captions_{split}2014.json'] = json.dumps(said)
            texts = {i['id']: [a for a in said['annotations'] if a['image_id'] == i['id']] for i in said['images']}
            parts += [dict(filepath=f'{split}2014', filename=i['file_name'], cocoid=i['id'], split='train' if split == 'train' else ('val', 'test', 'restval')[n%3],
                           sentences=[dict(raw=a['caption'], sentid=a['id'], tokens=a['caption'].split()) for a in texts[i['id']]]) for n,i in enumerate(said['images'])]
        archives['annotations/annotations_trainval2014.zip'] = zipped(annotations)
        for path,body in archives.items(): server.serve(f'{COCO_SERVER}/{path}', body)
        karpathy = server.serve('/caption_datasets.zip', zipped({'dataset_coco.json': json.dumps(dict(images=parts, dataset='coco')), 'dataset_flickr8k.json': '{}'}))
        known = {path: (len(body), hashlib.md5(body).hexdigest()) for path,body in archives.items()}
        (tmp_path/'modules').mkdir(); (tmp_path/'modules'/'kagglehub.py').write_text(KAGGLEHUB)
        env = os.environ | dict(http_proxy=server.address, no_proxy='127.0.0.1', PYTHONPATH=os.pathsep.join([str(tmp_path/'modules'), *sys.path]), KAGGLE_FOLDER=str(tmp_path/'kaggle'))
        def clip_lab(typed, status=0):
            done = subprocess.run([sys.executable, '-c', CHILD, json.dumps([known, karpathy]), *typed.split()], cwd=tmp_path, env=env, capture_output=True, text=True)
            assert done.returncode == status, done.stderr
            return done.stdout
        clip_lab.server, clip_lab.folder = server, tmp_path
        yield clip_lab

def results(folder): return json.loads((folder/'metrics.json').read_text())
ENCODERS = '--image-encoder efficientnet_lite0 --text-encoder all-MiniLM-L6-v2'

def test_all_of_coco_then_the_report_lab_on_it(world):
    said = world('data coco')
    assert '60' in said and not list((world.folder/'_data'/'coco').glob('*.zip'))
    pictures = list((world.folder/'_data'/'coco').glob('*2014/*'))
    assert len(pictures) == sum(SIZES.values())
    asked = len(world.server.log)
    world('data coco')
    assert len(world.server.log) == asked                         # what is complete is not asked for again
    world(f'run --preset coco --train-images 50 --val-images 20 --experiments baseline --epochs 1 {ENCODERS}')
    assert [results(world.folder/'_runs'/'coco'/'baseline')[k] for k in ('n_images', 'n_captions')] == [20, 100]

def test_a_part_of_coco_embedded_at_once_then_trained_on(world):
    said = world(f'data coco --images 40 --encode {ENCODERS}')
    root = world.folder/'_data'/'coco'
    assert [len(list((root/f'{s}2014').iterdir())) for s in SIZES] == [27, 13]
    assert 'train: 27 x ' in said and 'val: 13 x ' in said and 'train: 135 x ' in said
    assert not any('/zips/' in r.path for r in world.server.log)
    cached = {f: f.read_bytes() for f in (world.folder/'_cache').glob('*.vectors')}
    world(f'run --preset coco --experiments baseline --epochs 1 {ENCODERS}')
    assert cached and {f: f.read_bytes() for f in cached} == cached     # nothing was embedded again
    assert results(world.folder/'_runs'/'coco'/'baseline')['n_images'] == 13

def test_karpathy_s_split_is_fetched_and_used(world):
    world('data coco --karpathy')
    assert (world.folder/'_data'/'coco'/'dataset_coco.json').exists()
    world(f'run --preset coco --split karpathy --experiments baseline --epochs 1 {ENCODERS}')
    assert results(world.folder/'_runs'/'coco-karpathy'/'baseline')['n_images'] == 8        # the test pictures
    cleaning = pd.read_csv(world.folder/'_runs'/'coco-karpathy'/'cleaning.csv').set_index(['split', 'reason'])
    assert cleaning.images.xs('used', level='reason').to_dict() == dict(train=68, val=8, test=8)

def test_flickr8k_is_one_command(world, drawn):
    said, folder = read(drawn, 'train')
    names = {i['id']: i['file_name'] for i in said['images']}
    images = world.folder/'kaggle'/'Images'; images.mkdir(parents=True)
    for name in names.values(): (images/name).write_bytes((folder/name).read_bytes())
    with (world.folder/'kaggle'/'captions.txt').open('w', newline='') as f:
        csv.writer(f).writerows([('image', 'caption'), *((names[a['image_id']], a['caption']) for a in said['annotations'])])
    world('run --preset flickr8k --experiments baseline --epochs 1')
    assert (world.folder/'_data'/'flickr8k'/'captions.txt').is_symlink()
    found = results(world.folder/'_runs'/'flickr8k'/'baseline')
    assert found['n_captions'] == 5*found['n_images'] > 0

def test_a_mirror_on_kaggle_that_lacks_the_annotations(world, drawn):
    for split in SIZES:
        folder = world.folder/'kaggle'/'images'/f'{split}2014'; folder.mkdir(parents=True)
        for picture in read(drawn, split)[1].iterdir(): (folder/picture.name).write_bytes(picture.read_bytes())
    world('data coco --source kaggle')
    assert [r.path for r in world.server.log if r.method == 'GET'] == [f'{COCO_SERVER}/annotations/annotations_trainval2014.zip']
