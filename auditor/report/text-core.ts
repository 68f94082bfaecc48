/**
 * Headings, labels and short sentences of the report, English and 简体中文.
 *
 * Trusts: nothing. May be called by: auditor/report/.
 */
import { pair } from './text.ts';

export const CORE = {
  title: pair('Privacy audit report', '隐私审计报告'),
  subtitle: pair('Federated learning under differential privacy', '差分隐私保护下的联邦学习'),
  period: pair('Period', '审计期间'),
  periodValue: pair('{month} (calendar month, UTC)', '{month}（自然月，UTC 时间）'),
  evidence: pair('Evidence', '证据'),
  evidenceBundle: pair(
    'bundle of {members} files, SHA-256 {digest}',
    '证据包，共 {members} 个文件，SHA-256 {digest}',
  ),
  evidenceDirectory: pair('run directory, not sealed into a bundle', '运行目录，未封装为证据包'),
  plans: pair('Plans', '训练计划'),
  made: pair('Made', '生成时间'),
  madeBy: pair('{time} UTC, by pulsefold audit report', '{time} UTC，由 pulsefold audit report 生成'),
  page: pair('Page {page} of {pages}', '第 {page} 页，共 {pages} 页'),
  footer: pair('Privacy audit report, {month}', '隐私审计报告，{month}'),

  verdictGood: pair('The evidence holds.', '证据成立。'),
  verdictGoodText: pair(
    'Every signature, hash, sum and charge that can be recomputed was recomputed, and nothing contradicts the rest. {trust}',
    '凡可重新计算的签名、哈希、求和与扣费均已重新计算，未发现任何矛盾。{trust}',
  ),
  verdictTrust: pair(
    '{count} warnings are listed below: what rests on keys or statements that were not pinned, and alarms.',
    '另有 {count} 项警告列于下文：依赖未经固定的密钥或陈述之处，以及警报。',
  ),
  verdictBad: pair('The evidence does not hold.', '证据不成立。'),
  verdictBadText: pair(
    '{count} contradictions were found. Do not rely on the figures of the plans concerned before they are explained.',
    '发现 {count} 处矛盾。在得到解释之前，请勿采信相关计划的数据。',
  ),
  verdictDamaged: pair('The evidence is damaged.', '证据已损坏。'),
  verdictDamagedText: pair(
    '{count} places differ from what was exported. Nothing was audited; ask for the bundle again.',
    '有 {count} 处与导出内容不一致。未进行审计；请重新索取证据包。',
  ),

  findings: pair('Findings', '审计发现'),
  findingsNone: pair(
    'No contradiction and nothing unpinned was found.',
    '未发现矛盾，也没有未固定的信任项。',
  ),
  severity: pair('Severity', '级别'),
  severityError: pair('ERROR', '错误'),
  severityWarning: pair('NOTE', '提示'),
  plan: pair('Plan', '计划'),
  finding: pair('Finding', '发现'),
  detail: pair('Detail', '技术细节（英文原文）'),
  where: pair('Where', '位置'),
  whereRound: pair('round {round}', '第 {round} 轮'),
  whereLeaf: pair('leaf {leaf}', '日志叶 {leaf}'),
  damagedPlace: pair('Damaged place', '损坏位置'),
  moreFindings: pair('And {count} more; see the JSON report.', '……另有 {count} 项，见 JSON 报告。'),

  keyFigures: pair('Key figures', '关键数据'),
  figureEpsilon: pair('highest ε spent, of a budget of {budget}', '已用 ε 的最高值（预算 {budget}）'),
  figureNoDp: pair('no plan under differential privacy', '无差分隐私计划'),
  figureReleases: pair('releases this month', '本月发布次数'),
  figureCharged: pair('pseudonyms charged this month', '本月被扣费的假名'),
  figureCohort: pair('smallest certified cohort', '最小认证群体规模'),
  howToRead: pair('How to read this report', '如何阅读本报告'),
  howToReadText: pair('Each statement carries the reason to believe it.', '每项陈述均注明其可信依据。'),
  basisChecked: pair('CHECKED', '已核验'),
  basisAttested: pair('ATTESTED', '经证明'),
  basisDeclared: pair('DECLARED', '声明'),
  basisOpen: pair('TO COMPLETE', '待填写'),
  basisDoubt: pair('IN DOUBT', '存疑'),
  basisCheckedText: pair(
    'recomputed for this report from raw evidence, by code that the audited parties did not use',
    '本报告依据原始证据重新计算，所用代码与被审计方无关',
  ),
  basisAttestedText: pair(
    'signed or stated by somebody who could know; not recomputed',
    '由知情方签署或陈述，未重新计算',
  ),
  basisDeclaredText: pair(
    "stands in the plan's text, which the approvers signed",
    '载于计划文本，审批方已就该文本签名',
  ),
  basisOpenText: pair('not in the evidence; the controller writes it in', '证据中没有，由个人信息处理者填写'),

  privacy: pair('Privacy spent', '隐私预算的使用'),
  privacyLead: pair(
    'ε bounds how much anything that was released can reveal about one unit. It is recomputed from the noise, the sensitivity and the certified cohort of every round; a smaller ε is stronger.',
    'ε 限定所有已发布内容最多能透露一个隐私单位多少信息。本报告依据每轮的噪声、敏感度及经认证的群体规模重新计算；ε 越小，保护越强。',
  ),
  privacyPlain: pair(
    'In plain words, for plan {plan}: whoever thinks it equally likely that {unit} was part of the training or not can, from all that was released, become at most {percent} % sure (up to a failure of probability δ = {delta}).',
    '通俗地说，就计划 {plan} 而言：若某人事先认为{unit}参与训练与否的可能性相同，则仅凭全部已发布内容，其确信程度最多为 {percent}%（失效概率不超过 δ = {delta}）。',
  ),
  privacyDoubt: pair(
    'The audit of plan {plan} fails. Its ε is recomputed from evidence that contradicts itself: do not rely on it.',
    '计划 {plan} 的审计未通过。其 ε 系根据自相矛盾的证据重新计算，请勿采信。',
  ),
  unitPerson: pair('a person', '某人'),
  unitRecord: pair('a record', '某条记录'),
  unitPersonLabel: pair('person', '个人'),
  unitRecordLabel: pair('record', '记录'),
  unit: pair('Unit', '隐私单位'),
  start: pair('ε before', '月初 ε'),
  end: pair('ε after', '月末 ε'),
  tight: pair('ε after, by PLD', '月末 ε（PLD）'),
  tightText: pair(
    'The gate adds rounds up at one Rényi order (or as zCDP), which can only overstate. "By PLD" is the same charges by their privacy loss distribution, the tightest account that is known; it is reported and decides nothing. A dash: not known, because rounds are sampled or another plan\'s charges count.',
    '预算判定按单一 Rényi 阶（或 zCDP）累加各轮，其结果只会偏高。“PLD”一栏是同样的扣费按隐私损失分布核算的结果，是目前已知最紧的核算；该值仅供报告，不参与任何判定。“–”表示未知：有抽样轮次，或计入了其他计划的扣费。',
  ),
  alarmsNone: pair(
    'Plan {plan}: no device has shown receipts for more than the ledger charged it.',
    '计划 {plan}：没有设备出示的收据合计超过账本对其的扣费。',
  ),
  alarmsSome: pair(
    'Plan {plan}: {count} devices hold signed receipts that add up to more than the ledger charged them. Either charges were lost on the coordinator, so that the ledger allows more than the budget, or those devices lie. Compare their receipts (pulsefold audit prove) with this log before any further round.',
    '计划 {plan}：{count} 台设备持有的签名收据合计超过账本对其的扣费。或是协调方丢失了扣费记录（账本因而会放行超出预算的消耗），或是这些设备说谎。在进行下一轮之前，请用 pulsefold audit prove 将其收据与本日志核对。',
  ),
  clipAdapts: pair(
    'Plan {plan}: the clip follows the {quantile} quantile of the update norms, from {first} on, never below {least} or above {most}. ε does not depend on it.',
    '计划 {plan}：裁剪值自 {first} 起跟随更新范数的 {quantile} 分位数，始终不低于 {least}、不高于 {most}。ε 与之无关。',
  ),
  clipsReleased: pair(
    'Released for the next round (as published, not checked): {clips}.',
    '为下一轮发布的裁剪值（按发布所示，未经核验）：{clips}。',
  ),
  budget: pair('Budget', '预算'),
  charged: pair('Charged', '被扣费人数'),
  noDp: pair('no differential privacy', '无差分隐私'),
  noDpText: pair(
    'Plan {plan} runs without differential privacy: only the sums are encrypted, and the model may reveal training data.',
    '计划 {plan} 未采用差分隐私：仅对求和过程加密，模型可能泄露训练数据。',
  ),
  chartBudget: pair('Budget spent per plan', '各计划的预算使用情况'),
  chartBudgetUnit: pair(
    'ε of the most-charged participant at the end of the month',
    '月末扣费最多的参与者的 ε',
  ),
  chartTimeline: pair('Budget spent over time', '预算使用随时间的变化'),
  chartTimelineUnit: pair('ε after each settled round; dashed: budget', '每轮结算后的 ε；虚线为预算'),
  chartCohorts: pair('Certified cohorts', '经认证的群体规模'),
  chartCohortsUnit: pair(
    'participants per round; dashed: smallest cohort the plan allows',
    '每轮参与者数量；虚线为计划允许的最小规模',
  ),
  spentOf: pair('{spent} of {budget}', '{spent} / {budget}'),
  statedCharges: pair(
    '{count} charges of other plans on the same participants are counted as the log states them, as those plans are not in the evidence.',
    '同一参与者在其他计划中的 {count} 笔扣费按日志所载计入，因为证据中没有这些计划。',
  ),

  rounds: pair('Rounds of the month', '本月轮次'),
  roundsNone: pair('No round was opened in this month.', '本月未开启任何轮次。'),
  round: pair('Round', '轮次'),
  opened: pair('Opened (UTC)', '开启时间（UTC）'),
  kind: pair('Kind', '类型'),
  kindTraining: pair('training', '训练'),
  kindEvaluation: pair('evaluation', '评估'),
  outcome: pair('Outcome', '结果'),
  outcomeReleased: pair('released', '已发布'),
  outcomeCertified: pair('certified, not opened', '已认证，未解密'),
  outcomeAborted: pair('aborted', '已中止'),
  outcomeOpen: pair('without an end', '未结束'),
  cohort: pair('Cohort', '群体规模'),
  noiseShares: pair('Noise shares', '噪声份额'),
  epsilonAfter: pair('ε after', '之后 ε'),
  roundsLead: pair(
    "Cohorts are certified by a quorum of the key holders; times are the coordinator's. Showing {shown} of {total} rounds.",
    '群体规模由达到法定数量的密钥持有方认证；时间由协调方记录。共 {total} 轮，列出 {shown} 轮。',
  ),

  basis: pair('What the figures rest on', '数据的依据'),
  statement: pair('Statement', '陈述'),
  reason: pair('Basis', '依据'),

  nist: pair('NIST SP 800-226: the differential privacy pyramid', 'NIST SP 800-226：差分隐私金字塔'),
  nistLead: pair(
    'Each layer rests on the ones below: an ε means nothing where the algorithm is wrong, and the algorithm nothing where the data are collected or trusted in another way than described.',
    '每一层都以其下各层为基础：算法若有误，ε 便没有意义；数据的收集与信任方式若与描述不符，算法也没有意义。',
  ),
  layer: pair('Layer', '层次'),
  layerTop: pair('Guarantee', '保证'),
  layerMiddle: pair('What can void it', '可能使其失效的因素'),
  layerBase: pair('Foundation', '基础'),
  pyramidTop: pair('ε and unit of privacy', 'ε 与隐私单位'),
  pyramidMiddle: pair(
    'algorithms, utility and bias, side channels, security',
    '算法、效用与偏差、侧信道、安全',
  ),
  pyramidBase: pair('trust model, data collection', '信任模型、数据收集'),

  registry: pair('Differential Privacy Deployments Registry', '差分隐私部署登记'),
  registryLead: pair(
    "The fields of tiers 1 to 3, named as in the registry's schema, ready to be submitted.",
    '第 1 至第 3 级字段，名称与登记库的模式一致，可直接提交。',
  ),
  field: pair('Field', '字段'),
  value: pair('Value', '内容'),

  gdpr: pair('GDPR: consent, rights, records and assessment', 'GDPR：同意、权利、处理活动记录与影响评估'),
  gdprLead: pair(
    'What this evidence can contribute to showing consent (Articles 6, 7, 9) and rights (15, 17, 20), to the record under Article 30 and the assessment under Article 35. The mapping is not legal advice: have counsel check it.',
    '本证据可为证明同意（第 6、7、9 条）与权利（第 15、17、20 条）、第 30 条的处理活动记录及第 35 条的影响评估提供的内容。该对应关系不构成法律意见，请由律师审核。',
  ),
  pipl: pair('PIPL and GB/T 35273', '《个人信息保护法》与 GB/T 35273'),
  piplLead: pair(
    'Articles 13 to 15, 44 to 47, 51 and 54 to 56 of the Personal Information Protection Law, with GB/T 35273-2020 and the Compliance Audit Measures in force since 1 May 2025. The mapping is not legal advice: have counsel check it.',
    '对应《个人信息保护法》第十三条至第十五条、第四十四条至第四十七条、第五十一条、第五十四条至第五十六条，GB/T 35273-2020 以及自 2025 年 5 月 1 日起施行的《个人信息保护合规审计管理办法》。该对应关系不构成法律意见，请由律师审核。',
  ),
  counsel: pair('Have counsel check', '请律师审核'),
  provision: pair('Provision', '条款'),

  limits: pair('What this report cannot see', '本报告无法核验的事项'),
  signature: pair('Statement of the auditor', '审计人声明'),
  signatureText: pair(
    'I have received this report together with the evidence named on the first page, and have compared the SHA-256 of the evidence with the one stated there.',
    '本人已收到本报告及首页所列证据，并已将证据的 SHA-256 与首页所载数值核对一致。',
  ),
  signatureName: pair('Name and function', '姓名与职务'),
  signatureOrganisation: pair('Organisation', '单位'),
  signatureDate: pair('Place and date', '地点与日期'),
  signatureSign: pair('Signature', '签名'),
  completeHere: pair('To be completed by the controller.', '由个人信息处理者填写。'),

  appendix: pair('Appendix: evidence', '附录：证据'),
  planHash: pair('plan hash', '计划哈希'),
  logRoot: pair('log root', '日志根哈希'),
  logSize: pair('log leaves', '日志叶数'),
  leafKinds: pair('leaves this month', '本月日志叶'),
  approversLabel: pair('approver keys', '审批方密钥'),
  holdersLabel: pair('key holder keys', '密钥持有方密钥'),
  coordinatorLabel: pair('coordinator key', '协调方密钥'),
  registrarLabel: pair('registrar certificate', '登记方证书'),
  suiteLabel: pair('cipher suite', '密码套件'),
  epochLabel: pair('budget epoch', '预算周期'),
  none: pair('none', '无'),
  fingerprintsNote: pair(
    'Names are masked: parties are shown by the first digits of their public keys, which stand in the plan.',
    '名称已脱敏：各方仅以其公钥的前几位表示，完整公钥载于计划。',
  ),
} as const;
