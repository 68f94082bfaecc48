"""The exact delta(epsilon) of plans, for epsilon-peers.ts: closed forms in 40 digits, or an inversion in numpy.

One JSON plan per line in: {"kind": ..., "points": [epsilon, ...], "events": [...]}, in the spellings of `pulsefold epsilon`;
one answer out: {"deltas": [{"low": ..., "high": ...}, ...]}. Shares nothing with crypto/dp, neither code nor method:
 gaussian     exact by the normal distribution: mu^2 adds up (trees: by counting the nodes that a participant touches)
 sampled_once one Poisson-sampled Gaussian or Laplace: the threshold of the likelihood ratio, both directions
 discrete     scalar discrete Gaussians, alone, sampled, or summed over shares: sums over the integers
 responses    n-fold randomised response and discrete Laplace mechanisms: the loss is a lattice, convolved exactly
 vector       discrete Gaussian in the plane, all directions enumerated
 composed     sampled and plain Gaussians: the characteristic function on a tilted line, by the trapezoidal rule
"""
import json
import math
import sys

import numpy as np
from mpmath import erfc, exp, log, mp, mpf, sqrt

mp.dps = 40
ROUND = 1e-12


def tail(x):
    return erfc(x / sqrt(mpf(2))) / 2


def gaussian_delta(mu, epsilon):
    return tail(epsilon / mu - mu / 2) - exp(epsilon) * tail(epsilon / mu + mu / 2)


def tree_ratio(event):
    """Squared length over variance of one participant's share in the complete binary trees over the steps."""
    steps, times, apart = event['steps'], event.get('participations', 1), event.get('separation', 1)
    best = 0
    # All trees of powers of two, largest first; participation sets by exhaustion: steps are few here.
    spans, first = [], 0
    for bit in range(steps.bit_length() - 1, -1, -1):
        if steps >> bit & 1:
            spans.append((first, bit))
            first += 1 << bit

    def length(chosen):
        total = 0
        for start, bit in spans:
            for level in range(bit + 1):
                counts = {}
                for step in chosen:
                    if start <= step < start + (1 << bit):
                        node = (step - start) >> level
                        counts[node] = counts.get(node, 0) + 1
                total += sum(count * count for count in counts.values())
        return total

    def search(chosen, following):
        nonlocal best
        if chosen:
            best = max(best, length(chosen))
        if len(chosen) < times:
            for step in range(following, steps):
                search(chosen + [step], step + apart)

    search([], 0)
    return mpf(best) / mpf(event['sigma']) ** 2


def gaussian(events, epsilon):
    squared = mpf(0)
    for event in events:
        one = tree_ratio(event) if event['mechanism'] == 'tree_aggregation' else 1 / mpf(event['sigma']) ** 2
        squared += one * event['count']
    return gaussian_delta(sqrt(squared), mpf(epsilon))


def sampled_once(events, epsilon):
    (event,) = events
    q, e = mpf(event['q']), exp(mpf(epsilon))
    if 'sigma' in event:
        s = mpf(event['sigma'])
        # ratio of the mixture to the base is 1 - q + q·exp((x - 1/2)/s²)
        above = lambda at: tail(at / s), lambda at: tail((at - 1) / s)
        where = lambda ratio: s * s * log(ratio) + mpf(1) / 2
    else:
        b = mpf(event['scale'])
        law = lambda at: exp(-at / b) / 2 if at >= 0 else 1 - exp(at / b) / 2
        above = law, lambda at: law(at - 1)
        # ln of the ratio runs from -1/b to 1/b between 0 and 1.
        def where(ratio):
            y = log(ratio) * b
            return None if y >= 1 else (mpf('-inf') if y <= -1 else (y + 1) / 2)
    base, shifted = above
    results = [mpf(0)]
    ratio = (e - 1 + q) / q
    at = where(ratio)
    if at is not None:
        results.append((1 - q) * base(at) + q * shifted(at) - e * base(at))
    least = (1 / e - 1 + q) / q
    if least > 0:
        at = where(least)
        if at is not None and at != mpf('-inf'):
            below = 1 - base(at)
            results.append(below - e * ((1 - q) * below + q * (1 - shifted(at))))
        elif at is None:
            results.append(1 - e * 1)
    return max(results)


