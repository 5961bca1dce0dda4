"""Muon: momentum whose matrix is made orthogonal by a Newton-Schulz iteration (Jordan et al., 2024). For hidden matrices only.

Matrices of equal shape are stacked and iterated together: on a CPU, eight small products cost less as one batch.
"""
import torch

# Coefficients of the quintic iteration of Jordan et al.: singular values end in about 0.7..1.2 after five steps.
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonalise(g):
    """g (n, rows, columns) -> the nearest semi-orthogonal matrices, roughly."""
    a, b, c = QUINTIC
    tall = g.shape[1] > g.shape[2]
    x = (g.mT if tall else g).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """One group per shape; a parameter that holds several matrices one below the other names their heights in `parts`."""

    def __init__(self, matrices, lr, momentum=0.95, weight_decay=0.02):
        groups = {}
        for parameter, parts in matrices:
            groups.setdefault((tuple(parameter.shape), tuple(parts)), []).append(parameter)
        super().__init__(
            [dict(params=ps, parts=parts) for (_, parts), ps in groups.items()],
            dict(lr=lr, momentum=momentum, weight_decay=weight_decay),
        )

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            nesterov = torch.stack([self._moved(p, group['momentum']) for p in group['params']])
            update = torch.cat([orthogonalise(part) * scale(part) for part in nesterov.split(group['parts'], 1)], 1)
            for p, u in zip(group['params'], update):
                p.mul_(1 - group['lr'] * group['weight_decay']).add_(u, alpha=-group['lr'])

    def _moved(self, p, momentum):
        state = self.state[p]
        if 'buffer' not in state:
            state['buffer'] = torch.zeros_like(p)
        state['buffer'].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(state['buffer'], momentum)


def scale(g):
    """Tall matrices move further, so that every output moves alike."""
    return max(1.0, g.shape[1] / g.shape[2]) ** 0.5
