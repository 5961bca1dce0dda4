//! Arithmetic and readers on their own.

use super::*;
use crate::multiaddr::{check_multiaddr, peer_id_bytes, Fault};

#[test]
fn mul_div_floors_and_never_overflows() {
    assert_eq!(mul_div(7, 3, 2), 10);
    assert_eq!(mul_div(u128::MAX, u128::MAX, u128::MAX), u128::MAX);
    assert_eq!(mul_div(u128::MAX, 2, 1), u128::MAX);
    assert_eq!(mul_div(1, 1, 0), 0);
}

#[test]
fn reputation_moves_by_fractions_of_itself() {
    assert_eq!(lose(ONE, 10 * PERCENT), 90 * PERCENT);
    assert_eq!(gain(ONE), ONE);
    assert_eq!(gain(80 * PERCENT), 84 * PERCENT);
    assert_eq!(lose(3, 10 * PERCENT), 3); // floors the loss
}

#[test]
fn the_proposers_bonus_falls_from_a_quarter_to_three_quarters() {
    let cases = [(0, 100), (25, 100), (50, 50), (65, 20), (75, 0), (95, 0)];
    for (progress, factor) in cases {
        assert_eq!(proposer_factor(progress * PERCENT), factor * PERCENT);
    }
}

#[test]
fn sooner_is_never_worse_and_any_vote_beats_silence() {
    let silence = 33 * PERCENT;
    for length in [10u128, 20, 100, 14_400] {
        for left in [1, length / 2, length] {
            let mut before = ONE;
            for waited in 0..left {
                let factor = attestor_factor(mul_div(waited, ONE, left), silence);
                assert!(factor <= before && factor > silence, "{waited} of {left}");
                before = factor;
            }
        }
    }
    assert_eq!(attestor_factor(ONE, silence), silence);
    assert!(attestor_factor(70 * PERCENT, silence) > 98 * PERCENT - PERCENT / 10);
}

#[test]
fn peer_ids_are_read_from_text() {
    let ed25519 = b"12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
    let bytes = peer_id_bytes(ed25519).unwrap();
    assert_eq!((bytes.len(), &bytes[..6]), (38, &[0, 0x24, 8, 1, 0x12, 0x20][..]));
    assert_eq!(base58(&bytes), ed25519);
    let sha256 = b"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
    assert_eq!(peer_id_bytes(sha256).unwrap().len(), 34);
    let secp256k1 = base58(&[&[0, 0x25, 8, 2, 0x12, 0x21, 2][..], &[7; 32]].concat());
    assert_eq!(peer_id_bytes(&secp256k1).unwrap().len(), 39);
    assert_eq!(peer_id_bytes(&ed25519[..51]), None);
    assert_eq!(peer_id_bytes(&base58(&[0; 38])), None);
}

#[test]
fn multiaddrs_are_read_part_by_part() {
    let peer = peer_bytes(1);
    let p2p = [&[0xa5, 0x03, 0x26][..], &peer].concat();
    let relay = [&[0xa5, 0x03, 0x26][..], &peer_bytes(2)].concat();
    let dns = [&[54, 9][..], b"localhost"].concat();
    let (ip6, udp) = ([&[41][..], &[0; 16]].concat(), vec![0x91, 0x02, 0x75, 0x30]);
    let (quic, webrtc, circuit) = (vec![0xcd, 0x03], vec![0x98, 0x02], vec![0xa2, 0x02]);
    let certhash = [&[0xd2, 0x03, 4][..], &[1, 2, 3, 4]].concat();
    let good = [
        p2p.clone(),
        [dns.clone(), vec![6, 0, 80], vec![0xdd, 0x03], p2p.clone()].concat(),
        [ip6.clone(), udp.clone(), quic, p2p.clone()].concat(),
        [ip6, udp, webrtc, certhash, p2p.clone()].concat(),
        [relay, circuit, p2p.clone()].concat(),
    ];
    for bytes in good {
        assert_eq!(check_multiaddr(&bytes, &peer), Ok(()));
    }
    let bad = [
        ([p2p.clone(), dns].concat(), Fault::Address),
        ([&[54, 0][..], &p2p].concat(), Fault::Address),
        ([&[7][..], &p2p].concat(), Fault::Protocol),
        ([&[0xa5, 0x03, 2, 1, 2][..], &p2p].concat(), Fault::Address),
        (vec![6, 0], Fault::Truncated),
        (vec![0xa5], Fault::Truncated),
    ];
    for (bytes, fault) in bad {
        assert_eq!(check_multiaddr(&bytes, &peer), Err(fault));
    }
}
