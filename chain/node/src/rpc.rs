//! JSON-RPC beyond what every node has: nonces and fees of 20-byte accounts, and `network_*`, the subnet pallet's questions (chain.md 7),
//! answered as the dev chain answers them. Parameters come from anybody and are checked one by one.

use crate::types::{Block, Client, Hash, Pool};
use account::AccountId20;
use codec::Encode;
use jsonrpsee::{
    types::{error::INVALID_PARAMS_CODE, ErrorObject, ErrorObjectOwned, Params},
    RpcModule,
};
use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
use sc_client_api::{CallExecutor, ExecutorProvider};
use serde_json::Value;
use sp_blockchain::HeaderBackend;
use sp_core::traits::CallContext;
use std::{error::Error, sync::Arc};
use substrate_frame_rpc_system::{System, SystemApiServer};

/// The type of an argument of the runtime API.
#[derive(Clone, Copy)]
enum Argument {
    U8,
    U32,
    Account,
    /// A peer id: text, hex, or an array of byte numbers.
    Bytes,
    OptionU128,
}
use Argument::{Account, Bytes, OptionU128, U32, U8};

/// RPC name, runtime function, types of the arguments. A last argument more is the hash of the block to ask at.
const QUESTIONS: [(&str, &str, &[Argument]); 12] = [
    ("network_getSubnetClock", "get_subnet_clock", &[U32]),
    ("network_getSubnetInfo", "get_subnet_info", &[U32]),
    ("network_getAllSubnetsInfo", "get_all_subnets_info", &[]),
    ("network_getBootnodes", "get_bootnodes", &[U32]),
    ("network_getSubnetNodeInfo", "get_subnet_node_info", &[U32, U32]),
    ("network_getSubnetNodesInfo", "get_subnet_nodes_info", &[U32]),
    ("network_getAllSubnetNodesInfo", "get_all_subnet_nodes_info", &[]),
    ("network_getValidatorsAndAttestors", "get_validators_and_attestors", &[U32]),
    ("network_getColdkeySubnetNodesInfo", "get_coldkey_subnet_nodes_info", &[Account]),
    ("network_getElectedValidatorInfo", "get_elected_validator_info", &[U32, U32]),
    ("network_getColdkeyStakes", "get_coldkey_stakes", &[Account]),
    ("network_getDelegateStakes", "get_delegate_stakes", &[Account]),
];
const PROOF_OF_STAKE: &[Argument] = &[U32, Bytes, U8, OptionU128];
/// A runtime function refused or trapped, or there is no such block.
const CALL_FAILED: i32 = 4003;

pub fn methods(client: Arc<Client>, pool: Arc<Pool>) -> Result<RpcModule<()>, Box<dyn Error + Send + Sync>> {
    let mut module = RpcModule::new(());
    module.merge(SystemApiServer::<Hash, AccountId20, u32>::into_rpc(System::new(client.clone(), pool)))?;
    module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
    for (name, function, arguments) in QUESTIONS {
        let client = client.clone();
        module.register_blocking_method(name, move |params, _, _| ask(&client, function, arguments, &params))?;
    }
    module.register_blocking_method("network_proofOfStake", move |params, _, _| {
        ask(&client, "proof_of_stake", PROOF_OF_STAKE, &params).map(|answer| answer == [1])
    })?;
    Ok(module)
}

/// The SCALE of the runtime's answer.
fn ask(client: &Client, function: &str, arguments: &[Argument], params: &Params) -> Result<Vec<u8>, ErrorObjectOwned> {
    let given: Vec<Value> = params.parse()?;
    let mut data = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let value = given.get(index).unwrap_or(&Value::Null);
        let bytes = encode(*argument, value).ok_or_else(|| invalid(format!("parameter {} is not good", index + 1)))?;
        data.extend(bytes);
    }
    let at = match given.get(arguments.len()) {
        None | Some(Value::Null) => client.info().best_hash,
        Some(hash) => serde_json::from_value(hash.clone()).map_err(|_| invalid("a block hash is expected".into()))?,
    };
    let method = format!("NetworkRuntimeApi_{function}");
    CallExecutor::<Block>::call(client.executor(), at, &method, &data, CallContext::Offchain)
        .map_err(|fault| ErrorObject::owned(CALL_FAILED, "the call failed", Some(fault.to_string())))
}

fn invalid(why: String) -> ErrorObjectOwned {
    ErrorObject::owned(INVALID_PARAMS_CODE, "Invalid params", Some(why))
}

fn encode(argument: Argument, value: &Value) -> Option<Vec<u8>> {
    match argument {
        U8 => u8::try_from(value.as_u64()?).ok().map(|number| number.encode()),
        U32 => u32::try_from(value.as_u64()?).ok().map(|number| number.encode()),
        Account => Some(value.as_str()?.parse::<AccountId20>().ok()?.encode()),
        Bytes => byte_string(value).map(|bytes| bytes.encode()),
        OptionU128 if value.is_null() => Some(None::<u128>.encode()),
        OptionU128 => Some(Some(integer(value)?).encode()),
    }
}

fn byte_string(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Array(items) => items.iter().map(|item| item.as_u64().and_then(|byte| byte.try_into().ok())).collect(),
        Value::String(text) => match text.strip_prefix("0x") {
            // the reader takes half a byte for a whole one
            Some(digits) if digits.len() % 2 == 1 => None,
            Some(_) => sp_core::bytes::from_hex(text).ok(),
            None => Some(text.as_bytes().to_vec()),
        },
        _ => None,
    }
}

/// A number, decimal digits, or hex with 0x.
fn integer(value: &Value) -> Option<u128> {
    match value {
        Value::Number(number) => number.as_u64().map(u128::from),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u128::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_encoded_as_the_runtime_reads_them() {
        let account = "0xf24FF3a9CF04c71Dbc94D0b566f7A27B94566cac";
        for (argument, value, bytes) in [
            (U8, json!(3), vec![3]),
            (U32, json!(128_001), vec![1, 0xf4, 1, 0]),
            (Bytes, json!("12"), vec![8, 0x31, 0x32]),
            (Bytes, json!("0x3132"), vec![8, 0x31, 0x32]),
            (Bytes, json!([0x31, 0x32]), vec![8, 0x31, 0x32]),
            (OptionU128, Value::Null, vec![0]),
            (OptionU128, json!("0x10"), [vec![1, 16], vec![0; 15]].concat()),
            (OptionU128, json!("16"), [vec![1, 16], vec![0; 15]].concat()),
            (OptionU128, json!(16), [vec![1, 16], vec![0; 15]].concat()),
        ] {
            assert_eq!(encode(argument, &value), Some(bytes), "{value}");
        }
        assert_eq!(encode(Account, &json!(account)).map(|bytes| bytes.len()), Some(20));
    }

    #[test]
    fn what_is_no_such_argument_is_refused() {
        for (argument, value) in [
            (U8, json!(256)),
            (U8, json!(-1)),
            (U32, json!(4_294_967_296u64)),
            (U32, json!("7")),
            (U32, Value::Null),
            (Account, json!("0x12")),
            (Bytes, json!("0x123")),
            (Bytes, json!([256])),
            (Bytes, json!({})),
            (OptionU128, json!(1.5)),
            (OptionU128, json!("-1")),
        ] {
            assert_eq!(encode(argument, &value), None, "{value}");
        }
    }
}
