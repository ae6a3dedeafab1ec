//! A 256-bit secret: what stands in a login link, in a cookie, and in an app token.
//!
//! Only its SHA-256 is stored and compared. A salt or a slow hash would add nothing: there is no
//! dictionary of random 256-bit numbers. Comparing hashes needs no constant time either, because
//! nobody can choose a secret whose hash begins as wanted.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::os::random::{self, NoRandom};

/// What is kept of a [`Secret`].
pub(in crate::identity) type Hash = [u8; 32];

pub(in crate::identity) struct Secret([u8; 32]);

impl Secret {
    pub(in crate::identity) fn fresh() -> Result<Self, NoRandom> {
        random::bytes().map(Self)
    }

    /// Takes back what [`Secret::text`] gave; `None` for anything else.
    pub(in crate::identity) fn parse(text: &str) -> Option<Self> {
        // Checked before decoding, so that a long text costs nothing.
        if text.len() != 43 {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// 43 characters of base64url.
    pub(in crate::identity) fn text(&self) -> SecretString {
        BASE64URL_NOPAD.encode(&self.0).into()
    }

    /// Another secret that stands for this one: who has it cannot find this one, and it needs no
    /// place on disk.
    pub(in crate::identity) fn derived(&self, purpose: &[u8]) -> Self {
        Self(Sha256::new().chain_update(purpose).chain_update(self.0).finalize().into())
    }

    /// One block of SHA-256, for every request: well under a microsecond. A cache in front of it
    /// would save little and keep the secrets themselves in memory.
    pub(in crate::identity) fn hash(&self) -> Hash {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn text_and_back() {
        let secret = Secret::fresh().unwrap();
        let text = secret.text();
        assert_eq!(Secret::parse(text.expose_secret()).unwrap().hash(), secret.hash());
        assert_ne!(Secret::fresh().unwrap().hash(), secret.hash());
        assert!(!format!("{secret:?} {text:?}").contains(text.expose_secret()));
    }

    #[test]
    fn a_derived_one_is_the_same_each_time_and_for_one_purpose() {
        let secret = Secret::fresh().unwrap();
        let hash = |purpose: &[u8]| secret.derived(purpose).hash();
        assert_eq!(hash(b"a"), hash(b"a"));
        assert_ne!(hash(b"a"), hash(b"b"));
        assert_ne!(hash(b""), secret.hash());
    }

    #[test]
    fn one_secret_has_one_spelling() {
        let good = "A".repeat(43);
        assert!(Secret::parse(&good).is_some());
        // The last character carries two unused bits: they must be zero.
        let bad = ["", "A", &good[1..], &"A".repeat(44), &format!("{}B", &good[1..])];
        for text in
            bad.into_iter().chain([&*format!("{}+", &good[1..]), &format!("{}=", &good[1..])])
        {
            assert!(Secret::parse(text).is_none(), "{text}");
        }
    }
}
