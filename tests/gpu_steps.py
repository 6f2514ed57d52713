"The measurements of gpu.py, each a function that prints lines of JSON"
import os, resource, signal, subprocess, sys, time, traceback
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
import numpy as np, torch
from clip_lab.tools.checkpoints import load_tensors
from clip_lab.images import ImageTransform
from clip_lab.tools.devices import Device, has_bfloat16, pick_device
from clip_lab.encoders import load_image_encoder, load_text_encoder
from clip_lab.tools.stand_ins import save_stand_ins
from clip_lab.features import FrozenPart, image_features, text_embeddings
from clip_lab.apps.workflow import build, open_lab
from clip_lab.loss import info_nce_loss
from clip_lab.metrics import PROTOCOLS, DIRECTIONS, retrieval_ranks
from clip_lab.sources.presets import choose_preset
from clip_lab.experiments import EXPERIMENTS, MOD2
from clip_lab.train import Training
from gpu import IMAGES, REPORT_IMAGES, REPORT_VAL, TOP, make, say

@dataclass
class Machine:
    "Where it is measured, and on what"
    folder: Path
    device: Device
    scale: float
    bad: list           # what failed

    def wait(self):
        if self.device.type == 'cuda': torch.cuda.synchronize()
    def seconds(self, f):
        self.wait()
        start = time.perf_counter()
        f()
        self.wait()
        return time.perf_counter() - start
    def rate(self, f, n): return n/min(self.seconds(f) for _ in range(4))
    def forget_peak(self):
        if self.device.type == 'cuda': torch.cuda.reset_peak_memory_stats()
    def peak_MB(self):
        if self.device.type == 'cuda': return torch.cuda.max_memory_allocated()/2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024
    def must(self, what, good):
        if not good: self.bad.append(what)
        return bool(good)

class Silent:
    "A progress bar that shows nothing"
    update = staticmethod(lambda n: None)

def the_lab(m, **changes):
    preset = replace(choose_preset('coco', str(m.folder/'coco')), image_encoder=f'resnet50:{m.folder/"stand-ins"/"resnet50.safetensors"}', text_encoder=str(m.folder/'stand-ins'/'clip-text'), train_images=None, val_images=None)
    with redirect_stdout(StringIO()): return open_lab(replace(preset, **changes), 'coco', 0, m.device.type, str(m.folder/'runs'), str(m.folder/'cache'))

def data(m):
    if not (m.folder/'stand-ins'/'resnet50.safetensors').exists(): save_stand_ins(m.folder/'stand-ins')
    return make(m.folder/'coco', max(40, int(IMAGES*m.scale)))

def throughput(m):
    "Images and captions a second, beside the bare networks"
    lab = the_lab(m)
    net, n = load_image_encoder(lab.preset.image_encoder).to(m.device.name), 256 if m.device.type == 'cuda' else 32
    pixels = torch.randn(n, 3, 224, 224, device=m.device.name).contiguous(memory_format=torch.channels_last)
    def bare():
        with torch.no_grad(), m.device.autocast(): net(pixels)
    frozen = FrozenPart(net, m.device)
    found = dict(bare=m.rate(bare, n), frozen_part=m.rate(lambda: frozen(pixels), n))
    look = ImageTransform(224, net.mean, net.std)
    train = lab.data['train']
    found['with_files_and_cache'] = len(train.file_names)/m.seconds(lambda: image_features(train, net, look, m.folder/'cache', m.device, force=True))
    words = load_text_encoder(lab.preset.text_encoder)
    found['captions'] = len(train.captions)/m.seconds(lambda: text_embeddings(train, words, m.folder/'cache', m.device, force=True))
    return dict(precision=m.device.computes_in, **found)

def epochs(m):
    "An epoch of each experiment, on these photos and drawn on to the report's number"
    lab = the_lab(m)
    for name,e in EXPERIMENTS.items():
        model, splits = build(lab, e)
        run = Training(e, model, splits, m.folder/'epochs'/name, m.device)
        m.forget_peak()
        run.train_epoch(Silent)            # the first one prepares kernels
        run.history.append({})
        run.place = dict(seen=0, total=0., seconds=0.)
        seconds = m.seconds(lambda: run.train_epoch(Silent))
        validation = m.seconds(run.validate)
        photos = len(lab.data['train'].file_names)
        say('epoch', experiment=name, photos=photos, seconds=seconds, pairs_a_second=5*photos/seconds, seconds_at_55665=seconds*REPORT_IMAGES/photos, validation_seconds=validation, peak_MB=m.peak_MB())

