"""Started twice by torchrun: compares a step of two processes with the step of one, in float64. Fails where loss, gradients or running statistics differ."""
import copy, torch
from torch import nn
from clip_lab.tools.devices import pick_device
from clip_lab.tools.parallel import gather_rows, process, share_batchnorm, sum_gradients
from clip_lab.loss import info_nce_loss
from clip_lab.tools.parallel import pairs_of_process

def gradients(net, x, places, text, n):
    "Loss, gradients and buffers after one step back"
    loss = info_nce_loss(gather_rows(net(x), places, n), text)
    loss.backward()
    sum_gradients(list(net.parameters()))
    return [loss.detach(), *(p.grad for p in net.parameters()), *net.buffers()]

torch.manual_seed(0)
n = 13                                                                     # does not divide by two
x, text, image = torch.randn(n, 3, 8, 8).double(), torch.randn(n, 6).double(), torch.randint(0, 9, (n,)).numpy()
net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 6)).double()
one = gradients(copy.deepcopy(net), x, range(n), text, n)                  # before there is another process
pick_device('cpu')
assert process()[1] == 2
own = pairs_of_process(image)
assert 0 < len(own) < n
two = gradients(share_batchnorm(net), x[own], own, text, n)
difference = max((a - b).abs().max().item() for a,b in zip(one, two))
assert difference < 1e-10, difference
print(f'{process()[0]}: {len(own)} of {n} pairs, {difference:.1e}')
