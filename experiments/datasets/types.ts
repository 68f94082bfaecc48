/**
 * What a data set of the experiments is: definition (what the registry knows) and loaded form.
 *
 * For: experiments/ and cli/. Everything here is the `harness`: all rows in one place, outside the guarantee
 * (DESIGN §2.12). Client and coordinator code never import it.
 */
import type { Row } from '../../client/sources/csv.ts';
import type { TrainingData } from '../../client/training/engine.ts';
import type { FeatureSchema } from '../../protos/features.ts';

export type DatasetName = 'uci-heart' | 'cardio' | 'nhanes' | 'pima' | 'synthetic-band';

export interface DatasetRow {
  /** 0-based row of the source file before cleaning (of the generator for synthetic data). */
  readonly index: number;
  /** Natural client the row belongs to: hospital, survey cycle; one constant where there is none. */
  readonly site: string;
  /**
   * Who the row is about, unique within the data set; rows of one person must stay on one side of a split.
   */
  readonly person: string;
  readonly values: Row;
}

/** A table file of a data set and how to know it is the right one. */
export interface DatasetFile {
  /** Path under the data root. */
  readonly path: string;
  readonly delimiter: ',' | ';';
  /** SHA-256 of the file as distributed with the project's research data. */
  readonly sha256: string;
  /** SHA-256 of its decompressed text: gzip bytes differ between writers, the text does not. */
  readonly textSha256: string;
}

export interface DatasetDefinition {
  readonly name: DatasetName;
  readonly title: string;
  readonly licence: string;
  readonly citation: string;
  /** 'record': many rows per hospital; 'person': one row is one person with a phone. */
  readonly unit: 'record' | 'person';
  readonly schema: FeatureSchema;
  /** Rows left after cleaning; checked on load. Undefined for synthetic data. */
  readonly cleanRows?: number;
  readonly file?: DatasetFile;
  /** Public cleaning rules; drops rows, never changes or adds a value. */
  clean(rows: readonly Row[]): DatasetRow[];
}

/** All clean rows, encoded under the schema; row i of `rows` is row i of `features` and `labels`. */
export interface Dataset extends TrainingData {
  readonly definition: DatasetDefinition;
  readonly schema: FeatureSchema;
  readonly rows: readonly DatasetRow[];
  readonly inputs: number;
  /** Distinct sites, sorted. */
  readonly sites: readonly string[];
  /** File name, or 'generated (seed …)'. */
  readonly source: string;
}
