/**
 * The sets of the results page: which experiment files make them, and what others published on the same data.
 *
 * Pure. May be called by: experiments/results.
 */
export interface ResultSet {
  /** What --only takes. */
  readonly id: string;
  readonly title: string;
  /** Under the heading: what is predicted, who holds what, what tests. */
  readonly text: string;
  readonly tables: readonly ResultTable[];
  /** Runs whose released model new people's phones adapt further (personal.ts). */
  readonly personal?: readonly string[];
  readonly published: readonly Published[];
  /** What anybody could say without a model, by the metric of the set; remarks.ts holds the models against it. */
  readonly naive?: { readonly what: string; readonly value: number };
}

export interface ResultTable {
  readonly title: string;
  /** Files of experiments/plans/results without .yaml; the first has the baselines that the others pair with. */
  readonly runs: readonly string[];
}

export interface Published {
  readonly what: string;
  readonly figure: string;
  readonly source: string;
}

const FLAMBY = 'FLamby results_benchmark_fed_heart_disease@edacf54d: LR, mean of 5 seeds, 740 rows';
const NOTES = "this project's notes (plain numpy, untuned)";

/** In the order in which they run: quick ones first. */
export const SETS: readonly ResultSet[] = [
  {
    id: 'heart',
    title: 'Heart disease, four hospitals (uci-heart)',
    text:
      'Coronary disease, 740 records of Cleveland, Hungary, Switzerland and the VA; logistic regression, 14 inputs. Splits ' +
      "are FLamby's: 66 % of each hospital and label train, the rest tests. Under privacy the unit is a patient's record " +
      '(DP-SGD, one step a round). Leave-one-out: three hospitals train, the fourth tests; nothing there depends on a seed.',
    tables: [
      { title: 'Within hospitals', runs: ['heart', 'heart-dp'] },
      { title: 'A hospital that nobody has seen', runs: ['heart-leave-one-out'] },
    ],
    published: [
      { what: 'FLamby, pooled training, accuracy', figure: '.795', source: FLAMBY },
      { what: 'FLamby, FedAvg / FedProx / SCAFFOLD, accuracy', figure: '.748', source: FLAMBY },
      { what: 'FLamby, FedAdam; FedYogi / FedAdagrad, accuracy', figure: '.779', source: FLAMBY },
      { what: 'FLamby, Cyclic, accuracy', figure: '.785', source: FLAMBY },
      { what: 'FLamby, one hospital alone, accuracy', figure: '.784 .727 .483 .611', source: FLAMBY },
      {
        what: 'FLamby, DP-FedAvg, accuracy, mean over hospitals: no DP; ε = 10; ε = 1; ε = 0.1 (δ from 1e-4 to 0.1)',
        figure: '.712; ~.70; .685–.706; .606–.711',
        source: 'FLamby dp_example, same commit',
      },
      {
        what: '920 rows, accuracy: central SVM; central LR; federated SVM',
        figure: '.833; .787; .738',
        source: 'arXiv 2408.06183',
      },
      { what: 'FedAvg, leave one hospital out, AUC', figure: '.86 .87 .90 .71', source: NOTES },
    ],
  },
  {
    id: 'nhanes',
    title: 'Diabetes from questions and a tape measure (nhanes)',
    text:
      '4,390 adults of two survey cycles, no laboratory inputs; logistic regression; eight pretended clinics (Dirichlet ' +
      'over labels, α = 10). 66 % of each cycle and label train; besides, one cycle trains and the next tests. Under ' +
      'privacy the unit is a record, which is one person here.',
    tables: [
      { title: 'Within cycles', runs: ['nhanes', 'nhanes-dp'] },
      { title: 'The next cycle', runs: ['nhanes-next-cycle'] },
    ],
    published: [
      { what: 'LR central; FedAvg; next cycle FedAvg, AUC', figure: '.778; .774; .791', source: NOTES },
      {
        what: 'Random forest, AUC, other years (2017–20, n = 6,170)',
        figure: '.756',
        source: 'Dahal, as quoted in the notes',
      },
      {
        what: 'LightGBM, dysglycaemia (another label), AUC, n = 14,352',
        figure: '.820',
        source: 'arXiv 2606.16056',
      },
    ],
  },
  {
    id: 'atrial-fibrillation',
    title: 'Atrial fibrillation in minutes of beat intervals (mitbih-af)',
    text:
      '1,439 minutes of 47 people, seven of them with fibrillation; logistic regression, 17 inputs; one phone per person. ' +
      'New people: three deals of everybody into four folds. Under privacy the unit is a person.',
    tables: [{ title: 'New people', runs: ['atrial-fibrillation', 'atrial-fibrillation-dp'] }],
    published: [
      { what: 'LR central; FedAvg, new people, AUC', figure: '.92 (.85–.97); .93 (.87–.98)', source: NOTES },
      {
        what: 'Entropy rule, sensitivity and specificity',
        figure: '.978, .874',
        source: 'PLOS ONE 10:e0136544',
      },
    ],
  },
  {
    id: 'apnea',
    title: 'Apnoea in minutes of sleep (apnea)',
    text:
      '17,045 minutes of 35 nights of 25 people; logistic regression, 20 inputs from beat intervals; one phone per person. ' +
      'New people: two deals of everybody into five folds. Under privacy the unit is a person.',
    tables: [{ title: 'New people', runs: ['apnea', 'apnea-dp'] }],
    published: [
      { what: 'LR central; FedAvg, new people, AUC', figure: '.79; .82', source: NOTES },
      {
        what: 'RR and amplitude CNN-LSTM, accuracy; raw-ECG CNN, accuracy: official split, 23 of 35 test nights are of training people',
        figure: '.807; .879',
        source: 'Sensors 20:4157, as quoted in the notes',
      },
    ],
  },
  {
    id: 'wisdm',
    title: 'Six activities from an accelerometer (wisdm)',
    text:
      '5,418 windows of 36 people; one phone per person; accuracy. New people: two deals of everybody into five folds. ' +
      'Softmax regression, also under privacy (unit: a person), and a network of 32 units. With personalisation: a new ' +
      "person's phone trains the released network on the first five windows of each of that person's activities, and the " +
      'rest of them tests; the last two rows are of those test rows, without and with it.',
    tables: [
      { title: 'Softmax regression, new people', runs: ['wisdm', 'wisdm-dp'] },
      { title: 'Network of 32 units, with personalisation', runs: ['wisdm-mlp'] },
    ],
    personal: ['wisdm-mlp'],
    published: [
      {
        what: 'MLP-64 central; FedAvg; alone, new people, accuracy',
        figure: '.748; .698; .50',
        source: NOTES,
      },
      {
        what: 'MLP; J48; LR, accuracy, random 10-fold (windows of one person on both sides)',
        figure: '.917; .851; .781',
        source: 'Kwapisz 2010, from memory',
      },
    ],
  },
  {
    id: 'lifesnaps',
    title: "Tomorrow's resting heart rate (lifesnaps)",
    text:
      '4,089 days of 69 people; linear regression of the change until tomorrow, 20 inputs; one phone per person; mean ' +
      'absolute error in beats a minute, lower is better. New people: two deals of everybody into five folds. Under ' +
      'privacy the unit is a person.',
    tables: [{ title: 'New people', runs: ['lifesnaps', 'lifesnaps-dp'] }],
    naive: { what: '“as today”', value: 1.01 },
    published: [
      {
        what: '“As today”, MAE; on the rows used here',
        figure: '0.99; 1.01 bpm',
        source: `${NOTES}; datasets.md`,
      },
      { what: 'Mean of seven days, MAE', figure: '1.61 bpm', source: NOTES },
    ],
  },
  {
    id: 'cardio',
    title: 'Cardiovascular disease, a phone per person (cardio)',
    text:
      '68,619 people, one row each; test rows are those whose file index leaves 4 modulo 5, the same for every seed: seeds ' +
      'move noise, and for networks the initial weights. All of some 54,900 phones take part in every round of the logistic ' +
      'regression; the network trains on 20,000 of them, drawn by the seed, and its central baseline on the same. Unit: a ' +
      'person, δ = 1e-6. One row per person: no worst decile, and “alone” is a model of a single row. Six and ' +
      'twelve rounds bound computing time: what is missing to central is rounds, not privacy, as the rows without it show.',
    tables: [
      { title: 'Logistic regression, every phone', runs: ['cardio'] },
      { title: 'Network of 16 units, 20,000 phones', runs: ['cardio-mlp'] },
    ],
    published: [
      { what: 'LR central; MLP 32-16 central, AUC', figure: '.786; .794', source: NOTES },
      { what: 'FedAvg, 20 Dirichlet(0.5) clients, LR; MLP, AUC', figure: '.786; .793', source: NOTES },
      {
        what: 'XGBoost; CatBoost, accuracy',
        figure: '.729; .734',
        source: 'achalnm/CardioRisk_ML; arXiv 2507.21898',
      },
    ],
  },
];

export const runsOf = ({ tables }: ResultSet): readonly string[] => tables.flatMap(({ runs }) => runs);
