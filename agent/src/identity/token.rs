//! A 256-bit secret: what stands in a login link and in a session cookie.
//!
//! Only its SHA-256 is stored and compared. A salt or a slow hash would add nothing: there is no
//! dictionary of random 256-bit numbers. Comparing hashes needs no constant time either, because
//! nobody can choose a secret whose hash begins as wanted.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::os::random::{self, NoRandom};

/// What is kept of a [`Token`].
pub(super) type Hash = [u8; 32];

pub(super) struct Token([u8; 32]);

impl Token {
    pub(super) fn fresh() -> Result<Self, NoRandom> {
        random::bytes().map(Self)
    }

    /// Takes back what [`Token::text`] gave; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // Checked before decoding, so that a long text costs nothing.
        if text.len() != 43 {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// 43 characters of base64url.
    pub(super) fn text(&self) -> SecretString {
        BASE64URL_NOPAD.encode(&self.0).into()
    }

    /// One block of SHA-256, for every request: well under a microsecond. A cache in front of it
    /// would save little and keep the secrets themselves in memory.
    pub(super) fn hash(&self) -> Hash {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn text_and_back() {
        let token = Token::fresh().unwrap();
        let text = token.text();
        assert_eq!(Token::parse(text.expose_secret()).unwrap().hash(), token.hash());
        assert_ne!(Token::fresh().unwrap().hash(), token.hash());
        assert!(!format!("{token:?} {text:?}").contains(text.expose_secret()));
    }

    #[test]
    fn one_secret_has_one_spelling() {
        let good = "A".repeat(43);
        assert!(Token::parse(&good).is_some());
        // The last character carries two unused bits: they must be zero.
        let bad = ["", "A", &good[1..], &"A".repeat(44), &format!("{}B", &good[1..])];
        for text in
            bad.into_iter().chain([&*format!("{}+", &good[1..]), &format!("{}=", &good[1..])])
        {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
