import { expect, it } from 'vitest';
import { DeviceMemories, memoryArraysOf } from './device-memories.ts';
import { testPlan } from './testing-plans.ts';

const devices = 2;
const memoriesOf = (training: object) =>
  new DeviceMemories(memoryArraysOf(testPlan({ devices, privacy: null, training }).plan, devices)!);
const values = (value: number) => new Float32Array(6).fill(value);

it('scaffold keeps c_i of certified rounds only: the server’s c has not moved by the others', async () => {
  const memories = memoriesOf({ strategy: 'scaffold', populationCount: devices });
  const [one, late] = [memories.of(0), memories.of(1)];
  const load = () => Promise.all([one.load('control'), late.load('control')]);
  for (const memory of [one, late]) await memory.save('control', values(1));
  expect(await load()).toEqual([null, null]);
  memories.certify([0]);
  memories.forgetOpen();
  expect(await load()).toEqual([values(1), null]);
  for (const memory of [one, late]) await memory.save('control', values(2));
  memories.forgetOpen();
  memories.certify([0, 1]);
  expect(await load()).toEqual([values(1), null]);
});

it('a personal model stays what it learned, counted or not', async () => {
  const memories = memoriesOf({ strategy: 'ditto', proximalMu: 0.1 });
  await memories.of(1).save('personal', values(3));
  memories.certify([0]);
  memories.forgetOpen();
  expect(await memories.of(1).load('personal')).toEqual(values(3));
});
