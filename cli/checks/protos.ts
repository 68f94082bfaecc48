/**
 * Generates protos/gen, the TypeScript types of protos/pulsefold/v1; with --check, compares them instead.
 *
 * For: `npm run protos`, `npm run check`. Trusts: @grpc/proto-loader. The options are those of protos/transport/load.ts,
 * else the types would describe other objects than the ones that arrive.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..', '..');
const committed = join(root, 'protos', 'gen');
const FLAGS = [
  '--longs=Number',
  '--enums=String',
  '--defaults',
  '--arrays',
  '--objects',
  '--oneofs',
  '--grpcLib=@grpc/grpc-js',
  '--targetFileExtension=.ts',
  '--importFileExtension=.ts',
];

export function generateTypes(outDirectory: string): void {
  const files = readdirSync(join(root, 'protos', 'pulsefold', 'v1'))
    .filter((name) => name.endsWith('.proto'))
    .sort()
    .map((name) => `pulsefold/v1/${name}`);
  const generator = join(root, 'node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js');
  const directories = ['--includeDirs=protos', `--outDir=${outDirectory}`];
  execFileSync(process.execPath, [generator, ...FLAGS, ...directories, ...files], {
    cwd: root,
    stdio: 'inherit',
  });
}

const filesUnder = (directory: string): string[] => {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
      .sort();
  } catch {
    return [];
  }
};

/** Files that are missing, too many or different in `directory`, compared with `expected`. */
export function differences(expected: string, directory: string): string[] {
  const wanted = filesUnder(expected);
  const found = filesUnder(directory);
  const extra = found.filter((file) => !wanted.includes(file));
  const changed = wanted.filter(
    (file) =>
      !found.includes(file) ||
      readFileSync(join(expected, file), 'utf8') !== readFileSync(join(directory, file), 'utf8'),
  );
  return [...changed, ...extra].sort();
}

function main(): void {
  if (!process.argv.includes('--check')) {
    rmSync(committed, { recursive: true, force: true });
    generateTypes(committed);
    return;
  }
  const fresh = mkdtempSync(join(tmpdir(), 'pulsefold-protos-'));
  try {
    generateTypes(fresh);
    const count = filesUnder(fresh).length;
    const different = differences(fresh, committed);
    if (different.length > 0 || count === 0) {
      const names = different.slice(0, 10).join(', ');
      process.stderr.write(
        `error: protos/gen does not fit the .proto files (${names}): run "npm run protos"\n`,
      );
      process.exitCode = 1;
    } else {
      process.stdout.write(`protos: ${count} generated files are up to date\n`);
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

if (import.meta.main) main();
