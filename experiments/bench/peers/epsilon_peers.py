"""Accounts plans with Google's dp_accounting for epsilon-peers.ts: one JSON plan per line in, one JSON answer out.

A plan: {"delta": d, "grids": [...], "events": [{"mechanism": ..., "count": n, ...}, ...]} in the spellings of
`pulsefold epsilon`. An answer: {"answers": [{"grid": g, "epsilon": e, "ms": t}, ...]}.
"""
import json
import math
import sys
import time
from importlib.metadata import version

from dp_accounting.pld import privacy_loss_distribution as pld


def loss(event, grid):
    options = {'value_discretization_interval': grid}
    kind = event['mechanism']
    if kind in ('gaussian', 'poisson_sampled_gaussian'):
        one = pld.from_gaussian_mechanism(event['sigma'], sampling_prob=event.get('q', 1.0), **options)
    elif kind in ('laplace', 'poisson_sampled_laplace'):
        one = pld.from_laplace_mechanism(event['scale'], sampling_prob=event.get('q', 1.0), **options)
    elif kind == 'discrete_gaussian':
        one = pld.from_discrete_gaussian_mechanism(math.sqrt(float(event['sigma2'])), 1, **options)
    elif kind == 'discrete_laplace':
        one = pld.from_discrete_laplace_mechanism(1 / event['scale'], 1, **options)
    else:
        raise ValueError(kind)
    return one.self_compose(event['count']) if event['count'] > 1 else one


def account(plan, grid):
    start = time.perf_counter()
    total = None
    for event in plan['events']:
        one = loss(event, grid)
        total = one if total is None else total.compose(one)
    epsilon = total.get_epsilon_for_delta(plan['delta'])
    return {'grid': grid, 'epsilon': epsilon, 'ms': 1000 * (time.perf_counter() - start)}


def main():
    print(json.dumps({'dp_accounting': version('dp-accounting'), 'python': sys.version.split()[0]}), flush=True)
    for line in sys.stdin:
        plan = json.loads(line)
        print(json.dumps({'answers': [account(plan, grid) for grid in plan['grids']]}), flush=True)


main()
