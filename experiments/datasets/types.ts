/**
 * What a data set of the experiments is: definition (what the registry knows) and loaded form.
 *
 * For: experiments/ and cli/. Everything here is the `harness`: all rows in one place, outside the guarantee
 * (DESIGN §2.12). Client and coordinator code never import it.
 */
import type { Row } from '../../client/sources/csv.ts';
import type { TrainingData } from '../../client/training/engine.ts';
import type { FeatureSchema } from '../../protos/features.ts';

export const datasetNames = [
  'uci-heart',
  'cardio',
  'nhanes',
  'pima',
  'wisdm',
  'mitbih-af',
  'apnea',
  'lifesnaps',
  'synthetic-band',
] as const;
export type DatasetName = (typeof datasetNames)[number];

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
  /** Default 1,000,000. */
  readonly rowsMax?: number;
  /** SHA-256 of the file as distributed with the project's research data. */
  readonly sha256: string;
  /** SHA-256 of its decompressed text: gzip bytes differ between writers, the text does not. */
  readonly textSha256: string;
}

/** How rows become a training and a test side; split-rules.ts says what each means and when it is refused. */
export type SplitRule =
  | { readonly rule: 'per-site'; readonly share?: number }
  | { readonly rule: 'index-mod-5' }
  | { readonly rule: 'by-person'; readonly fold: number; readonly folds: number }
  | { readonly rule: 'leave-site-out'; readonly site: string }
  | { readonly rule: 'next-cycle' }
  | { readonly rule: 'random'; readonly share?: number };

/** Whose phones or hospitals the rows lie on; clients.ts says when each is refused. */
export type ClientRule =
  | { readonly kind: 'site' }
  | { readonly kind: 'person' }
  | { readonly kind: 'row' }
  | {
      readonly kind: 'dirichlet';
      readonly alpha: number;
      readonly clients: number;
      readonly seed: string;
    };

export interface DatasetDefinition {
  /** A DatasetName, or the name a schema file gives. */
  readonly name: string;
  readonly title: string;
  readonly licence: string;
  readonly citation: string;
  /** 'record': many rows per hospital; 'person': the rows are those of people with a phone each. */
  readonly unit: 'record' | 'person';
  /** True where one person has many rows; otherwise a person that occurs twice is refused. */
  readonly manyRowsPerPerson?: true;
  /** What a site is. 'cycle': sites are periods, in the order of their names. */
  readonly siteKind: 'hospital' | 'region' | 'cycle' | 'none';
  /** The split whose test figures mean what they seem to mean. */
  readonly split: SplitRule;
  /** The natural clients and how many there are. */
  readonly clients: { readonly by: ClientRule['kind']; readonly count: number | null };
  /** Columns that give the label, the person or the hospital away, with the reason; refused as inputs. */
  readonly neverInputs?: Readonly<Record<string, string>>;
  readonly schema: FeatureSchema;
  /** Rows left after cleaning; checked on load. Undefined for synthetic data. */
  readonly cleanRows?: number;
  readonly file?: DatasetFile;
  /** Further tables that `clean` needs, in its order. */
  readonly furtherFiles?: readonly DatasetFile[];
  /**
   * Public cleaning rules: drops rows, or derives one row of inputs from many measurements of the same
   * person (beats of a minute, days of a week). Never looks at another person's rows.
   */
  clean(rows: readonly Row[], further: readonly (readonly Row[])[]): DatasetRow[];
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
