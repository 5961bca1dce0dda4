//! Reads peer ids (base58 text) and multiaddrs (bytes) as strangers send them (chain.md 2). Trusts nothing.

use scale_info::prelude::{vec, vec::Vec};

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Text of the longest accepted peer id (39 bytes); longer text is refused before any work is done.
const MAX_PEER_ID_TEXT: usize = 54;
/// First bytes and whole length of each accepted kind: ed25519 and secp256k1 keys, sha2-256 hashes.
const PEER_ID_KINDS: [(&[u8], usize); 3] =
    [(&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20], 38), (&[0x00, 0x25, 0x08, 0x02, 0x12, 0x21], 39), (&[0x12, 0x20], 34)];
const P2P: u64 = 421;

/// Why a multiaddr is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Varint,
    Protocol,
    Address,
    Truncated,
}

/// The bytes of a peer id given as base58 text, if it is of an accepted kind.
pub fn peer_id_bytes(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > MAX_PEER_ID_TEXT {
        return None;
    }
    base58_decode(text).filter(|bytes| is_peer_id(bytes))
}

/// Whether `bytes` is a well-formed multiaddr whose last part is `/p2p/<peer>`; `peer` is the binary id.
pub fn check_multiaddr(bytes: &[u8], peer: &[u8]) -> Result<(), Fault> {
    let mut rest = bytes;
    loop {
        let (code, after) = varint(rest)?;
        let (value, after) = take(after, value_length(code)?)?;
        check_value(code, value)?;
        if after.is_empty() {
            return if code == P2P && value == peer { Ok(()) } else { Err(Fault::Address) };
        }
        rest = after;
    }
}

fn is_peer_id(bytes: &[u8]) -> bool {
    PEER_ID_KINDS.iter().any(|(prefix, length)| bytes.len() == *length && bytes.starts_with(prefix))
}

/// Where a part's value ends: after so many bytes, or as a varint before it says.
enum Length {
    Fixed(usize),
    Prefixed,
}

fn value_length(code: u64) -> Result<Length, Fault> {
    match code {
        4 => Ok(Length::Fixed(4)),               // ip4
        6 | 273 => Ok(Length::Fixed(2)),         // tcp, udp
        41 => Ok(Length::Fixed(16)),             // ip6
        280 | 290 => Ok(Length::Fixed(0)),       // webrtc-direct, p2p-circuit
        448 | 477 | 478 => Ok(Length::Fixed(0)), // tls, ws, wss
        460 | 461 => Ok(Length::Fixed(0)),       // quic, quic-v1
        53..=56 => Ok(Length::Prefixed),         // dns, dns4, dns6, dnsaddr
        466 | P2P => Ok(Length::Prefixed),       // certhash
        _ => Err(Fault::Protocol),
    }
}

fn take(bytes: &[u8], length: Length) -> Result<(&[u8], &[u8]), Fault> {
    match length {
        Length::Fixed(n) => bytes.split_at_checked(n).ok_or(Fault::Truncated),
        Length::Prefixed => {
            let (n, after) = varint(bytes)?;
            let n = usize::try_from(n).map_err(|_| Fault::Truncated)?;
            after.split_at_checked(n).ok_or(Fault::Truncated)
        }
    }
}

/// Refuses empty names and what is no peer id.
fn check_value(code: u64, value: &[u8]) -> Result<(), Fault> {
    let bad = match code {
        P2P => !is_peer_id(value),
        53..=56 | 466 => value.is_empty(),
        _ => false,
    };
    if bad {
        Err(Fault::Address)
    } else {
        Ok(())
    }
}

/// An unsigned LEB128 number in its shortest form, at most 9 bytes (the multiformats rule).
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Fault> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(9) {
        let shift = u32::try_from(i).unwrap_or_default().saturating_mul(7);
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
        if byte & 0x80 == 0 {
            let padded = *byte == 0 && i > 0;
            let after = bytes.get(i.saturating_add(1)..).unwrap_or_default();
            return if padded { Err(Fault::Varint) } else { Ok((value, after)) };
        }
    }
    if bytes.len() < 9 {
        Err(Fault::Truncated)
    } else {
        Err(Fault::Varint)
    }
}

fn base58_decode(text: &[u8]) -> Option<Vec<u8>> {
    let zeros = text.iter().take_while(|c| **c == b'1').count();
    let mut little = Vec::new(); // the number, least significant byte first
    for letter in text.iter().skip(zeros) {
        let mut carry = u32::try_from(ALPHABET.iter().position(|c| c == letter)?).ok()?;
        for byte in little.iter_mut() {
            carry = u32::from(*byte).saturating_mul(58).saturating_add(carry);
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            little.push((carry & 0xff) as u8);
        }
    }
    let mut bytes = vec![0; zeros];
    bytes.extend(little.into_iter().rev());
    Some(bytes)
}
