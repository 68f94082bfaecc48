/**
 * Rows on NIST SP 800-226, what figures rest on, and the limits of an audit, English and 简体中文.
 *
 * Source: NIST SP 800-226 (March 2025), the pyramid. Trusts: nothing. May be called by: auditor/report/.
 */
import { type Pair, pair } from './text.ts';

export type Basis = 'checked' | 'attested' | 'declared' | 'open';

export interface Row {
  readonly id: string;
  readonly label: Pair;
  readonly text: Pair;
  readonly basis: Basis;
  /** Shown where this holds; default: always. */
  readonly when?:
    | 'dp'
    | 'no-dp'
    | 'sampled'
    | 'unsampled'
    | 'person'
    | 'record'
    | 'shares'
    | 'bfv'
    | 'groups';
}

const GUARANTEE = pair('Guarantee', '保证');
const VOID = pair('What can void it', '可能使其失效的因素');
const BASE = pair('Foundation', '基础');

export const NIST_ROWS: readonly (Row & { readonly layer: Pair })[] = [
  {
    id: 'epsilon',
    layer: GUARANTEE,
    label: pair('Privacy parameters', '隐私参数'),
    text: pair(
      'ε = {epsilon} spent of {budget} at δ = {delta}; holds while at most a fraction γ = {gamma} of a certified cohort is corrupt.',
      '在 δ = {delta} 下已用 ε = {epsilon}，预算为 {budget}；当认证群体中恶意方的比例不超过 γ = {gamma} 时成立。',
    ),
    basis: 'checked',
    when: 'dp',
  },
  {
    id: 'epsilon-none',
    layer: GUARANTEE,
    label: pair('Privacy parameters', '隐私参数'),
    text: pair('No differential privacy: there is no ε.', '未采用差分隐私，不存在 ε。'),
    basis: 'checked',
    when: 'no-dp',
  },
  {
    id: 'unit',
    layer: GUARANTEE,
    label: pair('Unit of privacy', '隐私单位'),
    text: pair(
      "One {unit}, with neighbours that differ by setting one to zero. The log counts pseudonyms of one budget epoch; that one pseudonym is one participant is the registrar's word.",
      '以一个{unit}为单位，相邻数据集为将其中一个置零。日志按预算周期内的假名计数；一个假名对应一个参与者，由登记方证明。',
    ),
    basis: 'attested',
    when: 'dp',
  },
  {
    id: 'algorithm',
    layer: VOID,
    label: pair('Algorithms and correctness', '算法与正确性'),
    text: pair(
      'Distributed discrete Gaussian on integers: variance {variance} per share, squared sensitivity {sensitivity} derived from clip {clip} and {units} units, dimension {dimension}. Each charge follows from these by a second accountant.',
      '整数上的分布式离散高斯机制：每份噪声方差 {variance}，敏感度平方 {sensitivity} 由裁剪值 {clip} 与 {units} 个量化单位推出，维数 {dimension}。每笔扣费均由第二套核算程序据此推得。',
    ),
    basis: 'checked',
    when: 'dp',
  },
  {
    id: 'composition',
    layer: VOID,
    label: pair('Composition', '组合'),
    text: pair(
      'Rounds add up under one privacy filter per participant, at order {order}; nobody was charged past the budget.',
      '各轮在每个参与者的隐私过滤器下累加（阶数 {order}）；无人被超预算扣费。',
    ),
    basis: 'checked',
    when: 'dp',
  },
  {
    id: 'sampling',
    layer: VOID,
    label: pair('Sampling', '抽样'),
    text: pair(
      'The accounting counts on Poisson batches at rate q = {q} inside each hospital. That a hospital really sampled so cannot be seen from outside.',
      '核算依赖各医院内部以 q = {q} 进行泊松抽样。医院是否确实如此抽样，无法从外部看到。',
    ),
    basis: 'attested',
    when: 'sampled',
  },
  {
    id: 'sampling-none',
    layer: VOID,
    label: pair('Sampling', '抽样'),
    text: pair('No amplification by sampling is claimed (q = 1).', '未主张抽样放大（q = 1）。'),
    basis: 'checked',
    when: 'unsampled',
  },
  {
    id: 'noise',
    layer: VOID,
    label: pair('Noise really added', '噪声确已加入'),
    text: pair(
      'Each honest device adds its share of the noise before it encrypts; the count of shares follows from the certified cohort and γ. That devices run the published code is not visible.',
      '每个诚实设备在加密前加入自己的噪声份额；份额数由认证群体与 γ 推得。设备是否运行所公布的代码，无法看到。',
    ),
    basis: 'attested',
    when: 'dp',
  },
  {
    id: 'bias',
    layer: VOID,
    label: pair('Utility and bias', '效用与偏差'),
    text: pair(
      'How well the model does, and for whom less well, is not in this evidence. Noise and clipping weigh most on small groups: ask for metrics per group.',
      '模型的效果以及对哪些人群效果较差，不在本证据之内。噪声与裁剪对小群体影响最大：请索取分组指标。',
    ),
    basis: 'open',
  },
  {
    id: 'side',
    layer: VOID,
    label: pair('Floating point and timing', '浮点与时间侧信道'),
    text: pair(
      'Noise and sums are exact integers, so the known attacks on floating-point noise do not apply; noise is drawn ahead of its use. Both are properties of the published code.',
      '噪声与求和均为精确整数，已知的浮点噪声攻击不适用；噪声在使用前预先抽取。二者均为所公布代码的性质。',
    ),
    basis: 'attested',
    when: 'dp',
  },
  {
    id: 'security',
    layer: VOID,
    label: pair('Security of what is added up', '求和过程的安全'),
    text: pair(
      'Every cohort has at least {cohortMin} participants and was certified by a quorum of {holders} key holders, {quorum} signatures each; every opened sum is the certified one.',
      '每个群体至少 {cohortMin} 名参与者，并由 {holders} 个密钥持有方中的至少 {quorum} 个签署认证；每个解密的求和结果均与认证相符。',
    ),
    basis: 'checked',
  },
  {
    id: 'trust-shares',
    layer: BASE,
    label: pair('Trust model', '信任模型'),
    text: pair(
      'No single trusted party: single updates stay secret from the coordinator and all clients while at most one of {holders} key holders is corrupt. Independence of the operators is declared.',
      '无单一可信方：只要 {holders} 个密钥持有方中恶意者不超过一个，任何单个更新对协调方及全部客户端均保密。各运营方的独立性为声明事项。',
    ),
    basis: 'declared',
    when: 'shares',
  },
  {
    id: 'trust-bfv',
    layer: BASE,
    label: pair('Trust model', '信任模型'),
    text: pair(
      'Threshold encryption among {holders} key holders; the coordinator is trusted to follow the protocol and clients to form their ciphertexts well. Independence of the operators is declared.',
      '{holders} 个密钥持有方之间的门限加密；信任协调方遵循协议，信任客户端正确生成密文。各运营方的独立性为声明事项。',
    ),
    basis: 'declared',
    when: 'bfv',
  },
  {
    id: 'collection',
    layer: BASE,
    label: pair('Data collection', '数据收集'),
    text: pair(
      'Raw data stay with the person or hospital; what leaves is one encrypted update per round. {columns} columns are read, of the data set {dataset}.',
      '原始数据留存于个人或医院；离开的仅是每轮一个加密的更新。读取 {columns} 个字段，数据集为 {dataset}。',
    ),
    basis: 'declared',
  },
];

