//! Input as strangers send it (story 25): every refusal has a name, nothing panics, nothing changes.

use super::*;
use codec::{Decode, Encode};
use sp_runtime::traits::TrailingZeroInput;

fn with_peer(change: impl FnOnce(&mut PeerInfo)) -> Call<Test> {
    let mut call = register_node(1);
    if let Call::register_subnet_node { peer_info, .. } = &mut call {
        change(peer_info);
    }
    call
}

#[test]
fn bad_peers_and_addresses_are_named() {
    on_chain(devnet(), || {
        registered_subnet(0);
        let address_of = |bytes: Vec<u8>| with_peer(|peer| peer.multiaddr = Some(text(bytes)));
        let good = address(1).into_inner();
        let cases = [
            (with_peer(|peer| peer.peer_id = text(peer_bytes(1))), Error::InvalidPeerId),
            (with_peer(|peer| peer.peer_id = text("")), Error::InvalidPeerId),
            (with_peer(|peer| peer.peer_id = text([b'z'; 64])), Error::InvalidPeerId),
            (with_peer(|peer| peer.peer_id = text("12D3KooW0OIl")), Error::InvalidPeerId),
            (address_of(address(2).into_inner()), Error::MultiaddrInvalidAddress),
            (address_of(good[..8].to_vec()), Error::MultiaddrInvalidAddress),
            (address_of(b"/ip4/127.0.0.1/tcp/1".to_vec()), Error::MultiaddrInvalidProtocol),
            (address_of(good[..good.len() - 1].to_vec()), Error::MultiaddrTruncated),
            (address_of(vec![]), Error::MultiaddrTruncated),
            (address_of(vec![0xff; 10]), Error::MultiaddrInvalidVarint),
            (address_of([&[0x84, 0][..], &good[1..]].concat()), Error::MultiaddrInvalidVarint),
        ];
        for (call, error) in cases {
            refused(cold(1), call, error);
        }
        accepted(cold(1), register_node(1));
    });
}

#[test]
fn registrations_that_break_a_rule_are_named() {
    on_chain(devnet(), || {
        registered_subnet(1);
        let changed = |change: fn(&mut SubnetNodeFields)| {
            let mut fields = SubnetNodeFields::of(2);
            change(&mut fields);
            fields.call()
        };
        let cases = [
            (changed(|f| f.subnet = 5), Error::InvalidSubnetId),
            (changed(|f| f.hotkey = cold(2)), Error::ColdkeyMatchesHotkey),
            (changed(|f| f.hotkey = hot(1)), Error::HotkeyHasOwner),
            (changed(|f| f.peer = peer(1)), Error::PeerIdExist),
            (changed(|f| f.bootnode = Some(peer(2))), Error::PeerIdsMustBeUnique),
            (changed(|f| f.bootnode = Some(peer(1))), Error::BootnodePeerIdExist),
            (changed(|f| f.client = Some(peer(1))), Error::ClientPeerIdExist),
            (changed(|f| f.rate = ONE + 1), Error::InvalidDelegateRewardRate),
            (changed(|f| f.rate = u128::MAX), Error::InvalidDelegateRewardRate),
            (changed(|f| f.stake = STAKE - 1), Error::MinStakeNotReached),
            (changed(|f| f.stake = 1000 * TENSOR + 1), Error::MaxStakeReached),
        ];
        for (call, error) in cases {
            refused(cold(2), call, error);
        }
        refused(9999, SubnetNodeFields::of(2).call(), Error::NotEnoughBalanceToStake);
    });
}

/// The arguments of a registration that the cases above change.
struct SubnetNodeFields {
    subnet: SubnetId,
    hotkey: AccountId,
    peer: PeerInfo,
    bootnode: Option<PeerInfo>,
    client: Option<PeerInfo>,
    rate: u128,
    stake: u128,
}

impl SubnetNodeFields {
    fn of(n: u32) -> Self {
        Self { subnet: S, hotkey: hot(n), peer: peer(n), bootnode: None, client: None, rate: 0, stake: STAKE }
    }
    fn call(self) -> Call<Test> {
        Call::register_subnet_node {
            subnet_id: self.subnet,
            hotkey: self.hotkey,
            peer_info: self.peer,
            bootnode_peer_info: self.bootnode,
            client_peer_info: self.client,
            delegate_reward_rate: self.rate,
            stake_to_be_added: self.stake,
            unique: None,
            non_unique: None,
            delegate_account: None,
            max_burn_amount: TENSOR,
        }
    }
}

