//! Accounts as Ethereum has them: 20 bytes of the keccak-256 of a secp256k1 key, and signatures that recover to it
//! (chain.md 2). polkadot.js knows the type path `account::AccountId20`, so neither crate nor type may be renamed.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

use alloc::{format, string::String};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{fmt, str::FromStr};
use scale_info::TypeInfo;
use serde::{de::Error as _, Deserialize, Deserializer, Serialize, Serializer};
use sp_core::ecdsa;
use sp_io::{crypto::secp256k1_ecdsa_recover, hashing::keccak_256};
use sp_runtime::traits::{IdentifyAccount, Lazy, Verify};

#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct AccountId20(pub [u8; 20]);

impl AccountId20 {
    /// The address of an uncompressed public key, x then y without the leading 4.
    pub fn from_public(key: &[u8; 64]) -> Self {
        let mut address = [0; 20];
        for (to, from) in address.iter_mut().zip(keccak_256(key).into_iter().skip(12)) {
            *to = from;
        }
        Self(address)
    }
}

impl fmt::Display for AccountId20 {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AccountId20 {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<[u8; 20]> for AccountId20 {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for AccountId20 {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Hex with or without 0x, in either case; checksums are not looked at.
impl FromStr for AccountId20 {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("0x").unwrap_or(text).as_bytes();
        if hex.len() != 40 {
            return Err("an account is 40 hex digits");
        }
        let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or("not a hex digit");
        let mut bytes = [0u8; 20];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks(2)) {
            for c in pair {
                *byte = byte.wrapping_shl(4) | digit(c)?;
            }
        }
        Ok(Self(bytes))
    }
}

impl Serialize for AccountId20 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{self}"))
    }
}

impl<'de> Deserialize<'de> for AccountId20 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// r, s and v over the keccak-256 of the payload.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct EthereumSignature(pub [u8; 65]);

impl From<ecdsa::Signature> for EthereumSignature {
    fn from(signature: ecdsa::Signature) -> Self {
        Self(signature.0)
    }
}

impl Verify for EthereumSignature {
    type Signer = EthereumSigner;
    fn verify<L: Lazy<[u8]>>(&self, mut message: L, signer: &AccountId20) -> bool {
        let hash = keccak_256(message.get());
        secp256k1_ecdsa_recover(&self.0, &hash).is_ok_and(|key| AccountId20::from_public(&key) == *signer)
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct EthereumSigner(AccountId20);

impl IdentifyAccount for EthereumSigner {
    type AccountId = AccountId20;
    fn into_account(self) -> AccountId20 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_core::Pair;

    /// The first account of the public development mnemonic.
    const KEY: &str = "0x5fb92d6e98884f76de468fa3f6278f8807c48bebc13595d45af5bdc4da702133";
    const ADDRESS: &str = "0xf24FF3a9CF04c71Dbc94D0b566f7A27B94566cac";

    #[test]
    fn a_signature_names_its_account_and_no_other() {
        let pair = ecdsa::Pair::from_string(KEY, None).unwrap();
        let account: AccountId20 = ADDRESS.parse().unwrap();
        let signature = EthereumSignature::from(pair.sign_prehashed(&keccak_256(b"hello")));
        assert!(signature.verify(&b"hello"[..], &account));
        assert!(!signature.verify(&b"hellO"[..], &account));
        assert!(!signature.verify(&b"hello"[..], &AccountId20::default()));
        assert!(!EthereumSignature([0xff; 65]).verify(&b"hello"[..], &account));
        assert_eq!(EthereumSigner(account).into_account(), account);
    }

    #[test]
    fn accounts_are_read_and_written_as_hex() {
        let account: AccountId20 = ADDRESS.parse().unwrap();
        assert_eq!(format!("{account}"), ADDRESS.to_lowercase());
        assert_eq!(ADDRESS.strip_prefix("0x").unwrap().parse(), Ok(account));
        assert_eq!(account.encode(), account.as_ref());
        for bad in ["", "0x", "0x12", &ADDRESS[..41], &format!("{ADDRESS}0"), &ADDRESS.replace('f', "g")] {
            assert!(bad.parse::<AccountId20>().is_err(), "{bad}");
        }
    }
}
