/** Goal: an artefact is loaded once while it is in use; memory stays bounded; what does not exist is asked for again. */
import { expect, test } from 'vitest';
import { BlobCache } from './blob-cache.ts';

const MIB = 1024 * 1024;

test('loads once, keeps the latest used within its bytes, remembers no absence', () => {
  const cache = new BlobCache();
  const loads: string[] = [];
  const get = (digest: string, bytes: number) =>
    cache.get(digest, () => {
      loads.push(digest);
      return bytes > 0 ? new Uint8Array(bytes) : undefined;
    })?.length;
  expect(get('a', 30 * MIB)).toBe(30 * MIB);
  expect(get('b', 30 * MIB)).toBe(30 * MIB);
  get('a', 30 * MIB);
  expect(loads).toEqual(['a', 'b']);
  // b is the one that was not used for longest.
  get('c', 30 * MIB);
  get('a', 30 * MIB);
  expect(loads).toEqual(['a', 'b', 'c']);
  get('b', 30 * MIB);
  expect(loads).toEqual(['a', 'b', 'c', 'b']);
  expect(get('huge', 100 * MIB)).toBe(100 * MIB);
  get('huge', 100 * MIB);
  expect(loads.slice(4)).toEqual(['huge']);
  expect(get('none', 0)).toBeUndefined();
  expect(get('none', 1)).toBe(1);
});
