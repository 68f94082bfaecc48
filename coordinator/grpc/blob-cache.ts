/**
 * The artefacts that devices fetch now, in memory: every device of a round reads the same model, page by page.
 *
 * Content-addressed, so nothing here can be out of date. May be called by: coordinator/grpc/rounds-service.ts.
 */

const BYTES_MAX = 64 * 1024 * 1024;

export class BlobCache {
  readonly #blobs = new Map<string, Uint8Array>();
  #bytes = 0;

  /** The artefact of this digest; `load` is asked where it is not at hand. */
  get(digest: string, load: () => Uint8Array | undefined): Uint8Array | undefined {
    const known = this.#blobs.get(digest);
    const data = known ?? load();
    if (!data) return undefined;
    if (known) this.#blobs.delete(digest);
    else this.#bytes += data.length;
    this.#blobs.set(digest, data);
    // The one just asked for stays, whatever its size.
    for (const [oldest, { length }] of this.#blobs) {
      if (this.#bytes <= BYTES_MAX || this.#blobs.size === 1) break;
      this.#blobs.delete(oldest);
      this.#bytes -= length;
    }
    return data;
  }
}
