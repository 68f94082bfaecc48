/**
 * Rows on GDPR Articles 6, 7, 15, 17, 20, 30 and 35, on PIPL Articles 13 to 15, 44 to 47, 51 and 54 to 56 and GB/T
 * 35273-2020, English and 简体中文. What the evidence can contribute to each, and what only the controller can write. Not
 * legal advice.
 *
 * Sources: Regulation (EU) 2016/679; 中华人民共和国个人信息保护法; GB/T 35273-2020; 个人信息保护合规审计管理办法 (CAC Order 18).
 * Trusts: nothing. May be called by: auditor/report/.
 */
import { pair } from './text.ts';
import type { Row } from './text-technical.ts';

const controller = pair('To be completed by the controller.', '由个人信息处理者填写。');

export const GDPR_ROWS: readonly Row[] = [
  {
    id: '7-consent',
    label: pair(
      'Art. 6(1)(a), 7, 9(2)(a)\nConsent to a purpose',
      '第 6(1)(a)、7、9(2)(a) 条\n针对目的的同意',
    ),
    text: pair(
      "{consents} consents stand in this month's log, each bound to one purpose, controller and budget epoch. Where a plan asks for consent, nobody is invited without one. The signed text, with columns, retention and privacy, is with the participants and the coordinator. Controllers named: {controllers}.",
      '本月日志载有 {consents} 条同意，每条均限定于一个目的、一个控制者与一个预算周期。要求同意的计划不会邀请未同意者。签名文本（含字段、保存期限与隐私保护）由参与者与协调方持有。所列控制者：{controllers}。',
    ),
    basis: 'attested',
  },
  {
    id: '7-3',
    label: pair('Art. 7(3)\nWithdrawal of consent', '第 7(3) 条\n撤回同意'),
    text: pair(
      "{withdrawals} withdrawals stand in this month's log. None of these participants is charged after the round that the withdrawal allows; what was released is not taken back.",
      '本月日志载有 {withdrawals} 次撤回。撤回所允许的轮次之后，未再对这些参与者扣费；已发布的内容不会收回。',
    ),
    basis: 'checked',
  },
  {
    id: '15-20',
    label: pair('Art. 15, 20\nAccess and portability', '第 15、20 条\n访问权与数据可携权'),
    text: pair(
      "{accesses} reports to participants stand in this month's log, as commitments. Each holds all that the coordinator has about a device, signed, in a documented open format; raw data are with the participant anyway. Key holders and the registrar are to be asked apart.",
      '本月日志以承诺形式载有 {accesses} 次向参与者提供的报告。每份报告包含协调方持有的关于该设备的全部信息，经签名，采用公开的格式；原始数据本就由参与者持有。密钥持有方与登记方须另行询问。',
    ),
    basis: 'attested',
  },
  {
    id: '17',
    label: pair('Art. 17\nErasure', '第 17 条\n删除权'),
    text: pair(
      "{erasures} erasures stand in this month's log. The coordinator forgets device id, certificate, upload signatures and the link to the pseudonym; what was charged stays under the pseudonym, as others' guarantees rest on it. Entries and proofs of the log do not change by it.",
      '本月日志载有 {erasures} 次删除。协调方删除设备标识、证书、上传签名以及与假名的关联；扣费记录以假名保留，因为他人的隐私保证依赖于此。日志条目与证明不因删除而改变。',
    ),
    basis: 'attested',
  },
  {
    id: '30a',
    label: pair(
      'Art. 30(1)(a)\nController, representative, data protection officer',
      '第 30(1)(a) 条\n控制者、代表、数据保护官',
    ),
    text: controller,
    basis: 'open',
  },
  {
    id: '30b',
    label: pair('Art. 30(1)(b)\nPurposes', '第 30(1)(b) 条\n处理目的'),
    text: pair('{purposes}', '{purposes}'),
    basis: 'declared',
  },
  {
    id: '30c',
    label: pair('Art. 30(1)(c)\nData subjects and personal data', '第 30(1)(c) 条\n数据主体与个人数据类别'),
    text: pair(
      'Persons or patients whose devices or hospitals take part. Columns: {columns}. Data concerning health are a special category (Art. 9).',
      '其设备或医院参与训练的个人或患者。字段：{columns}。健康数据属于特殊类别（第 9 条）。',
    ),
    basis: 'declared',
  },
  {
    id: '30d',
    label: pair('Art. 30(1)(d)\nRecipients', '第 30(1)(d) 条\n接收方'),
    text: pair(
      'Raw data: none. Coordinator: encrypted updates, and sums of at least {cohortMin} participants. Key holders: shares of keys, no update. Whoever gets the model: {releases} releases this month.',
      '原始数据：无接收方。协调方：加密更新，以及至少 {cohortMin} 名参与者的求和结果。密钥持有方：密钥份额，不含更新。模型接收者：本月 {releases} 次发布。',
    ),
    basis: 'attested',
  },
  {
    id: '30e',
    label: pair('Art. 30(1)(e)\nTransfers to third countries', '第 30(1)(e) 条\n向第三国传输'),
    text: pair(
      'Where the operators sit is not in the evidence. To be completed by the controller.',
      '各运营方所在地不在证据之内，由控制者填写。',
    ),
    basis: 'open',
  },
  {
    id: '30f',
    label: pair('Art. 30(1)(f)\nTime limits for erasure', '第 30(1)(f) 条\n删除期限'),
    text: pair(
      'Raw data are not collected centrally. The log holds keyed pseudonyms; a person who destroys the device key makes its entries unlinkable, and all proofs stay valid. Days after the end of a plan that who took part is kept, as its consent terms state: {retention}. Other limits are to be completed by the controller.',
      '不集中收集原始数据。日志仅含带密钥的假名；销毁设备密钥即可使其条目无法关联，且所有证明仍然有效。计划结束后保留参与记录的天数（以同意条款为准）：{retention}。其他期限由控制者填写。',
    ),
    basis: 'open',
  },
  {
    id: '30g',
    label: pair('Art. 30(1)(g) with Art. 32\nSecurity', '第 30(1)(g) 条与第 32 条\n安全措施'),
    text: pair(
      'Secure aggregation with {holders} key holders, quorum certificates, differential privacy within a budget, approved plans, a tamper-evident log: all recomputed in this report.',
      '由 {holders} 个密钥持有方支持的安全聚合、法定数量证书、预算内的差分隐私、经审批的计划、防篡改日志：均已在本报告中核验。',
    ),
    basis: 'checked',
    when: 'dp',
  },
  {
    id: '30g-none',
    label: pair('Art. 30(1)(g) with Art. 32\nSecurity', '第 30(1)(g) 条与第 32 条\n安全措施'),
    text: pair(
      'Secure aggregation with {holders} key holders, quorum certificates, approved plans, a tamper-evident log: all recomputed in this report. There are plans without differential privacy.',
      '由 {holders} 个密钥持有方支持的安全聚合、法定数量证书、经审批的计划、防篡改日志：均已在本报告中核验。部分计划未采用差分隐私。',
    ),
    basis: 'checked',
    when: 'no-dp',
  },
  {
    id: '30g-design',
    label: pair(
      'Art. 30(1)(g) with Art. 32\nSecurity by design',
      '第 30(1)(g) 条与第 32 条\n设计中的安全措施',
    ),
    text: pair(
      'Mutual TLS 1.3 between all parties, secrets sealed at rest, raw data never leave their place, one committee key per round that is erased after use.',
      '各方之间双向 TLS 1.3；机密信息密封存储；原始数据不离开其所在地；每轮一个委员会密钥，用后删除。',
    ),
    basis: 'attested',
  },
  {
    id: '35-7a',
    label: pair('Art. 35(7)(a)\nDescription of the processing', '第 35(7)(a) 条\n处理活动描述'),
    text: pair(
      'The registry section of this report, per plan. The legitimate interest pursued is to be completed by the controller.',
      '见本报告各计划的登记部分。所追求的合法利益由控制者填写。',
    ),
    basis: 'declared',
  },
  {
    id: '35-7b',
    label: pair('Art. 35(7)(b)\nNecessity and proportionality', '第 35(7)(b) 条\n必要性与相称性'),
    text: pair(
      'Each plan has one purpose and a fixed list of columns, signed by its approvers before round 1. Whether less would have done is for the controller to say.',
      '每个计划只有一个目的和固定的字段清单，并在第 1 轮前由审批方签署。是否可用更少数据达成，由控制者说明。',
    ),
    basis: 'open',
  },
  {
    id: '35-7c',
    label: pair('Art. 35(7)(c)\nRisks to rights and freedoms', '第 35(7)(c) 条\n对权利与自由的风险'),
    text: pair(
      'Risk that a released model reveals who took part, or a value: bounded by ε up to {epsilon}, given what is attested (see "Privacy spent"). Wrong or unfair predictions: not covered.',
      '已发布模型泄露参与者或数据的风险：在所证明事项成立的前提下，由不超过 {epsilon} 的 ε 限定（见“隐私预算的使用”）。错误或不公平的预测：未涵盖。',
    ),
    basis: 'checked',
    when: 'dp',
  },
  {
    id: '35-7c-none',
    label: pair('Art. 35(7)(c)\nRisks to rights and freedoms', '第 35(7)(c) 条\n对权利与自由的风险'),
    text: pair(
      'Without differential privacy nothing bounds what a released model reveals.',
      '未采用差分隐私，已发布模型的泄露程度没有上界。',
    ),
    basis: 'checked',
    when: 'no-dp',
  },
  {
    id: '35-7d',
    label: pair('Art. 35(7)(d)\nMeasures', '第 35(7)(d) 条\n应对措施'),
    text: pair(
      "As under Art. 30(1)(g); each participant's own device refuses beyond its own budget.",
      '同第 30(1)(g) 条；每个参与者的设备在超出自身预算时自行拒绝。',
    ),
    basis: 'attested',
  },
  {
    id: '35-2',
    label: pair('Art. 35(2) and (9)\nAdvice and views', '第 35(2)、(9) 条\n意见征询'),
    text: pair(
      'Advice of the data protection officer; views of data subjects. To be completed by the controller.',
      '数据保护官的意见；数据主体的意见。由控制者填写。',
    ),
    basis: 'open',
  },
];

