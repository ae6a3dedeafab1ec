//! Random bytes from the operating system.

/// The kernel gave no random bytes; nothing that needs a secret may go on.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandom(#[source] getrandom::Error);

/// `N` random bytes, for secrets and ids.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandom)?;
    Ok(bytes)
}

/// A number from 0.0 to 1.0, for jitter; 0.5 if the kernel has none to give.
pub fn fraction() -> f64 {
    bytes::<4>().map_or(0.5, |b| f64::from(u32::from_le_bytes(b)) / f64::from(u32::MAX))
}
