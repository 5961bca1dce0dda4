// Who looks at a subnet from outside, to verify its epochs: joins the overlay under a name for once, serves nothing, needs no keys.

import { randomBytes } from 'node:crypto';
import type { Chain, Subnet } from '../chain/types.ts';
import { identityFromSeed, verifySignature } from '../p2p/identity.ts';
import { createOverlay } from '../p2p/libp2p.ts';
import { openNetworkKey } from '../p2p/network-key.ts';
import { createMemoryJournal } from '../store/memory.ts';
import type { Log } from '../util/log.ts';
import { createVerifier, type Verifier } from '../validator/verify.ts';
import type { ManifestOf } from '../validator/work.ts';
import { MAX_RECORD_BYTES } from '../wire/record.ts';
import { dialsPrivate, knownAddresses, networkName } from './addresses.ts';
import { readPolicies } from './policies.ts';
import { requireNetworkKey } from './requirements.ts';

export interface VisitorOptions {
  /** Dialled instead of what the chain knows, when there are any. */
  readonly initialPeers: readonly string[];
  /** File of the pre-shared key, for a private network. */
  readonly networkKey?: string | undefined;
}

export interface VisitorDeps {
  readonly chain: Chain;
  readonly subnet: Subnet;
  readonly manifestOf: ManifestOf;
  readonly log: Log;
}

export interface Visitor {
  readonly verifier: Verifier;
  /** Nodes that answered the call. */
  readonly peers: number;
  close(): Promise<void>;
}

/** A node that cannot be dialled is done without: so long it is waited for. */
const DIAL_MS = 5_000;

export async function createVisitor(
  { initialPeers, networkKey }: VisitorOptions,
  { chain, subnet, manifestOf, log }: VisitorDeps,
  signal: AbortSignal,
): Promise<Visitor> {
  const { inForce } = await readPolicies(subnet, chain, signal);
  requireNetworkKey(inForce.access, networkKey);
  const [info, nodes] = await Promise.all([chain.info(signal), chain.nodes(subnet.id, undefined, signal)]);
  const identity = identityFromSeed(new Uint8Array(randomBytes(32)));
  const bootstrap = initialPeers.length > 0 ? initialPeers : knownAddresses(subnet, nodes, identity.peer);
  const overlay = await createOverlay(
    {
      identity,
      listen: [],
      network: networkName(info),
      bootstrap,
      dhtServer: false,
      topics: [],
      records: { judge: async () => 'accept', replaces: () => false, maxRecordBytes: MAX_RECORD_BYTES },
      privateAddresses: dialsPrivate('auto', { listen: bootstrap, named: initialPeers }),
      ...(networkKey === undefined ? {} : { networkKey: openNetworkKey(networkKey) }),
    },
    { log: log.child('p2p') },
  );
  const stop = AbortSignal.any([signal, AbortSignal.timeout(DIAL_MS)]);
  await Promise.allSettled(bootstrap.map((address) => overlay.connect(address, stop)));
  const journal = createMemoryJournal({ genesis: info.genesis });
  const verifier = createVerifier(
    { genesis: info.genesis, subnet: subnet.id, clock: { slot: subnet.slot, epochLength: info.epochLength } },
    { chain, overlay, journal, manifestOf, verify: verifySignature, log: log.child('verify') },
  );
  return { verifier, peers: overlay.peers().length, close: () => overlay.close() };
}