def steps_of(m, lab, experiment, recorded):
    "Losses of some hundred steps over a few images, and the seconds of one"
    torch.manual_seed(0)
    model, splits = build(lab, experiment)
    run = Training(experiment, model, splits, m.folder/'steps', m.device)
    if not recorded: run.recorded = None
    split, rows = splits['train'], np.arange(min(256, len(lab.data['train'].file_names)))
    x, text = split.inputs(rows).to(m.device.name), split.text[:5*len(rows)].to(m.device.name)
    size = experiment.batch_size
    places = [np.arange(i, i + size) for i in range(0, len(text) - size + 1, size)]*8
    model.train()
    losses = [run.step(x, rows, p, text[p[0]:p[-1]+1]) for p in places[:20]]
    seconds = m.seconds(lambda: losses.extend(run.step(x, rows, p, text[p[0]:p[-1]+1]) for p in places[20:]))
    return torch.stack(losses), seconds/(len(places) - 20)

def launches(m):
    "A step launched kernel by kernel, and one that was recorded: the time, and whether they compute the same"
    if m.device.type == 'cpu': return dict(skipped='only a GPU records steps')
    lab = the_lab(m)
    for name,e in EXPERIMENTS.items():
        (one, slow), (other, fast) = steps_of(m, lab, e, False), steps_of(m, lab, e, True)
        off = ((one - other).abs()/one).max().item()
        say('launches', experiment=name, batch=e.batch_size, launched_ms=1000*slow, recorded_ms=1000*fast, ratio=slow/fast, losses_differ_by=off, equal=m.must(f'recorded {name}', off == 0))

def whole_run(m):
    "The three experiments through the command"
    seconds = m.seconds(lambda: subprocess.run([sys.executable, '-m', 'clip_lab.apps.cli', 'run', '--preset', 'coco', '--data', str(m.folder/'coco'), '--image-encoder', f'resnet50:{m.folder}/stand-ins/resnet50.safetensors', '--text-encoder', f'{m.folder}/stand-ins/clip-text',
        '--train-images', str(max(20, int(IMAGES*m.scale/2))), '--val-images', str(max(20, int(IMAGES*m.scale/4))), '--epochs', '2', '--device', m.device.type, '--out', f'{m.folder}/runs', '--cache', f'{m.folder}/cache', '--force'], check=True, cwd=m.folder, env=os.environ | dict(PYTHONPATH=str(TOP)), stdout=subprocess.DEVNULL))
    return dict(seconds=seconds, experiments=[p.parent.name for p in (m.folder/'runs').glob('*/*/metrics.json')])

def recall(m):
    "Exact ranks at the report's size, beside the bare product"
    n = int(REPORT_VAL*m.scale)
    g = torch.Generator().manual_seed(0)
    row = np.repeat(np.arange(n), 5)
    image = torch.randn(n, 512, generator=g).to(m.device.name)
    text = image[row] + 8*torch.randn(5*n, 512, generator=g).to(m.device.name)
    def product():
        for i in range(0, 5*n, 8192): text[i:i+8192] @ image.T
    bare = min(m.seconds(product) for _ in range(3))
    m.forget_peak()
    seconds = {p: min(m.seconds(lambda: retrieval_ranks(image, text, row, p)) for _ in range(2)) for p in PROTOCOLS}
    few = min(n, 2000)
    def ranks(x, y): return retrieval_ranks(x[:few], y[:5*few], row[:5*few])
    here, there = ranks(image, text), ranks(image.cpu(), text.cpu())
    same = all(torch.equal(a, b) for way in DIRECTIONS for a,b in zip(here[way], there[way]))
    return dict(images=n, captions=5*n, bare_product_seconds=bare, unique_seconds=seconds['unique'], paired_seconds=seconds['paired'], ratio=seconds['unique']/bare, peak_MB=m.peak_MB(), ranks_as_on_cpu=m.must('ranks', same))

def trained_part(m, name, precision, given=None):
    "Inputs, loss and gradient of a step of modification 2; in float64 without the lab's own training"
    device = Device(name, 'float32' if precision == 'float64' else precision)
    lab = replace(the_lab(m), device=device)
    e = MOD2.but(jitter=False)
    model, splits = build(lab, e)
    run = Training(e, model, splits, m.folder/'parity', device)
    run.recorded, rows, texts = None, np.arange(32), np.arange(64)
    x = (splits['train'].inputs(rows) if given is None else given).to(device.name)
    if precision != 'float64': loss = run.step(x, rows, texts, splits['train'].text[texts])
    else:
        model.double()
        pairs = torch.from_numpy(splits['train'].image_of_text[texts])
        loss = info_nce_loss(model.head(model.encoder.last(x.double()[pairs]).mean((2, 3))), splits['train'].text[texts].double().to(device.name), e.temperature)
        loss.backward()
    return x.float().cpu(), loss.item(), torch.cat([p.grad.flatten().cpu().double() for p in model.parameters() if p.requires_grad])

