// What the chain's refusals mean for a person and when to try again: every error of the pallet (chain.md 3.4), of the balances pallet as
// far as we meet it, and of the transaction pool (chain.md 9). Errors are told apart by name, never by number.

import type { BlockNumber, Epoch } from '../types/ids.ts';
import { ChainError, type Retry } from './types.ts';

interface Advice {
  readonly says: string;
  readonly retry: Retry;
}

const never = (says: string): Advice => ({ says, retry: 'never' });
const now = (says: string): Advice => ({ says, retry: 'now' });
const nextBlock = (says: string): Advice => ({ says, retry: 'nextBlock' });
const nextEpoch = (says: string): Advice => ({ says, retry: 'nextEpoch' });
const afterAction = (says: string): Advice => ({ says, retry: 'afterAction' });

const MULTIADDR =
  'give a multiaddr such as /ip4/203.0.113.7/tcp/31330/p2p/<peer id> that ends in the peer id beside it';

/** Errors of pallet Network by name. */
export const NETWORK_ERRORS: Readonly<Record<string, Advice>> = {
  Paused: afterAction('the network is paused by its administrators: wait until it is running again'),
  InvalidAmount: never('an amount of 0 was given: give a larger one'),
  AmountZero: never('an amount of 0 was given: give a larger one'),

  InvalidSubnetName: never('the subnet needs a name: give one with --name'),
  SubnetNameExist: never('a subnet of this name exists: choose another --name'),
  SubnetRepoExist: never('a subnet with this repository exists: choose another'),
  MaxSubnets: nextEpoch('the network has no room for another subnet: wait until one is removed'),
  NoAvailableSlots: nextEpoch('every slot of the epoch is taken: wait until a subnet is removed'),
  InvalidSubnetMinStake: never('the minimum stake of a subnet must be between 100 and 250 TENSOR: change --min-stake'),
  InvalidSubnetMaxStake: never('the maximum stake of a subnet is at most 1000 TENSOR: lower --max-stake'),
  InvalidSubnetStakeParameters: never('the minimum stake is above the maximum: change --min-stake or --max-stake'),
  InvalidMinDelegateStakePercentage: never('the share of delegators must be between 5 % and 95 %'),
  InvalidSubnetRegistrationInitialColdkeys: never(
    'the list of first coldkeys is too short, or one may register 0 nodes: name the owners of the first nodes with --initial-coldkeys',
  ),
  BootnodesEmpty: never('a subnet needs at least one boot node: give one with --bootnode'),
  TooManyBootnodes: never('a subnet has at most 32 boot nodes: give fewer'),
  InvalidBootnodePeerId: never('the peer id of a boot node is not one: give it as text such as 12D3KooW...'),
  MultiaddrInvalidVarint: never(`a multiaddr is malformed: ${MULTIADDR}`),
  MultiaddrInvalidProtocol: never(`a multiaddr names a protocol that the chain does not know: ${MULTIADDR}`),
  MultiaddrInvalidAddress: never(`a multiaddr does not belong to its peer: ${MULTIADDR}`),
  MultiaddrTruncated: never(`a multiaddr ends too early: ${MULTIADDR}`),
  CostGreaterThanMaxCost: afterAction(
    'registering a subnet costs more than was allowed: allow more, or wait until it is cheaper',
  ),
  NotEnoughBalanceToRegisterSubnet: afterAction(
    'the owner cannot pay the registration of a subnet: send TENSOR to this account first',
  ),
  InvalidSubnetId: never('there is no such subnet: check --subnet-id'),
  NotSubnetOwner: never('only the account that registered the subnet may do this: check --coldkey'),
  InvalidAccess: never('only the account that registered the subnet may do this: check --coldkey'),
  SubnetActivatedAlready: never('the subnet is active already: nothing to do'),
  MinSubnetRegistrationEpochsNotMet: nextEpoch('the subnet was registered too recently: try again in the next epoch'),
  SubnetActivationConditionsNotMetYet: afterAction(
    'the subnet has too few activated nodes, too little delegated stake or too little reputation: let more nodes activate first',
  ),

  SubnetMustBeRegisteringOrActivated: afterAction('the subnet takes no nodes now: its owner has to activate it'),
  ColdkeyMatchesHotkey: never('coldkey and hotkey are the same account: use two'),
  HotkeyHasOwner: afterAction(
    'this hotkey is registered already, or still holds stake: use a new one, or take its node and stake out first (`tessera remove-node`, `tessera stake remove`)',
  ),
  TooManyHotkeys: afterAction('this coldkey has 256 hotkeys: use another coldkey'),
  ColdkeyRegistrationWhitelist: never('only coldkeys named by the subnet owner may register now: ask the owner'),
  MaxRegisteredNodes: nextEpoch('too many nodes wait for activation: try again when some have activated or expired'),
  SubnetNodesMax: nextEpoch('the subnet is full: wait until a node leaves'),
  PeerIdsMustBeUnique: never('the peer ids of node, boot node and client must differ: make keys with `tessera keygen`'),
  InvalidPeerId: never('the peer id is not one: give it as text such as 12D3KooW...'),
  InvalidClientPeerId: never('the peer id of the client is not one: give it as text such as 12D3KooW...'),
  PeerIdExist: afterAction(
    'this peer id is registered already: make a new key with `tessera keygen`, or remove the old node first',
  ),
  BootnodePeerIdExist: afterAction(
    'the peer id of the boot node is registered already: make a new key with `tessera keygen`',
  ),
  ClientPeerIdExist: afterAction(
    'the peer id of the client is registered already: make a new key with `tessera keygen`',
  ),
  InvalidDelegateRewardRate: never('the share for delegators must be at most 100 % in all'),
  SubnetNodeUniqueParamTaken: never('another node has this unique parameter: choose another'),
  MaxBurnAmountExceeded: afterAction(
    'registering burns more than was allowed, because many nodes are waiting: allow more, or try later',
  ),
  MinStakeNotReached: afterAction(
    'a node keeps at least the minimum stake of its subnet: put down more (--stake, `tessera stake add`), or take the node out before its stake (`tessera remove-node`)',
  ),
  MaxStakeReached: never('the stake is above the maximum of the subnet: put down less with --stake'),
  NotEnoughBalanceToStake: afterAction('the account cannot pay this and stay alive: send TENSOR to it first'),

  NotUidOwner: never('this hotkey does not belong to this node: check --hotkey and --subnet-node-id'),
  SubnetNodeActivatedAlready: never('the node is active already: nothing to do'),
  NotStartEpoch: nextEpoch('too early: wait for the start epoch of the node (`tessera activate --wait` does)'),
  ActivationGracePassed: afterAction(
    'too late: the registration has expired; take the node out (`tessera clean-expired`: free, and its stake begins to cool down), register again, and claim the stake when it has cooled down (`tessera stake claim`)',
  ),
  NoExpiredNodes: never('no registration has expired: nothing to do'),
  InvalidSubnetNodeId: never('there is no such active node in the subnet: check --subnet-node-id'),
  NotKeyOwner: never('this account owns neither the node nor its hotkey: check --coldkey'),
  ElectedValidatorCannotRemove: nextEpoch('the node is elected for this epoch: try again in the next one'),

  NotEnoughStakeToWithdraw: never('there is less stake than was asked for: ask for less'),
  ElectedValidatorCannotUnstake: nextEpoch('the node is elected for this epoch: unstake in the next one'),
  MaxUnlockingsReached: afterAction(
    '32 withdrawals are waiting: claim those that are due first (`tessera stake claim`)',
  ),
  NoStakeUnbondingsOrCooldownNotMet: nextEpoch(
    'nothing can be claimed yet: `tessera balance` names the block in which the cooldown ends',
  ),
  MinDelegateStakeDepositNotReached: never('this is less than the smallest deposit of 1000 planck: delegate more'),
  CouldNotConvertToShares: never('this amount is too small for one share: delegate more'),
  NoDelegateShares: never('nobody delegates to this subnet: a donation would be lost'),

  NoElectedValidator: nextEpoch(
    'no validator is elected for this epoch: the subnet is not live, or nobody can be elected',
  ),
  InvalidValidator: nextEpoch('this node is not the one elected for this epoch: attest instead'),
  SubnetRewardsAlreadySubmitted: never('the scores of this epoch are submitted already: nothing to do'),
  QueueGovernanceUnsupported: never('the chain has no queue governance: send null for both queue fields'),
  ScoreOverflow: never('a score is above 10^24: scale the scores down'),
  InvalidHotkeySubnetNodeId: afterAction(
    'this hotkey has no node in the subnet: register one, or, if the node was given another hotkey, sign with that one',
  ),
  InvalidSubnetNodeClassification: nextEpoch('the node is not a validator yet: it climbs with every accepted epoch'),
  InvalidSubnetConsensusSubmission: nextBlock('nothing is submitted in this epoch yet: attest once it is'),
  InvalidValidatorId: nextEpoch(
    'the node became a validator after the scores were submitted: attest in the next epoch',
  ),
  AlreadyAttested: never('this node has attested in this epoch already: nothing to do'),
};