def integers(variance, reach):
    masses = [exp(-mpf(x * x) / (2 * variance)) for x in range(-reach, reach + 1)]
    total = sum(masses)
    return [mass / total for mass in masses]


def discrete(events, epsilon):
    (event,) = events
    shift, q = event.get('sensitivity', 1), mpf(event.get('q', 1))
    shares = event.get('shares', 1)
    variance = mpf(event['sigma2'])
    deviation = math.sqrt(float(event['sigma2']) * shares)
    reach = int(13 * deviation) + 4 + shift
    if shares == 1:
        law = integers(variance, reach)
    else:
        one = np.array([float(m) for m in integers(variance, reach)])
        law = one
        for _ in range(shares - 1):
            law = np.convolve(law, one)[reach:-reach]
        law = [mpf(float(m)) for m in law]
    e = exp(mpf(epsilon))
    at = lambda x: law[x + reach] if -reach <= x <= reach else mpf(0)
    removed = added = mpf(0)
    for x in range(-reach, reach + shift + 1):
        base = at(x)
        mixed = (1 - q) * base + q * at(x - shift)
        removed += max(mpf(0), mixed - e * base)
        added += max(mpf(0), base - e * mixed)
    return max(removed, added)


def vector(events, epsilon):
    (event,) = events
    shares, squared = event['shares'], event['sensitivity'] ** 2
    variance = float(event['sigma2'])
    reach = int(8.5 * math.sqrt(variance * shares)) + 6 + event['sensitivity']
    one = np.exp(-np.arange(-reach, reach + 1) ** 2.0 / (2 * variance))
    one /= one.sum()
    law = one
    for _ in range(shares - 1):
        law = np.convolve(law, one)[reach:-reach]
    moved = lambda by: np.concatenate([np.zeros(by), law[: len(law) - by]]) if by else law
    plane = np.outer(law, law)
    worst = 0.0
    for a in range(int(math.isqrt(squared)) + 1):
        for b in range(a + 1):
            if a * a + b * b <= squared:
                other = np.outer(moved(a), moved(b))
                worst = max(worst, np.maximum(0, other - math.exp(epsilon) * plane).sum())
    return worst


def responses(events, epsilon):
    (event,) = events
    count = event['count']
    if event['mechanism'] == 'randomised_response':
        p, k = mpf(event['p']), event['categories']
        other = (1 - p) / (k - 1)
        unit = log(p / other)
        masses = {1: p, -1: other} if k == 2 else {1: p, 0: (k - 2) * other, -1: other}
        if unit < 0:
            masses = {-at: mass for at, mass in masses.items()}
            unit = -unit
            masses = {1: other, -1: p} if k == 2 else {1: other, 0: (k - 2) * other, -1: p}
    else:
        # Discrete Laplace, distance 1: the loss is ±1/scale.
        unit = 1 / mpf(event['scale'])
        high = 1 / (1 + exp(-unit))
        masses = {1: high, -1: 1 - high}
    low = min(masses)
    one = [masses.get(low + i, mpf(0)) for i in range(max(masses) - low + 1)]
    # Powers of a short polynomial in exact order.
    law = [mpf(1)]
    base, left = one, count
    while left:
        if left & 1:
            law = product(law, base)
        left >>= 1
        if left:
            base = product(base, base)
    total = mpf(0)
    for i, mass in enumerate(law):
        loss = (i + count * low) * unit
        if loss > epsilon:
            total += mass * (1 - exp(epsilon - loss))
    return total