def parity(m):
    "A step of modification 2 on the CPU and here, on the same inputs, beside float64; and the frozen part's outputs"
    cpu, place = 'cpu', m.device.name
    x, loss, exact = trained_part(m, cpu, 'float64')
    def off(a, b): return ((a - b).norm()/b.norm()).item()
    other = trained_part(m, place, 'float64', x)
    say('parity', precision='float64', loss_relative=abs(other[1] - loss)/loss, gradient_relative=off(other[2], exact), within=m.must('parity float64', off(other[2], exact) < 1e-9))
    rounding = off(trained_part(m, cpu, 'float32', x)[2], exact)        # what float32 makes of this step on a CPU
    for precision,most in dict(float32=1e-5, bfloat16=1e-3).items():
        if place == cpu and precision == 'bfloat16' and not has_bfloat16(): say('parity', precision=precision, skipped='this processor has no bfloat16'); continue
        own = trained_part(m, place, precision)[0]
        cosine = torch.nn.functional.cosine_similarity(own.flatten(1), x.flatten(1)).min().item()
        _, here, found = trained_part(m, place, precision, x)
        within = abs(here - loss)/loss < most and (off(found, exact) < 2*rounding or precision == 'bfloat16')
        say('parity', precision=precision, frozen_part_cosine=cosine, loss_relative=abs(here - loss)/loss, allowed=most, gradient_relative=off(found, exact), cpu_float32_gradient_relative=rounding, within=m.must(f'parity {precision}', within))

def half(m):
    "An epoch of modification 2 in float16, with the scaler"
    if m.device.type == 'cpu': return dict(skipped='a CPU computes float16 a hundred times slower')
    device = Device(m.device.name, 'float16')
    lab = replace(the_lab(m), device=device)
    model, splits = build(lab, MOD2)
    run = Training(MOD2, model, splits, m.folder/'half', device)
    loss = run.train_epoch(Silent)
    return dict(loss=loss, finite=m.must('float16', np.isfinite(loss)), scale=run.scaler.get_scale())

def resume(m):
    "Killed in the middle and gone on, beside a run that was left alone"
    def start(out):
        command = [sys.executable, '-m', 'clip_lab.apps.cli', 'train', '--preset', 'coco', '--data', str(m.folder/'coco'), '--image-encoder', f'resnet50:{m.folder}/stand-ins/resnet50.safetensors', '--text-encoder', f'{m.folder}/stand-ins/clip-text',
                   '--train-images', '40', '--val-images', '20', '--experiments', 'mod2', '--epochs', '4', '--save-every', '0', '--device', m.device.type, '--out', out, '--cache', f'{m.folder}/cache']
        return subprocess.Popen(command, cwd=m.folder, env=os.environ | dict(PYTHONPATH=str(TOP)), stdout=subprocess.DEVNULL)
    alone, killed = m.folder/'alone', m.folder/'killed'
    start(str(alone)).wait()
    process = start(str(killed))
    while process.poll() is None and not list(killed.glob('*/mod2/history.csv')): time.sleep(.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    start(str(killed)).wait()
    a, b = (load_tensors(next(f.glob('*/mod2/last/checkpoint.safetensors')))[0] for f in (alone, killed))
    off = max(((a[k].double() - b[k].double()).norm()/a[k].double().norm().clamp_min(1e-12)).item() for k in a)
    return dict(bit_equal=off == 0, largest_relative_difference=off)

def tiled_loss(m):
    "The loss and its gradient where the table of logits would not fit"
    n = int(65_536*m.scale)
    x, y = (torch.randn(n, 512, device=m.device.name).requires_grad_() for _ in range(2))
    m.forget_peak()
    before = m.peak_MB()
    seconds = m.seconds(lambda: info_nce_loss(x, y).backward())
    return dict(pairs=n, seconds=seconds, MB_above_inputs=m.peak_MB() - before, table_MB=4*n*n/2**20)

STEPS = [data, throughput, epochs, launches, recall, parity, half, tiled_loss, whole_run, resume]

def measure_all(folder, device, scale, names=None):
    "Run all steps, or those named; one that fails does not stop the rest"
    m = Machine(Path(folder), pick_device(device), scale, [])
    name = torch.cuda.get_device_name() if m.device.type == 'cuda' else 'CPU'
    say('machine', device=name, threads=torch.get_num_threads(), torch=torch.__version__, scale=scale)
    for step in [s for s in STEPS if not names or s.__name__ in names]:
        start = time.perf_counter()
        try:
            if found := step(m): say(step.__name__, **found)
        except Exception as e:
            m.bad.append(step.__name__)
            say(step.__name__, error=f'{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ""}', where=traceback.format_exc().strip().splitlines()[-3].strip())
        say('took', what=step.__name__, seconds=time.perf_counter() - start)
    say('end', failed=m.bad)
    return int(bool(m.bad))