/** What only Hypertensor's pallet of the same name says, as far as our calls can bring it up. */
export const HYPERTENSOR_ERRORS: Readonly<Record<string, Advice>> = {
  SubnetMustBeRegistering: never('the subnet is active already: this can be done only before'),
  SubnetMustBeActive: afterAction('the subnet is not active: its owner has to activate it first'),
  SubnetIsPaused: afterAction('the owner has paused the subnet: wait until it goes on'),
  MaxSubnetNodes: nextEpoch('the subnet is full: wait until a node leaves'),
  MultiaddrExist: never('another node of the subnet has this address: give the own one with --announce-maddrs'),
  InvalidMultiaddr: never(`a multiaddr is malformed, or of a protocol that the chain does not know: ${MULTIADDR}`),
  UniqueParameterTaken: never('another node has this unique parameter: choose another'),
  MustUnstakeToRegister: afterAction(
    'this hotkey still holds stake of an earlier node: take it out first (`tessera stake remove`), or use a new hotkey',
  ),
  HotkeyAlreadyRegisteredToColdkey: never('this coldkey has a node with this hotkey already: use another hotkey'),
  TxRateLimitExceeded: nextBlock(
    'the chain takes no two money calls of one account so soon: try again in a few blocks',
  ),
  OldHotkeyNotRegistered: afterAction(
    'the chain lists the hotkeys of this coldkey under another one, since that changed places with it: change places back first (`tessera update-coldkey`)',
  ),
  DelegateAccountCannotBeHotkey: never('the hotkey is the account that shares in the rewards of its node: use another'),
  DelegateAccountCannotBeColdkey: never('the coldkey is the account that shares in the rewards of its node'),
  CouldNotConvertToBalance: never('the chain cannot express this amount as a balance: give a smaller one'),
  NotEnoughBalance: afterAction('the account does not have that much: send TENSOR to it first'),
  BalanceWithdrawalError: afterAction('the account cannot pay this and stay alive: send TENSOR to it first'),
  BalanceBurnError: afterAction('the account cannot pay what registering burns: send TENSOR to it first'),
  TransferToSelfNotAllowed: never('sender and receiver are the same account: name another with --to'),
  MinDelegateStake: never('less than the least delegation would be left: move all of it, or less'),
  SharesZero: never('an amount of 0 was given: give a larger one'),
  MinActiveNodeStakeEpochs: nextEpoch(
    'the node became active too recently: its stake can be lowered a few epochs later',
  ),
  InvalidSubnetRemoval: never('the subnet does not qualify for removal: nothing to do'),
  SubnetEpochDataIsNone: nextEpoch('the subnet has no epoch yet: wait until its first one begins'),
  ElectionSlotInsertFail: nextEpoch('the node could not be made a validator: try again in the next epoch'),
  InvalidEmergencySubnetNodeId: nextEpoch(
    'the owner has named a temporary set of validators, and this node is not in it: wait until the set has ended',
  ),
  EmergencyValidatorsSet: afterAction('the owner has named a temporary set of validators: wait until it has ended'),
  InvalidDelegateAccountRate: never('the share for the delegate account must be at most 100 %'),
  ColdkeyBlacklisted: never('this coldkey may not do that on this network: use another'),
};