#[test]
fn oversized_arguments_do_not_decode() {
    let scores = vec![SubnetNodeConsensusData { subnet_node_id: 1, score: 1 }; 257];
    assert!(Scores::decode(&mut &scores.encode()[..]).is_err());
    assert!(Scores::decode(&mut &scores[..256].to_vec().encode()[..]).is_ok());
    assert!(ProposalArgs::decode(&mut &vec![0u8; 4097].encode()[..]).is_err());
    assert!(Evidence::decode(&mut &vec![0u8; 129].encode()[..]).is_err());
    assert!(Multiaddr::decode(&mut &vec![0u8; 1025].encode()[..]).is_err());
    assert!(PeerId::decode(&mut &vec![0u8; 65].encode()[..]).is_err());
}

#[test]
fn no_bytes_make_the_readers_panic() {
    let good = address(1).into_inner();
    let peer = peer_bytes(1);
    for seed in 0..20_000u32 {
        let noise = sp_io::hashing::blake2_256(&seed.to_le_bytes());
        let mut bytes = good.clone();
        let at = noise[0] as usize % bytes.len();
        bytes[at] = noise[1];
        bytes.truncate(noise[2] as usize % (bytes.len() + 8));
        let verdict = crate::multiaddr::check_multiaddr(&bytes, &peer);
        assert!(verdict.is_err() || bytes.ends_with(&peer));
        let _ = crate::multiaddr::check_multiaddr(&noise, &peer);
        assert_eq!(crate::multiaddr::peer_id_bytes(&noise), None);
        let _ = RuntimeCall::decode(&mut &[&[2u8][..], &noise].concat()[..]);
    }
}

/// Whatever decodes is executed: on a live subnet, by people who have a say in it, with the invariants checked after each call.
#[test]
fn calls_of_random_bytes_do_no_harm() {
    const PALLET: u8 = 2;
    let calls = (0..=50).chain(52..=54).chain(65..=68).chain(77..=78).chain(200..=202u8);
    let mut decoded = 0;
    on_chain(devnet(), || {
        live_subnet(3);
        decree(1);
        for (index, seed) in calls.flat_map(|index| (0..12u32).map(move |seed| (index, seed))) {
            let noise = sp_io::hashing::blake2_256(&(index, seed).encode());
            // half of the calls name the subnet that exists, and zeros follow the noise without end
            let named = [&S.to_le_bytes()[..], &[noise[0] % 4, 0, 0, 0], &noise[1..]].concat();
            let bytes = [&[PALLET, index][..], if seed % 2 == 0 { &named } else { &noise }].concat();
            if let Ok(call) = RuntimeCall::decode(&mut TrailingZeroInput::new(&bytes)) {
                decoded += 1;
                for who in [OWNER, cold(2), hot(1), hot(2)] {
                    let _ = call.clone().dispatch(RuntimeOrigin::signed(who));
                }
                invariants::check();
            }
        }
    });
    assert!(decoded > 200, "only {decoded} calls decoded");
}

#[test]
fn questions_about_what_is_not_there_get_empty_answers() {
    on_chain(devnet(), || {
        assert_eq!(Network::subnet_clock(S), None);
        assert_eq!(Network::subnet_info(S), None);
        assert_eq!(Network::subnet_node_info(S, 1), None);
        assert_eq!(Network::elected_validator_info(S, 0), None);
        assert!(Network::all_subnets_info().is_empty() && Network::all_subnet_nodes_info().is_empty());
        assert!(Network::validators_and_attestors(S).is_empty() && Network::delegate_stakes(OWNER).is_empty());
        assert!(Network::coldkey_stakes(OWNER).is_empty() && Network::coldkey_subnet_nodes_info(OWNER).is_empty());
        assert!(Network::bootnodes(S).subnet_bootnodes.is_empty());
        assert!(!Network::proof_of_stake(S, vec![0; 500], 0, None));
        assert!(!Network::proof_of_stake(S, vec![], 0, Some(0)));
    });
}
