/**
 * Goal: what stands in an experiment file is what runs; what is wrong with it is said with file, line and column; the hash
 * covers what matters and nothing else.
 */
import { describe, expect, test } from 'vitest';
import { isPulsefoldError } from '../../crypto/error.ts';
import { parseExperiment } from './experiment.ts';
import { nearest } from './yaml-file.ts';

const GOOD = `# four hospitals
name: heart
dataset: uci-heart
clients: site
split: { rule: per-site, share: 0.66 }
model: { kind: lr }
training:
  strategy: fedavg
  epochs: 5
  batchSize: 16
  learningRate: 0.3
rounds: 6
privacy: { unit: record, epsilon: 3, gamma: 1/3, samplingRate: 1/2 }
seeds: 3
`;

const read = (text: string, overrides = {}) => parseExperiment(text, 'heart.yaml', overrides);

/** The message of what is thrown. */
function refusal(text: string, overrides = {}): string {
  try {
    read(text, overrides);
  } catch (error) {
    if (isPulsefoldError(error) && error.code === 'CONFIG_INVALID') return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('reading', () => {
  test('defaults, and numbers as the texts that plans use', () => {
    const { experiment, points } = read(GOOD);
    expect(points).toHaveLength(1);
    expect(experiment.seeds).toEqual(['0', '1', '2']);
    expect(experiment.dataset).toEqual({ name: 'uci-heart' });
    expect(experiment.clients).toEqual({ by: 'site' });
    expect(experiment.rounds).toEqual({ training: 6 });
    expect(experiment.privacy).toMatchObject({ epsilon: '3', delta: '0.00001', samplingRate: '1/2' });
    expect(experiment.simulation).toEqual({
      seal: 'none',
      identity: 'none',
      store: 'memory',
      noise: 'seeded',
      engine: 'kernel',
    });
  });

  test.each([
    ['0.000001', '0.000001'],
    ['1e-7', '0.0000001'],
    ['2.5e-7', '0.00000025'],
    ['0.5', '0.5'],
    ['"1/8"', '1/8'],
  ])('delta: %s becomes %s', (given, expected) => {
    const text = GOOD.replace('gamma: 1/3', `gamma: 1/3, delta: ${given}`);
    expect(read(text).experiment.privacy?.delta).toBe(expected);
  });

  test('seeds: a number or a list; one listed twice is refused', () => {
    expect(read(GOOD.replace('seeds: 3', 'seeds: [7, cold-start]')).experiment.seeds).toEqual([
      '7',
      'cold-start',
    ]);
    expect(refusal(GOOD.replace('seeds: 3', 'seeds: [7, "7"]'))).toMatch(/heart\.yaml:14:8: seeds: .*twice/);
  });
});

describe('errors name file, line, column and what to do', () => {
  test.each<[string, string, string, RegExp]>([
    [
      'a field misspelt',
      'epochs: 5',
      'epoch: 5',
      /heart\.yaml:9:3: training\.epoch: .*did you mean "epochs"\?/,
    ],
    ['a field at the top misspelt', 'seeds: 3', 'seed: 3', /heart\.yaml:14:1: seed: .*did you mean "seeds"/],
    [
      'a text for a number',
      'epochs: 5',
      'epochs: five',
      /heart\.yaml:9:11: training\.epochs: expected number/,
    ],
    ['out of range', 'learningRate: 0.3', 'learningRate: -1', /heart\.yaml:11:17: training\.learningRate: /],
    [
      'more than an engine takes',
      'learningRate: 0.3',
      'learningRate: 101',
      /heart\.yaml:11:17: training\.learningRate: .*100/,
    ],
    ['not one of', 'strategy: fedavg', 'strategy: fedavk', /heart\.yaml:8:13: training\.strategy: /],
    ['a rule that is not there', 'clients: site', 'clients: city', /heart\.yaml:4:10: clients/],
    ['a field of a nested map', 'share: 0.66', 'share: 1.5', /heart\.yaml:5:33: split\.share: /],
    [
      'inputs follow from the data',
      'kind: lr',
      'kind: lr, inputs: 3',
      /heart\.yaml:6:\d+: model\.inputs: follows from the data/,
    ],
    ['missing', 'model: { kind: lr }\n', '', /heart\.yaml:\d+:\d+: model: is missing/],
    [
      'a number with a comma',
      'epsilon: 3',
      'epsilon: "3,5"',
      /heart\.yaml:13:35: privacy\.epsilon: expected a number or a text/,
    ],
    ['an unknown nested field', 'gamma: 1/3', 'gama: 1/3', /privacy\.gama: .*did you mean "gamma"/],
    ['not YAML', 'rounds: 6', 'rounds: [6', /heart\.yaml:\d+:\d+: not valid YAML/],
    ['a repeated key', 'rounds: 6', 'rounds: 6\nrounds: 7', /heart\.yaml:13:1: not valid YAML: .*unique/],
    ['an alias', 'rounds: 6', 'rounds: &six 6\ndescription: *six', /aliases/],
  ])('%s', (_, from, to, expected) => {
    expect(GOOD).toContain(from);
    expect(refusal(GOOD.replace(from, to))).toMatch(expected);
  });

  test('several at once, five at most', () => {
    const message = refusal(GOOD.replace('epochs: 5', 'epochs: x').replace('rounds: 6', 'rounds: 0'));
    expect(message.split('\n')).toHaveLength(2);
  });

  test('an empty file, and one that is too long', () => {
    expect(refusal('')).toMatch(/^heart\.yaml:1:1: the file: expected object/);
    expect(refusal(`# ${'x'.repeat(70_000)}`)).toMatch(/at most 65536/);
  });
});

describe('sweeps', () => {
  const swept = (sweep: string): string => `${GOOD}sweep:\n${sweep}`;

  test('every combination, the last axis fastest; labels say which', () => {
    const file = read(swept('  privacy.epsilon: [1, 3]\n  training.epochs: [1, 5, 9]\n'));
    expect(file.points.map(({ label }) => label)).toEqual([
      'privacy.epsilon=1 training.epochs=1',
      'privacy.epsilon=1 training.epochs=5',
      'privacy.epsilon=1 training.epochs=9',
      'privacy.epsilon=3 training.epochs=1',
      'privacy.epsilon=3 training.epochs=5',
      'privacy.epsilon=3 training.epochs=9',
    ]);
    expect(file.points[5]!.experiment.training.epochs).toBe(9);
    expect(file.points[5]!.experiment.privacy?.epsilon).toBe('3');
    expect(file.points[0]!.experiment.training.epochs).toBe(1);
  });

  test('whole blocks, and none', () => {
    const file = read(
      swept(
        '  training:\n    - { strategy: fedavg, epochs: 1, batchSize: 1, learningRate: 1 }\n' +
          '    - { strategy: fedavgm, epochs: 2, batchSize: 1, learningRate: 1, serverMomentum: 0.5 }\n' +
          '  privacy: [null]\n',
      ),
    );
    expect(file.points.map(({ label }) => label)).toEqual([
      'training=fedavg#1 privacy=none',
      'training=fedavgm#2 privacy=none',
    ]);
    expect(file.points[1]!.experiment.training.serverMomentum).toBe(0.5);
    expect(file.points[1]!.experiment.privacy).toBeNull();
  });

  test('a bad value is reported where it stands in the sweep', () => {
    expect(refusal(swept('  training.epochs: [1, many]\n'))).toMatch(
      /heart\.yaml:16:24: training\.epochs: expected number/,
    );
    expect(refusal(swept('  training.epoch: [1]\n'))).toMatch(
      /heart\.yaml:16:\d+: training\.epoch: there is no such field/,
    );
    expect(refusal(swept('  seeds: [1]\n'))).toMatch(/cannot be swept/);
    expect(refusal(swept('  "__proto__.x": [1]\n'))).toMatch(/sweep/);
  });

  test('too many points, too many runs', () => {
    const many = `[${Array.from({ length: 40 }, (_, i) => i + 1).join(', ')}]`;
    expect(refusal(swept(`  training.epochs: ${many}\n  rounds: ${many}\n`))).toMatch(
      /1600 points, at most 1000/,
    );
    const runs = swept(`  training.epochs: ${many}\n`).replace('seeds: 3', 'seeds: 300');
    expect(refusal(runs)).toMatch(/40 points × 300 seeds/);
  });
});

describe('hash and overrides', () => {
  test('layout, comments and threads change nothing; every value does', () => {
    const { hashHex } = read(GOOD);
    const reordered = `seeds: 3\n${GOOD.replace('seeds: 3\n', '').replace('# four hospitals\n', '')}`;
    expect(read(reordered).hashHex).toBe(hashHex);
    expect(read(`${GOOD}simulation: { workers: 3 }\n`).hashHex).toBe(read(`${GOOD}simulation: {}\n`).hashHex);
    expect(read(GOOD.replace('0.3', '0.31')).hashHex).not.toBe(hashHex);
    expect(read(`${GOOD}simulation: { seal: shares }\n`).hashHex).not.toBe(hashHex);
  });

  test('an override is as good as another file', () => {
    const file = read(GOOD, { 'privacy.epsilon': 1, seeds: 2 });
    expect(file.experiment.privacy?.epsilon).toBe('1');
    expect(file.hashHex).toBe(
      read(GOOD.replace('epsilon: 3', 'epsilon: 1').replace('seeds: 3', 'seeds: 2')).hashHex,
    );
    expect(refusal(GOOD, { 'privacy.epsilom': 1 })).toMatch(
      /^--set privacy.epsilom: .*did you mean "epsilon"/,
    );
    expect(refusal(GOOD, { rounds: 0 })).toMatch(/^--set rounds: rounds: too small/);
  });

  test('a number of rounds leaves the other terms of rounds as they are', () => {
    const text = GOOD.replace(/^rounds: .*$/m, 'rounds: { training: 9, deadlineMs: 7000000 }');
    expect(text).not.toBe(GOOD);
    expect(read(text, { rounds: 4 }).experiment.rounds).toMatchObject({ training: 4, deadlineMs: 7_000_000 });
  });
});

test('nearest: close names only', () => {
  expect(nearest('epoch', ['epochs', 'batchSize'])).toBe('epochs');
  expect(nearest('Rounds', ['rounds'])).toBe('rounds');
  expect(nearest('momentum', ['epochs', 'batchSize'])).toBeUndefined();
});