const OTHER_ERRORS: Readonly<Record<string, Advice>> = {
  'Balances.InsufficientBalance': afterAction('the account does not have that much: send TENSOR to it first'),
  'Token.FundsUnavailable': afterAction('the account does not have that much: send TENSOR to it first'),
  'Token.BelowMinimum': never('the receiver would be left with less than the existential deposit: send more'),
  'Balances.ExistentialDeposit': never('the receiver would be left with less than the existential deposit: send more'),
  'Balances.Expendability': afterAction('the sender would be left with less than the existential deposit: send less'),
  'Token.NotExpendable': afterAction('the sender would be left with less than the existential deposit: send less'),
  BadOrigin: never('this account may not make this call'),
};

/** EXTRINSIC_FAILED: the call is in a block, changed nothing, and cost a fee. `pallet` is empty for errors of the runtime itself. */
export function extrinsicFailed(call: string, pallet: string, error: string): ChainError {
  return refusedByPallet(call, pallet, error, 'failed');
}

/** EXTRINSIC_FAILED of a dry run: the call was not sent and cost nothing. */
export function extrinsicWouldFail(call: string, pallet: string, error: string): ChainError {
  return refusedByPallet(call, pallet, error, 'was not sent, it would fail');
}

function refusedByPallet(call: string, pallet: string, error: string, what: string): ChainError {
  const name = pallet === '' ? error : `${pallet}.${error}`;
  const inNetwork = NETWORK_ERRORS[error] ?? HYPERTENSOR_ERRORS[error];
  const advice = (pallet === 'Network' ? inNetwork : OTHER_ERRORS[name]) ?? {
    says: 'the chain gives no reason that this program knows: look the name up in the documentation of the chain',
    retry: 'never',
  };
  return new ChainError(
    { code: 'EXTRINSIC_FAILED', call, pallet, error, retry: advice.retry },
    `${call} ${what} with ${name}: ${advice.says}`,
  );
}

