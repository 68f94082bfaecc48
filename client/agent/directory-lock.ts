/**
 * One agent per client directory: two would seal two different updates for one round.
 *
 * The lock file names a process and when it started, so that a lock left by a killed process is taken over and a
 * process number that was given out again does not keep it. Trusts: /proc where there is one (elsewhere the process
 * number alone counts). May be called by: client/.
 */

import { randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PulsefoldError } from '../../crypto/error.ts';

const LOCK_FILE = 'agent.lock';
const heldHere = new Set<string>();

/** Start time of a process in clock ticks since boot; '' where the system does not tell. */
async function startOf(processId: number): Promise<string> {
  try {
    const text = await readFile(`/proc/${processId}/stat`, 'utf8');
    // The name in parentheses may hold spaces; start time is field 22, the 20th after it.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

async function isAlive(owner: string): Promise<boolean> {
  const [processId = '', start = ''] = owner.split(' ');
  if (!/^\d{1,10}$/.test(processId) || Number(processId) === process.pid) return false;
  try {
    process.kill(Number(processId), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return start === '' || (await startOf(Number(processId))) === start;
}

const inUse = (directory: string): PulsefoldError =>
  new PulsefoldError(
    'CONFIG_INVALID',
    `${directory} is in use by another agent: stop it, or give this one its own directory`,
  );

/** Takes the lock; the returned function gives it back. Throws CONFIG_INVALID when another agent holds it. */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const path = resolve(directory, LOCK_FILE);
  if (heldHere.has(path)) throw inUse(directory);
  heldHere.add(path);
  const candidate = join(directory, `${LOCK_FILE}.${randomUUID()}`);
  try {
    await writeFile(candidate, `${process.pid} ${await startOf(process.pid)}`, { mode: 0o600, flag: 'wx' });
    for (let attempt = 0; ; attempt++) {
      try {
        // A link appears with its content: nobody reads a lock that is half written.
        await link(candidate, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        const owner = await readFile(path, 'utf8').catch(() => '');
        if (attempt > 3 || (await isAlive(owner))) throw inUse(directory);
        await rm(path, { force: true });
      }
    }
  } catch (error) {
    heldHere.delete(path);
    throw error;
  } finally {
    await rm(candidate, { force: true });
  }
  return async () => {
    await rm(path, { force: true });
    heldHere.delete(path);
  };
}