export const PIPL_ROWS: readonly Row[] = [
  {
    id: '13',
    label: pair(
      'PIPL Art. 13, 29; GB/T 35273 5.4\nLawful basis, separate consent',
      '《个保法》第十三、二十九条；GB/T 35273 5.4\n合法性基础与单独同意',
    ),
    text: pair(
      "Health data are sensitive personal information and need separate consent. {consents} consents stand in this month's log, each to one purpose; their signed text is with the participants and the coordinator.",
      '健康数据属于敏感个人信息，须取得单独同意。本月日志载有 {consents} 条同意，每条针对一个目的；其签名文本由参与者与协调方持有。',
    ),
    basis: 'attested',
  },
  {
    id: '15',
    label: pair('PIPL Art. 15; GB/T 35273 8.4\nWithdrawal', '《个保法》第十五条；GB/T 35273 8.4\n撤回同意'),
    text: pair(
      "{withdrawals} withdrawals stand in this month's log. A withdrawal stops further charges; what was released is not taken back.",
      '本月日志载有 {withdrawals} 次撤回。撤回后不再扣费；已发布的内容不会收回。',
    ),
    basis: 'checked',
  },
  {
    id: '44-46',
    label: pair(
      'PIPL Art. 44, 45, 46; GB/T 35273 8.1, 8.2, 8.6\nTo know, access, copy, transfer, correct',
      '《个保法》第四十四、四十五、四十六条；GB/T 35273 8.1、8.2、8.6\n知情、查阅、复制、转移与更正',
    ),
    text: pair(
      "{accesses} reports to participants stand in this month's log: all that the coordinator has about a device, signed, in a documented open format. Data are corrected where they are: with the participant.",
      '本月日志载有 {accesses} 次向参与者提供的报告：包含协调方持有的关于该设备的全部信息，经签名，采用公开的格式。数据由参与者在本地更正。',
    ),
    basis: 'attested',
  },
  {
    id: '6',
    label: pair(
      'PIPL Art. 6, 14; GB/T 35273 5.2, 7.3\nPurpose, minimal scope, change of purpose',
      '《个保法》第六、十四条；GB/T 35273 5.2、7.3\n目的限制、最小必要与目的变更',
    ),
    text: pair(
      "Purpose and columns are fixed by the plan's hash: {purposes} Another purpose needs another plan, another approval and another consent.",
      '目的与字段由计划哈希固定：{purposes} 变更目的须另立计划、另行审批并重新取得同意。',
    ),
    basis: 'declared',
  },
  {
    id: '51-1',
    label: pair(
      'PIPL Art. 51(1), (4)\nInternal rules, permissions, training',
      '《个保法》第五十一条（一）（四）\n内部制度、操作权限与培训',
    ),
    text: pair(
      'Plans are approved by signature before they run. Other rules and training are to be completed by the controller.',
      '计划在运行前须经签名审批。其他制度与培训由个人信息处理者填写。',
    ),
    basis: 'open',
  },
  {
    id: '51-2',
    label: pair('PIPL Art. 51(2)\nClassified management', '《个保法》第五十一条（二）\n分类管理'),
    text: pair(
      'Columns of health data stay on devices and in hospitals; the platform keeps sums, models, pseudonyms. Classes are to be completed by the controller.',
      '健康数据字段留存于设备与医院；平台仅保存求和结果、模型与假名。分类由个人信息处理者填写。',
    ),
    basis: 'open',
  },
  {
    id: '51-3',
    label: pair(
      'PIPL Art. 51(3); GB/T 35273 6.2, 6.3\nEncryption, de-identification',
      '《个保法》第五十一条（三）；GB/T 35273 6.2、6.3\n加密与去标识化',
    ),
    text: pair(
      'Updates are encrypted so that only sums of at least {cohortMin} can be opened; under differential privacy noise is added before that; suites: {suites}. The log holds pseudonyms, no identifier.',
      '更新经加密，仅可解密至少 {cohortMin} 名参与者的求和结果；差分隐私计划在加密前加噪；密码套件：{suites}。日志仅含假名，不含标识符。',
    ),
    basis: 'attested',
  },
  {
    id: '51-5',
    label: pair('PIPL Art. 51(5), 57\nIncident response', '《个保法》第五十一条（五）、第五十七条\n应急预案'),
    text: pair(
      'Contradictions in the log are found by anybody who runs the audit. The plan of response is to be completed by the controller.',
      '任何人运行审计均可发现日志中的矛盾。应急预案由个人信息处理者填写。',
    ),
    basis: 'open',
  },
  {
    id: '54',
    label: pair(
      'PIPL Art. 54; Compliance Audit Measures; GB/T 35273 11.7\nRegular audit',
      '《个保法》第五十四条；《合规审计管理办法》；GB/T 35273 11.7\n定期合规审计',
    ),
    text: pair(
      'This report and its evidence serve the regular audit: at least every two years beyond 10 million persons, and a responsible person is to be named beyond 1 million. {charged} pseudonyms were charged up to the end of this month in the plans shown.',
      '本报告及其证据可用于定期审计：处理超过 1000 万人信息的，至少每两年一次；超过 100 万人的，须指定负责人。截至本月末，所列计划共对 {charged} 个假名扣费。',
    ),
    basis: 'checked',
  },
  {
    id: '55',
    label: pair('PIPL Art. 55\nWhen an assessment is needed', '《个保法》第五十五条\n须进行影响评估的情形'),
    text: pair(
      'Item 1, sensitive personal information: yes, health data. Item 2, automated decisions: if the model is used on persons. Items 3 and 4, entrusting, providing or transferring abroad: to be completed by the controller.',
      '第（一）项 处理敏感个人信息：是（健康数据）。第（二）项 自动化决策：若模型用于个人。第（三）（四）项 委托处理、提供、公开、向境外提供：由个人信息处理者填写。',
    ),
    basis: 'open',
  },
  {
    id: '56-1',
    label: pair(
      'PIPL Art. 56(1)\nPurpose and method lawful, legitimate, necessary',
      '《个保法》第五十六条（一）\n目的与方式合法、正当、必要',
    ),
    text: pair(
      'As under Art. 6. Plans in this report: {plans}, each approved before its first round.',
      '同第六条；共 {plans} 个计划，均在首轮前获批。',
    ),
    basis: 'declared',
  },
  {
    id: '56-2',
    label: pair(
      'PIPL Art. 56(2)\nImpact and security risks',
      '《个保法》第五十六条（二）\n对个人权益的影响及安全风险',
    ),
    text: pair(
      'What a released model can reveal about one unit is bounded by ε up to {epsilon}, given what is attested; see "Privacy spent".',
      '在所证明事项成立的前提下，已发布模型对一个隐私单位的泄露程度以不超过 {epsilon} 的 ε 为上界；见“隐私预算的使用”。',
    ),
    basis: 'checked',
    when: 'dp',
  },
  {
    id: '56-2-none',
    label: pair(
      'PIPL Art. 56(2)\nImpact and security risks',
      '《个保法》第五十六条（二）\n对个人权益的影响及安全风险',
    ),
    text: pair(
      'Without differential privacy nothing bounds what a released model reveals.',
      '未采用差分隐私，已发布模型的泄露程度没有上界。',
    ),
    basis: 'checked',
    when: 'no-dp',
  },
  {
    id: '56-3',
    label: pair(
      'PIPL Art. 56(3)\nMeasures lawful, effective, fitting the risk',
      '《个保法》第五十六条（三）\n保护措施合法、有效并与风险相适应',
    ),
    text: pair(
      'Effect of the measures: recomputed in this report. Whether they fit the risk is for the controller to say.',
      '措施的效果：已在本报告中核验。是否与风险相适应，由个人信息处理者说明。',
    ),
    basis: 'open',
  },
  {
    id: '56-4',
    label: pair('PIPL Art. 56\nRetention of reports and records', '《个保法》第五十六条\n报告与记录的保存'),
    text: pair(
      'Keep this report and its evidence for at least three years.',
      '本报告及其证据应至少保存三年。',
    ),
    basis: 'open',
  },
  {
    id: '24',
    label: pair(
      'PIPL Art. 24; GB/T 35273 7.7\nAutomated decisions',
      '《个保法》第二十四条；GB/T 35273 7.7\n自动化决策',
    ),
    text: pair(
      'The platform trains a model and decides about nobody. Its use is to be assessed by whoever uses it.',
      '平台仅训练模型，不对任何人作出决策。其使用由使用者评估。',
    ),
    basis: 'declared',
  },
  {
    id: '47',
    label: pair(
      'PIPL Art. 19, 47; GB/T 35273 6.1, 8.3\nRetention and deletion',
      '《个保法》第十九、四十七条；GB/T 35273 6.1、8.3\n保存期限与删除',
    ),
    text: pair(
      "{erasures} erasures stand in this month's log; retention in days after the end of a plan: {retention}. As under GDPR Art. 17 and 30(1)(f): destroying a device key makes its pseudonyms unlinkable. Other periods are to be completed by the controller.",
      '本月日志载有 {erasures} 次删除；计划结束后的保存天数：{retention}。同 GDPR 第 17 条与第 30(1)(f) 条：销毁设备密钥即可使其假名无法关联。其他期限由个人信息处理者填写。',
    ),
    basis: 'open',
  },
  {
    id: '45574',
    label: pair(
      'GB/T 45574-2025\nSensitive personal information',
      'GB/T 45574-2025\n敏感个人信息处理安全要求',
    ),
    text: pair(
      'In force since 1 November 2025; to be mapped by counsel.',
      '自 2025 年 11 月 1 日起实施；由律师对照。',
    ),
    basis: 'open',
  },
];