/** What the pool says (JSON-RPC message and data, chain.md 9) -> reason and cure; the first match counts. */
const POOL: readonly (readonly [pattern: RegExp, reason: string, cure: (who: string) => Advice])[] = [
  [
    /Inability to pay|balance too low/i,
    'Payment',
    (who) => afterAction(`account ${who} cannot pay the fee: send it 0.01 TENSOR`),
  ],
  [
    /bad signature/i,
    'BadProof',
    () => never('the chain does not accept the signature: is this the right network, and an Ethereum-style key?'),
  ],
  [
    /outdated/i,
    'Stale',
    () => now('the nonce was used by another transaction of this account: does another process use the key?'),
  ],
  [
    /ancient birth|Transaction is ancient/i,
    'AncientBirthBlock',
    () => now('the transaction was born too long ago: send it again'),
  ],
  [/exhaust the block/i, 'ExhaustsResources', () => nextBlock('the block is full: try again in the next one')],
  [
    /call is not expected/i,
    'Call',
    () => never('the chain does not take this call: is the program of the right version?'),
  ],
  [
    /temporarily banned/i,
    'Banned',
    () => nextBlock('the chain refused the same transaction a moment ago: try again later'),
  ],
  [/already imported/i, 'AlreadyImported', () => now('the same transaction is waiting already')],
  [
    /priority is too low/i,
    'PriorityTooLow',
    () => nextBlock('another transaction with this nonce is waiting: does another process use the key?'),
  ],
  [
    /immediately dropped|pool.*full/i,
    'PoolFull',
    () => nextBlock('the pool of the chain is full: try again in a moment'),
  ],
];