def product(a, b):
    out = [mpf(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return out


class Line:
    """ln of the moment function of all releases in one direction, at complex orders s = theta + i·omega."""

    def __init__(self, events, direction):
        self.parts = []
        self.variance = sum(e['count'] / e['sigma'] ** 2 for e in events if e['mechanism'] == 'gaussian')
        for event in events:
            if event['mechanism'] == 'gaussian':
                continue
            s, q = event['sigma'], event['q']
            self.parts.append((s, q, event['count'], direction))

    def log_moment(self, theta, omega):
        order = theta + 1j * omega
        total = (order + order * order) / 2 * self.variance
        for s, q, count, direction in self.parts:
            most = 1 + theta + 13 * s if direction == 'remove' else 13 * s
            least = -13 * s if direction == 'remove' else -(theta + 13 * s)
            step = min(s / 24, 0.08 * s * s / max(1.0, 0.15 * float(np.max(omega))))
            points = min(int((most - least) / step) + 2, 3000)
            x, h = np.linspace(least, most, points, retstep=True)
            z = (x - 0.5) / (s * s)
            mix = np.logaddexp(math.log1p(-q), math.log(q) + z)
            base = -(x * x) / (2 * s * s) - math.log(s * math.sqrt(2 * math.pi))
            loss, weight = (mix, base + mix) if direction == 'remove' else (-mix, base)
            tilted = weight + theta * loss
            peak = tilted.max()
            mass = np.exp(tilted - peak) * h
            values = np.empty(len(omega), complex)
            for i in range(0, len(omega), 256):
                values[i : i + 256] = np.exp(1j * np.outer(omega[i : i + 256], loss)) @ mass
            # ln with the phase followed from 0 on.
            phase = np.unwrap(np.angle(values))
            total = total + count * (np.log(np.abs(values) + 1e-300) + peak + 1j * phase)
        return total


def composed(events, epsilons):
    worst = [(-1.0, 0.0)] * len(epsilons)
    for direction in ('remove', 'add'):
        line = Line(events, direction)
        zero = np.zeros(1)
        objective = lambda t: float(line.log_moment(t, zero)[0].real) - t * epsilons[0] - math.log(t * (t + 1))
        low, high = math.log(1e-2), math.log(1e5)
        for _ in range(48):
            a, b = low + 0.382 * (high - low), low + 0.618 * (high - low)
            if objective(math.exp(a)) < objective(math.exp(b)):
                high = b
            else:
                low = a
        theta = math.exp((low + high) / 2)
        near = [float(line.log_moment(theta * f, zero)[0].real) for f in (0.98, 1, 1.02)]
        deviation = math.sqrt(max(1e-12, (near[0] - 2 * near[1] + near[2]) / (0.02 * theta) ** 2))
        step = 2 * math.pi / (26 * deviation + 34 / min(theta, 1 + theta))
        last = 9.0 / deviation
        floor = line.log_moment(theta, zero)[0].real - 34
        while last < 400 / deviation:
            if line.log_moment(theta, np.array([0.0, last]))[1].real < floor - 2 * math.log(max(1.0, last)):
                break
            last *= 1.4
        omega = np.arange(0, last + step, step)
        if len(omega) > 2600:
            return None
        logs = line.log_moment(theta, omega)
        left = math.exp(min(0.0, logs[-1].real - logs[0].real)) * last
        for i, epsilon in enumerate(epsilons):
            order = theta + 1j * omega
            terms = np.exp(logs - logs[0].real - order * epsilon + theta * epsilon) / (order * (order + 1))
            value = (terms[1:].real.sum() + terms[0].real / 2) * step / math.pi
            scale = math.exp(logs[0].real - theta * epsilon)
            error = scale * (left + 3e-12 * step * np.abs(terms).sum() * max(1, sum(p[2] for p in line.parts)) ** 0.5)
            if value * scale + error > sum(worst[i]):
                worst[i] = (value * scale, error)
    # Where it is not sure of seven digits it does not judge.
    return worst if all(0 < error < 1e-7 * value for value, error in worst) else None


EXACT = {
    'gaussian': gaussian,
    'sampled_once': sampled_once,
    'discrete': discrete,
    'responses': responses,
    'vector': vector,
}


def answer(plan):
    kind = plan['kind']
    if kind == 'composed':
        found = composed(plan['events'], plan['points'])
        if found is None:
            return {'deltas': None}
        return {'deltas': [{'low': value - error, 'high': value + error} for value, error in found]}
    deltas = []
    for epsilon in plan['points']:
        value = float(EXACT[kind](plan['events'], epsilon))
        rounding = ROUND if kind != 'vector' else 1e-10
        slack = value * rounding + (1e-13 if kind in ('vector', 'discrete') else 0)
        deltas.append({'low': value - slack, 'high': value + slack})
    return {'deltas': deltas}


def main():
    for text in sys.stdin:
        print(json.dumps(answer(json.loads(text))), flush=True)


main()
