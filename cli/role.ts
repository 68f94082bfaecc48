/**
 * The life of a role's process: ready line, signals, clean stop.
 *
 * For: the role commands of cli/. Trusts: the role it runs. SIGTERM and SIGINT stop it, a second one ends the process
 * at once; both with the exit code that shells expect when forced (128 + signal).
 */
import { constants } from 'node:os';
import { type CommonOptions, printJson, printLine } from './command.ts';

export interface RunningRole {
  readonly port: number;
  stop(): Promise<void>;
}

export interface RoleStart<Running extends RunningRole> {
  readonly role: string;
  readonly options: CommonOptions;
  start(): Promise<Running>;
  /** Further fields of the `listening` event. */
  describe?(running: Running): object;
  /** The same for people, instead of "on port N". */
  sentence?(running: Running): string;
}

/** Starts the role and returns when it has been stopped by a signal. */
export async function runRole<Running extends RunningRole>(role: RoleStart<Running>): Promise<void> {
  const { json } = role.options;
  // The handlers come before the start: a signal in between must not leave a half-open store behind.
  const asked = stopSignal();
  const running = await role.start();
  if (json)
    printJson({ event: 'listening', role: role.role, port: running.port, ...role.describe?.(running) });
  else
    printLine(
      `${role.role} is ready ${role.sentence?.(running) ?? `on port ${running.port}`}; stop with Ctrl-C`,
    );
  const signal = await asked;
  if (!json) printLine(`${role.role} is stopping (${signal}); a second signal forces it`);
  await running.stop();
  if (json) printJson({ event: 'stopped', role: role.role });
  else printLine(`${role.role} has stopped`);
  // Sockets and timers of libraries may keep the loop alive; everything of ours is closed.
  process.exit(process.exitCode ?? 0);
}

/** Resolves with the first signal; the second one ends the process. `onStop` runs on the first. */
export function stopSignal(onStop: () => void = () => {}): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let stopping = false;
    const handle = (signal: NodeJS.Signals): void => {
      if (stopping) process.exit(128 + constants.signals[signal]);
      stopping = true;
      onStop();
      resolve(signal);
    };
    process.on('SIGTERM', handle);
    process.on('SIGINT', handle);
  });
}
