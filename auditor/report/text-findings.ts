/**
 * One sentence for every finding code, English and 简体中文. A test asks for a line when a code is added.
 *
 * Trusts: nothing. May be called by: auditor/report/.
 */
import type { FindingCode } from '../findings.ts';
import { type Pair, pair } from './text.ts';

export const FINDING_TEXT: Readonly<Partial<Record<FindingCode, Pair>>> = {
  FILE_MISSING: pair('A file of the evidence is missing.', '证据缺少文件。'),
  FILE_MALFORMED: pair('A file of the evidence cannot be read as documented.', '证据文件不符合文档格式。'),
  LEAF_MALFORMED: pair('An entry of the log is malformed.', '日志条目格式有误。'),
  ROOT_MISMATCH: pair('The log is not the one that was signed.', '日志与已签署的日志不一致。'),
  SIZE_MISMATCH: pair(
    'The log has another number of entries than was signed.',
    '日志条目数与签署的数目不一致。',
  ),
  CHECKPOINT_SIGNATURE: pair('The signature of the log does not hold.', '日志签名无效。'),
  CHECKPOINT_FORKED: pair(
    'The log does not continue one that was shown earlier.',
    '日志未延续此前出示的日志。',
  ),
  TRUST_NOT_PINNED: pair(
    'A key was taken from the evidence itself, as none was given from elsewhere.',
    '未从其他渠道提供密钥，因此采用了证据自带的密钥。',
  ),
  BUDGET_DISAGREEMENT: pair(
    'Devices have receipts for more than the ledger charged them.',
    '有设备持有的收据合计超过账本对其的扣费。',
  ),
  NOT_CHECKED: pair('Something was not checked.', '有内容未核验。'),
  PLAN_NOT_APPROVED: pair('The plan lacks a valid approval.', '计划缺少有效审批。'),
  KEY_NOT_SIGNED: pair('A committee key is not signed by all holders.', '委员会密钥未经全部持有方签署。'),
  ROUND_INCONSISTENT: pair('The steps of a round contradict each other.', '某轮次的步骤相互矛盾。'),
  CERTIFICATE_CONFLICT: pair(
    'Two certificates, or a certificate and an abort, stand for one round.',
    '同一轮次存在两份证书，或同时存在证书与中止声明。',
  ),
  QUORUM_MISSING: pair('Too few key holders signed.', '签署的密钥持有方不足。'),
  COHORT_TOO_SMALL: pair('A cohort is smaller than the plan allows.', '群体规模小于计划允许的最小值。'),
  COHORT_MISMATCH: pair('The cohort is not the one that was certified.', '群体与认证的群体不一致。'),
  SUM_MISSING: pair('An opened sum is not in the evidence.', '证据中缺少已解密的求和结果。'),
  SUM_MISMATCH: pair('An opened sum is not the one in the log.', '解密的求和结果与日志不一致。'),
  SUM_UNCERTIFIED: pair('A sum was opened without a certificate.', '未经认证即解密了求和结果。'),
  MODEL_MISMATCH: pair('The chain of models is broken.', '模型链中断。'),
  STALENESS_MISMATCH: pair(
    'A sum was released later than the plan allows, or counted as fresher or staler than it was.',
    '某个求和的发布晚于计划所允许，或其陈旧程度与日志不符。',
  ),
  CLIP_MISMATCH: pair(
    'A published clip does not follow from the one before it.',
    '公布的裁剪界限与前一轮不一致。',
  ),
  RESERVATION_MISMATCH: pair('Reservations and settlements do not match.', '预留与结算不一致。'),
  SETTLEMENT_MISMATCH: pair('A settlement does not fit its certificate.', '结算与其证书不一致。'),
  MECHANISM_MISMATCH: pair(
    'The noise recorded is not what the plan promises.',
    '记录的噪声机制与计划承诺不符。',
  ),
  CHARGE_MISMATCH: pair('A charge is not what the mechanism costs.', '扣费与机制的实际消耗不符。'),
  EPSILON_MISMATCH: pair('The ε that was stated is not the one recomputed.', '所述 ε 与重新计算的结果不符。'),
  BUDGET_EXCEEDED: pair('Somebody was brought past the budget.', '有参与者的预算被超支。'),
  CONSENT_MISSING: pair(
    'Somebody took part whose consent to this purpose is not in the log.',
    '有参与者参与了训练，但日志中没有其对该目的的同意。',
  ),
  LEDGER_MISMATCH: pair('The ledger and the log tell different stories.', '账本与日志不一致。'),
  TILE_MISMATCH: pair('The tiles of the log are not those of its entries.', '日志的分块文件与其条目不一致。'),
  WITNESS_QUORUM: pair('Too few witnesses have cosigned the log.', '联署日志的见证方不足。'),
  GROUPS_MISMATCH: pair(
    'Groups of a cohort are not those that were certified.',
    '群体的分组与认证的分组不一致。',
  ),
  DRAWS_MISMATCH: pair(
    "The draw of the groups does not follow from the holders' shares.",
    '分组抽签与密钥持有方的份额不符。',
  ),
};

export const FINDING_TEXT_UNKNOWN: Pair = pair('A further check failed.', '另有一项检查未通过。');
