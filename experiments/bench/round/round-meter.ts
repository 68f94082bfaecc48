/**
 * What /proc says of a process: CPU time, largest resident set, open files. Linux only.
 *
 * May be called by: experiments/bench/round.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { PulsefoldError } from '../../../crypto/error.ts';

/** Kernel clock ticks per second in /proc: 100 on every Linux (USER_HZ). */
const TICKS_PER_SECOND = 100;

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new PulsefoldError('UNAVAILABLE', `${path} cannot be read: is the process gone?`, { cause });
  }
}

/** User and system CPU milliseconds of all threads so far. */
export function cpuMsOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

const statusMb = (pid: number, field: string): number => {
  const line = read(`/proc/${pid}/status`)
    .split('\n')
    .find((one) => one.startsWith(`${field}:`));
  return (Number(line?.replace(/\D/g, '')) * 1024) / 1e6;
};

/** Largest resident set so far, MB of 10^6 bytes. */
export const peakRssMbOf = (pid: number): number => statusMb(pid, 'VmHWM');
/** Resident set now, MB. */
export const rssMbOf = (pid: number): number => statusMb(pid, 'VmRSS');

/** Open file descriptors. */
export function openFilesOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}
