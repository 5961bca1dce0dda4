//! Fixed-point arithmetic with 10^18 as one. Every division floors (chain.md 5); nothing here can panic.

use sp_core::U256;

/// 100 %, and also one TENSOR in planck.
pub const ONE: u128 = 1_000_000_000_000_000_000;
pub const PERCENT: u128 = ONE / 100;

/// floor(a·b/c) through 256 bits; 0 when c = 0; the largest u128 when the result does not fit.
pub fn mul_div(a: u128, b: u128, c: u128) -> u128 {
    let product = U256::from(a).saturating_mul(U256::from(b));
    let quotient = product.checked_div(U256::from(c)).unwrap_or_default();
    u128::try_from(quotient).unwrap_or(u128::MAX)
}

/// a·b of two fractions of ONE.
pub fn mul(a: u128, b: u128) -> u128 {
    mul_div(a, b, ONE)
}

/// A reputation after losing the fraction `part` of itself (5.4).
pub fn lose(reputation: u128, part: u128) -> u128 {
    reputation.saturating_sub(mul(reputation, part))
}

/// A reputation after one good epoch (5.4).
pub fn gain(reputation: u128) -> u128 {
    reputation.saturating_add(mul(reputation, 5 * PERCENT)).min(ONE)
}

/// The proposer's bonus factor f_p by the progress of the proposal's block in its epoch (5.3).
pub fn proposer_factor(progress: u128) -> u128 {
    match progress {
        p if p <= 25 * PERCENT => ONE,
        p if p >= 75 * PERCENT => 0,
        p => (75 * PERCENT).saturating_sub(p).saturating_mul(2),
    }
}

/// The attestor's factor f by its delay `y` after the proposal, a fraction of the time that was left (5.3).
/// `floor` is the factor of those who never attest.
pub fn attestor_factor(y: u128, floor: u128) -> u128 {
    let y2 = mul(y, y);
    let y4 = mul(y2, y2);
    let y8 = mul(y4, y4);
    ONE.saturating_sub(mul(ONE.saturating_sub(floor), mul(y8, y2)))
}
