/**
 * Loads the protocol definitions, once, with one set of options.
 *
 * For: every gRPC server and client of the project. Trusts: the .proto files of this package.
 *
 * Messages are plain objects: camelCase names, 64-bit integers as Number (receivers must check
 * `Number.isSafeInteger`), bytes as Buffer, enums as their names, absent fields as their defaults, `oneof` with a
 * discriminating field, absent messages as null.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type Options, type PackageDefinition } from '@grpc/proto-loader';
import { ensure } from '../../crypto/error.ts';

export const protosDir = join(import.meta.dirname, '..');
const packageDir = join(protosDir, 'pulsefold', 'v1');

export const loaderOptions: Options = {
  keepCase: false,
  longs: Number,
  enums: String,
  defaults: true,
  arrays: true,
  objects: true,
  oneofs: true,
  includeDirs: [protosDir],
};

let loaded: PackageDefinition | undefined;

/** All of protos/pulsefold/v1. */
export function loadPackage(): PackageDefinition {
  if (!loaded) {
    const files = readdirSync(packageDir)
      .filter((name) => name.endsWith('.proto'))
      .sort()
      .map((name) => join('pulsefold', 'v1', name));
    loaded = loadSync(files, loaderOptions);
  }
  return loaded;
}

export interface LoadedService {
  readonly fullName: string;
  readonly definition: ServiceDefinition;
}
/** Short name (`Registrar`), full name, or a definition from elsewhere (gRPC health). */
export type ServiceReference = string | LoadedService;

/** Throws CONFIG_INVALID when there is no such service. */
export function serviceDefinition(service: ServiceReference): LoadedService {
  if (typeof service !== 'string') return service;
  const fullName = service.includes('.') ? service : `pulsefold.v1.${service}`;
  const definition = loadPackage()[fullName];
  const isService = definition !== undefined && !('format' in definition);
  ensure(isService, 'CONFIG_INVALID', `no service ${fullName} in protos/pulsefold/v1`);
  return { fullName, definition: definition as unknown as ServiceDefinition };
}