/** EXTRINSIC_REJECTED: the call did not enter the pool, or was thrown out of it; it cost nothing. */
export function extrinsicRejected(call: string, account: string, said: string): ChainError {
  const known = POOL.find(([pattern]) => pattern.test(said));
  const reason = known?.[1] ?? said;
  const advice = known?.[2](account) ?? never(`the chain said: ${said}`);
  return new ChainError(
    { code: 'EXTRINSIC_REJECTED', call, reason, retry: advice.retry },
    `${call} was refused (${reason}): ${advice.says}`,
  );
}

/** The words of the pool for an account without money; the twin says the same as a node. */
export const POOL_PAYMENT = 'Inability to pay some fees (e.g. account balance too low)';

/** The words of the pool for a nonce that is used. */
export const POOL_STALE = 'Invalid Transaction: Transaction is outdated';

export function extrinsicExpired(call: string): ChainError {
  return new ChainError(
    { code: 'EXTRINSIC_EXPIRED', call },
    `${call} was not included while it was valid: is the chain making blocks? Send it again if it is still wanted`,
  );
}

export function wrongEpoch(call: string, wanted: Epoch, found: Epoch): ChainError {
  return new ChainError(
    { code: 'WRONG_EPOCH', wanted, now: found },
    `${call} is for subnet epoch ${wanted}, but the chain is in ${found}: not sent`,
  );
}

/** A duty of which too few blocks are left to be sure that it lands in its own epoch. */
export function epochEnding(call: string, epoch: Epoch, block: BlockNumber): ChainError {
  return new ChainError(
    { code: 'WRONG_EPOCH', wanted: epoch, now: epoch },
    `${call} for subnet epoch ${epoch} comes too late: the epoch ends after block ${block}, not sent`,
  );
}

export function stateDiscarded(at: string): ChainError {
  return new ChainError(
    { code: 'CHAIN_STATE_DISCARDED', at },
    `the chain endpoint no longer has (or never had) the state of block ${at}: use an endpoint that keeps more states`,
  );
}

export function eventsMissed(from: BlockNumber, to: BlockNumber, most: number, cause?: unknown): ChainError {
  const why =
    cause === undefined
      ? `${to - from + 1} are more than the ${most} that are looked back`
      : 'the endpoint has forgotten them';
  return new ChainError(
    { code: 'CHAIN_EVENTS_MISSED', from, to, most },
    `the events of blocks ${from} to ${to} are not told: ${why}; begin anew behind block ${to}, or ask an archive endpoint`,
    { cause },
  );
}

export function unreachable(endpoints: readonly string[], cause?: unknown): ChainError {
  return new ChainError(
    { code: 'CHAIN_UNREACHABLE', endpoints },
    `cannot reach the chain at ${endpoints.join(', ')}: is it running, and is --rpc right?`,
    { cause },
  );
}

export function chainTimeout(what: string, ms: number): ChainError {
  return new ChainError(
    { code: 'CHAIN_TIMEOUT', what, ms },
    `the chain did not answer within ${ms} ms (${what}): the endpoint may be overloaded; try again or use another --rpc`,
  );
}

/** The endpoint answered a read with an error of its own. */
export function chainFault(method: string, rpc: number, said: string): ChainError {
  return new ChainError(
    { code: 'CHAIN_FAULT', method, rpc },
    `the chain endpoint refuses ${method} (${rpc}): ${said}; is it a node of this chain, and up to date?`,
  );
}

/** An answer that does not have the form it should have. */
export function answerUnreadable(method: string, cause: unknown): ChainError {
  return new ChainError(
    { code: 'CHAIN_UNSUPPORTED', missing: [method] },
    `the chain answers ${method} in a form that this program does not know: is the program up to date?`,
    { cause },
  );
}
