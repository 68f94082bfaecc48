/**
 * The fields of the Differential Privacy Deployments Registry, English and 简体中文.
 *
 * Source: opendp/deployments-registry-data, field names of its schema; `floating_point_defence` is ours.
 * Trusts: nothing. May be called by: auditor/report/.
 */
import { pair } from './text.ts';
import type { Row } from './text-technical.ts';

/** Registry fields; `key` is the schema's path. */
export const REGISTRY_ROWS: readonly (Omit<Row, 'label' | 'id'> & { readonly key: string })[] = [
  { key: 'product.name', text: pair('{name}', '{name}'), basis: 'declared' },
  {
    key: 'product.data_curators',
    text: pair('To be completed by the controller.', '由个人信息处理者填写。'),
    basis: 'open',
  },
  { key: 'product.intended_use', text: pair('{purpose}', '{purpose}'), basis: 'declared' },
  {
    key: 'product.data_product_type',
    text: pair(
      'Machine learning model ({model}, {parameters} parameters)',
      '机器学习模型（{model}，{parameters} 个参数）',
    ),
    basis: 'checked',
  },
  {
    key: 'product.data_product_region',
    text: pair('To be completed by the controller.', '由个人信息处理者填写。'),
    basis: 'open',
  },
  {
    key: 'product.description',
    text: pair(
      'A model trained by federated learning ({strategy}); only sums of cohorts were opened.',
      '以联邦学习（{strategy}）训练的模型；仅解密了各群体的求和结果。',
    ),
    basis: 'attested',
  },
  { key: 'product.publication_date', text: pair('{released}', '{released}'), basis: 'attested' },
  {
    key: 'dp_flavor.name',
    text: pair('Approximate DP', '近似差分隐私（Approximate DP）'),
    basis: 'checked',
    when: 'dp',
  },
  { key: 'dp_flavor.name', text: pair('None', '无'), basis: 'checked', when: 'no-dp' },
  {
    key: 'dp_flavor.data_domain',
    text: pair('Columns {columnList}; label {label}', '字段 {columnList}；标签 {label}'),
    basis: 'declared',
  },
  {
    key: 'dp_flavor.unprotected_quantities',
    text: pair(
      'Number of participants per round, times of rounds, the plan itself with its column ranges, which pseudonyms took part',
      '每轮参与者数量、各轮时间、计划本身及其字段取值范围、哪些假名参与',
    ),
    basis: 'checked',
  },
  {
    key: 'privacy_loss.privacy_unit',
    text: pair('User-level (a person, in one budget epoch)', '用户级（一个人，一个预算周期内）'),
    basis: 'declared',
    when: 'person',
  },
  {
    key: 'privacy_loss.privacy_unit',
    text: pair('Record-level (a patient record in one hospital)', '记录级（一家医院中的一条患者记录）'),
    basis: 'declared',
    when: 'record',
  },
  {
    key: 'privacy_loss.privacy_unit_description',
    text: pair(
      'All contributions of the unit to the rounds of budget epoch {epoch}; neighbours: zero-out',
      '该单位对预算周期 {epoch} 各轮的全部贡献；相邻关系：置零',
    ),
    basis: 'declared',
    when: 'dp',
  },
  {
    key: 'privacy_loss.privacy_parameters',
    text: pair(
      'epsilon: {epsilon}, delta: {delta} (budget {budget})',
      'epsilon：{epsilon}，delta：{delta}（预算 {budget}）',
    ),
    basis: 'checked',
    when: 'dp',
  },
  {
    key: 'privacy_loss.privacy_parameters_description',
    text: pair(
      'Accounted at order {order}; most-charged participant; holds while at most γ = {gamma} of a cohort is corrupt',
      '以阶数 {order} 核算；取扣费最多的参与者；恶意方比例不超过 γ = {gamma} 时成立',
    ),
    basis: 'checked',
    when: 'dp',
  },
  {
    key: 'model.model_type',
    text: pair(
      'Distributed (secure aggregation, noise added on the devices)',
      '分布式（安全聚合，噪声在设备端加入）',
    ),
    basis: 'attested',
    when: 'dp',
  },
  {
    key: 'model.model_type',
    text: pair('Distributed (secure aggregation, without noise)', '分布式（安全聚合，无噪声）'),
    basis: 'attested',
    when: 'no-dp',
  },
  {
    key: 'model.release_type',
    text: pair(
      'Continual: one model per round, {planned} rounds planned',
      '持续发布：每轮一个模型，计划 {planned} 轮',
    ),
    basis: 'checked',
  },
  {
    key: 'model.interactivity',
    text: pair('Non-interactive: the plan is fixed before round 1', '非交互：计划在第 1 轮前已固定'),
    basis: 'checked',
  },
  {
    key: 'additional_dp_information.post_processing',
    text: pair(
      'Inverse rotation and server optimiser ({strategy}); no further access to data',
      '逆旋转与服务器端优化器（{strategy}）；不再访问数据',
    ),
    basis: 'declared',
  },
  {
    key: 'additional_dp_information.composition',
    text: pair(
      'Additive RDP or zCDP under one privacy filter per participant, over all plans of the log',
      '每个参与者一个隐私过滤器，RDP 或 zCDP 相加，涵盖日志中的全部计划',
    ),
    basis: 'checked',
    when: 'dp',
  },
  {
    key: 'implementation.pre_processing_eda_hyperparameter_tuning',
    text: pair(
      'Features are scaled by public ranges from the plan. Whether settings were tuned on the same data is not in the evidence.',
      '特征按计划中公开的范围缩放。是否曾在同一数据上调整参数，不在证据之内。',
    ),
    basis: 'open',
  },
  {
    key: 'implementation.mechanisms',
    text: pair(
      'Distributed discrete Gaussian, variance {variance} per share; clip {clip} on {units} units; conditional stochastic rounding',
      '分布式离散高斯，每份方差 {variance}；裁剪值 {clip}，{units} 个单位；条件随机取整',
    ),
    basis: 'declared',
    when: 'dp',
  },
  {
    key: 'implementation.floating_point_defence',
    text: pair(
      'Integers only after clipping; the norm bound is enforced again on the integers; exact sampler',
      '裁剪后仅用整数；在整数上再次强制范数上界；精确采样器',
    ),
    basis: 'attested',
    when: 'dp',
  },
  {
    key: 'implementation.justification',
    text: pair(
      'Calibrated to (1 − γ) of the smallest cohort ({cohortMin}), so that dropouts never thin the noise',
      '按最小群体（{cohortMin}）的 (1 − γ) 校准，掉线不会削弱噪声',
    ),
    basis: 'declared',
    when: 'dp',
  },
];
