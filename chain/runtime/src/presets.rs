//! Genesis presets (chain.md 8). They are JSON text: balances are larger than JSON readers' usual numbers, so whoever
//! merges them must keep the digits.

use alloc::{format, string::String, vec::Vec};
use sp_genesis_builder::PresetId;

/// Keys of the public development mnemonic, m/44'/60'/0'/0/n. The first is sudo.
const RICH: [&str; 6] = [
    "0xf24FF3a9CF04c71Dbc94D0b566f7A27B94566cac",
    "0x3Cd0A705a2DC65e5b1E1205896BaA2be8A07c6e0",
    "0x798d4Ba9baf0064Ec19eB4F0a1a45785ae9D6DFc",
    "0x773539d4Ac0e786233D90A233654ccEE26a613D9",
    "0xFf64d3F6efE2317EE2807d223a0Bdc4c0c49dfDB",
    "0xC0F0f4ab324C46e55D02D0033343B4Be8A55532d",
];
const MODEST: [&str; 6] = [
    "0x7BF369283338E12C90514468aa3868A551AB2929",
    "0x931f3600a299fd9B24cEfB3BfF79388D19804BeA",
    "0xC41C5F1123ECCd5ce233578B2e7ebd5693869d73",
    "0x2898FE7a42Be376C8BC7AF536A940F7Fd5aDd423",
    "0x583E6CFb24Ae212A36Db2766597fF8e6AC796751",
    "0xbb827670B9dCb162Daa8DbF3dFF63a71c844d17d",
];
/// 10^6 and 10^3 TENSOR in planck.
const RICH_BALANCE: &str = "1000000000000000000000000";
const MODEST_BALANCE: &str = "1000000000000000000000";
/// //Alice: Aura sr25519 and Grandpa ed25519.
const AURA: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const GRANDPA: &str = "5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu";

/// Short epochs that one person can wait for. `strict` changes some of it.
const DEVNET: &str = r#""epochLength":20,"subnetNodeQueueEpochs":1,"idleClassificationEpochs":1,
"includedClassificationEpochs":1,"stakeCooldownEpochs":1"#;
const LENIENT: &str = r#","minSubnetNodes":1,"activationGraceEpochs":30,"minSubnetRegistrationEpochs":0,
"minSubnetDelegateStakeFactor":0"#;
const STRICT: &str = r#","minSubnetNodes":3,"activationGraceEpochs":4,"minSubnetRegistrationEpochs":1,
"minSubnetDelegateStakeFactor":1000000000000000"#;

pub fn names() -> Vec<PresetId> {
    ["devnet", "standard", "strict"].into_iter().map(PresetId::from).collect()
}

/// The preset as a patch of the default genesis.
pub fn patch(id: &PresetId) -> Option<Vec<u8>> {
    let network = match id.as_str() {
        "devnet" => format!("{DEVNET}{LENIENT}"),
        "standard" => String::new(),
        "strict" => format!("{DEVNET}{STRICT}"),
        _ => return None,
    };
    let [sudo, ..] = RICH;
    let rich = RICH.iter().map(|account| format!(r#"["{account}",{RICH_BALANCE}]"#));
    let modest = MODEST.iter().map(|account| format!(r#"["{account}",{MODEST_BALANCE}]"#));
    let balances: Vec<String> = rich.chain(modest).collect();
    let balances = balances.join(",");
    let patch = format!(
        r#"{{"balances":{{"balances":[{balances}]}},"aura":{{"authorities":["{AURA}"]}},
"grandpa":{{"authorities":[["{GRANDPA}",1]]}},"sudo":{{"key":"{sudo}"}},"network":{{{network}}}}}"#
    );
    Some(patch.into_bytes())
}
