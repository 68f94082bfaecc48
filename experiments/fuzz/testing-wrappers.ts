/**
 * Wrappers with which bugs are planted (testing-planted.ts): ports around role code that stays as it is.
 *
 * For tests only. Not exported by the package.
 */
import type { Sealer } from '../../client/agent/seal.ts';
import type { ClientState, ClientStore } from '../../client/agent/store.ts';
import type { Database, Store } from '../../coordinator/storage/store.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import type { Secagg } from '../../crypto/secagg/scheme.ts';
import type { HolderStoreMaker } from './holder-process.ts';
import type { PlantedBug } from './planted.ts';
import { GatedHolderStore } from './stores.ts';

type WrapStore = NonNullable<NonNullable<PlantedBug['coordinator']>['wrapStore']>;

/** `store` with `transaction` or `enqueue` of some names replaced. */
function wrapped(store: Store, changes: Partial<Pick<Store, 'transaction' | 'enqueue' | 'read'>>): Store {
  return new Proxy(store, {
    get(target, name) {
      const changed: unknown = Reflect.get(changes, name);
      if (changed) return changed;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** `use` runs on the bare disk right after a transaction of this name. */
export const afterTransaction =
  (wanted: string, use: (db: Database) => void): WrapStore =>
  (store, disk) =>
    wrapped(store, {
      transaction(name, fn) {
        const value = store.transaction(name, fn);
        if (name === wanted) disk.transaction('planted', use);
        return value;
      },
    });

/** Reads of this name find no row where the statement matches. */
export const blindTo =
  (wanted: string, statement: RegExp): WrapStore =>
  (store) =>
    wrapped(store, {
      read(name, fn) {
        if (name !== wanted) return store.read(name, fn);
        return store.read(name, (db) =>
          fn({
            run: (sql, ...values) => db.run(sql, ...values),
            get: (sql, ...values) => (statement.test(sql) ? undefined : db.get(sql, ...values)) as never,
            all: (sql, ...values) => (statement.test(sql) ? [] : db.all(sql, ...values)) as never,
          }),
        );
      },
    });

/** The first body counts twice. */
export const foldsTwice = (secagg: Secagg): Secagg =>
  new Proxy(secagg, {
    get(target, name) {
      if (name === 'folder')
        return (...values: Parameters<Secagg['folder']>) => {
          const folder = target.folder(...values);
          let isFirst = true;
          return new Proxy(folder, {
            get(inner, key) {
              const method: unknown = Reflect.get(inner, key, inner);
              if (typeof method !== 'function') return method;
              return (...parts: unknown[]) => {
                if ((key === 'add' || key === 'addRead') && isFirst) {
                  isFirst = false;
                  method.apply(inner, parts);
                }
                return method.apply(inner, parts);
              };
            },
          });
        };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

/** Every statement of a transaction of this name is durable for itself, and the disk is full before the third one. */
export const inPieces =
  (wanted: string): WrapStore =>
  (store) => {
    let writes = 0;
    return wrapped(store, {
      transaction(name, fn) {
        if (name !== wanted) return store.transaction(name, fn);
        const piece = <T>(work: (db: Database) => T): T => store.transaction('planted-piece', work);
        return fn({
          run(sql, ...values) {
            if (++writes === 3) throw new PulsefoldError('UNAVAILABLE', 'store: the disk is full');
            return piece((db) => db.run(sql, ...values));
          },
          get: (sql, ...values) => piece((db) => db.get(sql, ...values)) as never,
          all: (sql, ...values) => piece((db) => db.all(sql, ...values)) as never,
        });
      },
    });
  };

/** A transaction of this name happens twice, and its mark does not stop the second time. */
export const twice =
  (wanted: string, mark: string): WrapStore =>
  (store, disk) =>
    wrapped(store, {
      transaction(name, fn) {
        const value = store.transaction(name, fn);
        if (name !== wanted) return value;
        disk.transaction('planted', (db) => {
          db.run('DELETE FROM once WHERE mark LIKE ?', mark);
        });
        return store.transaction(name, fn);
      },
    });

/** Says that a write is durable and forgets it. */
export const forgets =
  (wanted: RegExp): WrapStore =>
  (store) => {
    const undo = Symbol('undo');
    return wrapped(store, {
      async enqueue(name, fn) {
        if (!wanted.test(name)) return store.enqueue(name, fn);
        let value: ReturnType<typeof fn> | undefined;
        await store
          .enqueue(name, (db) => {
            value = fn(db);
            throw undo;
          })
          .catch((error: unknown) => {
            if (error !== undo) throw error;
          });
        return value as ReturnType<typeof fn>;
      },
    });
  };

/** A holder that forgets what it signed. */
export const forgetful: HolderStoreMaker = (path, life, gate) => {
  const store = new GatedHolderStore(path, life, gate);
  store.statement = () => undefined;
  store.putStatement = () => {};
  return store;
};

/** A holder whose stored signatures are damaged. */
export const damaged: HolderStoreMaker = (path, life, gate) => {
  const store = new GatedHolderStore(path, life, gate);
  const statement = store.statement.bind(store);
  store.statement = (at) => {
    const stored = statement(at);
    return stored && { ...stored, signature: stored.signature.map((byte) => byte ^ 1) };
  };
  return store;
};

/** Whatever it seals, under the mask and for the seeds of the first one. */
export function sealerWithOneMask(sealer: Sealer): Sealer {
  let mask: Int16Array | undefined;
  let holderPart: Uint8Array | undefined;
  return {
    seal(request) {
      const digits = request.digits.slice();
      const sealed = sealer.seal(request);
      mask ??= new Int16Array(sealed.body.slice().buffer).map((word, i) => word - (digits[i] ?? 0));
      holderPart ??= sealed.holderPart;
      const words = mask.map((word, i) => word + (digits[i] ?? 0));
      return { body: new Uint8Array(words.buffer), holderPart };
    },
  };
}

const deviceStore = (changes: Partial<ClientStore>, store: ClientStore): ClientStore =>
  new Proxy(store, {
    get(target, name) {
      const changed: unknown = Reflect.get(changes, name);
      if (changed) return changed;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

export const savesOnly = (
  change: (state: ClientState) => ClientState,
): NonNullable<PlantedBug['device']> => ({
  wrapStore: (store) =>
    deviceStore({ saveState: (state) => store.saveState(change(structuredClone(state))) }, store),
});