/** Statements that hold for the report as a whole. `pinned` rows are chosen in basis.ts. */
export const BASIS_TEXT = {
  tree: pair(
    'Every entry of the log hashes into the root that its checkpoint signs; none was removed, added or reordered after signing.',
    '日志的每个条目均归入检查点所签署的根哈希；签署后没有删除、增加或重新排序。',
  ),
  logPinned: pair(
    'The log is signed with the key that was given from elsewhere.',
    '日志由从其他渠道提供的密钥签署。',
  ),
  logUnpinned: pair(
    "The log is signed with a key that came with the evidence. That it is the coordinator's is taken on trust: pin it with --log-key.",
    '日志由证据自带的密钥签署，其属于协调方这一点尚属信任：请用 --log-key 固定。',
  ),
  approversPinned: pair(
    'The plan is signed by the approvers whose keys were given.',
    '计划由已提供密钥的审批方签署。',
  ),
  approversUnpinned: pair(
    'The plan is signed by keys that came with the evidence. Who stands behind them is taken on trust: pin them with --approver.',
    '计划由证据自带的密钥签署，其背后是谁尚属信任：请用 --approver 固定。',
  ),
  planPinned: pair('The plan is the one whose hash was given.', '计划与所提供的哈希一致。'),
  certificates: pair(
    "Every cohort is certified by a quorum of the plan's key holders and is not smaller than the plan allows.",
    '每个群体均由计划所列密钥持有方的法定数量认证，且不小于计划允许的规模。',
  ),
  sums: pair(
    'Every sum that was opened is one that was certified, and each model starts from the one released before it.',
    '每个解密的求和结果均经认证，每个模型均始于此前发布的模型。',
  ),
  charges: pair(
    'Every charge and every ε was derived again from the plan and the certified cohorts; nobody is past the budget.',
    '每笔扣费与每个 ε 均根据计划与认证群体重新推得；无人超出预算。',
  ),
  people: pair(
    "That a certified device is one person or hospital, and not one of many of the same, is the registrar's and the holders' word.",
    '一个经认证的设备对应一个人或一家医院，而非同一主体的多个设备，由登记方与密钥持有方证明。',
  ),
  sampling: pair(
    'That hospitals sampled their records at the stated rate is their word.',
    '医院按所述比例抽样记录，由医院证明。',
  ),
  code: pair(
    'That devices ran the published code on real data is their word; at most a fraction γ may be lying for ε to hold.',
    '设备在真实数据上运行所公布的代码，由设备证明；ε 成立的前提是说谎者比例不超过 γ。',
  ),
  consents: pair(
    "Of every participant whom the log names, the log has a leaf for a consent to the plan's purpose before that participant's first round. That the participant signed what the leaf stands for is attested by the coordinator; participants can check their own (audit prove).",
    '日志中出现的每位参与者，在其首轮之前日志均载有其对计划目的之同意的条目。该条目所对应的内容确由参与者签名，由协调方证明；参与者可自行核对本人条目（audit prove）。',
  ),
  consentText: pair(
    "That a person was shown the purpose and meant yes, and the columns and periods agreed to, is the device's signed word; the log has its hash.",
    '个人已获知目的并表示同意，以及所同意的字段与期限，由设备签名证明；日志仅载其哈希。',
  ),
  time: pair(
    "Times are those of the coordinator's clock; their order in the log is proven.",
    '时间以协调方时钟为准；其在日志中的顺序已得到证明。',
  ),
  viewEarlier: pair(
    'The log continues the checkpoint that was seen earlier.',
    '日志延续了此前见过的检查点。',
  ),
  viewWitnessed: pair(
    'The quorum of witnesses in the policy that was given has cosigned the log, so everybody is shown this one.',
    '所提供策略中的法定数量见证方已联署该日志，因此各方看到的是同一份日志。',
  ),
  view: pair(
    'That everybody is shown the same log is not checked: compare its root with a witness, or give an earlier checkpoint (--checkpoint) or the witnesses (--policy).',
    '各方看到的是同一份日志这一点未核验：请与见证方核对根哈希，或提供更早的检查点（--checkpoint）或见证方策略（--policy）。',
  ),
  purpose: pair(
    "Purpose, columns and population are as the plan's text says.",
    '目的、字段与人群以计划文本为准。',
  ),
} as const;

export const LIMITS: readonly Pair[] = [
  pair(
    'The log names participants by a pseudonym of one budget epoch. What one person spent over several epochs only that person can show, from the receipts (pulsefold audit prove).',
    '日志以单个预算周期内的假名表示参与者。某人在多个周期的总消耗，只有本人凭回执才能证明（pulsefold audit prove）。',
  ),
  pair(
    'What was spent stays spent: a withdrawal stops further charges, but no model is unlearned.',
    '已用的预算无法收回：撤回可停止后续扣费，但不会使模型遗忘。',
  ),
  pair(
    'The figures cover the plans in this evidence. Other plans, and releases outside the platform, add to what can be learned about a person.',
    '数据仅涵盖本证据中的计划。其他计划以及平台之外的发布，会增加对个人信息的了解。',
  ),
  pair(
    'ε says nothing about whether the purpose is lawful, the model useful or fair, or the data correct.',
    'ε 不说明目的是否合法、模型是否有效或公平、数据是否正确。',
  ),
  pair(
    'Names of persons, machines and files are masked in this report by their form; text that hides them in another form would pass.',
    '本报告按形式屏蔽人员、机器与文件的名称；以其他形式隐藏的文本可能未被屏蔽。',
  ),
];
