//! Names and identifiers as types, checked where they enter.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of an app: it appears in URLs, file names and unit names.
///
/// A lower-case letter, then lower-case letters, digits and `-`; 32 characters at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name: use a lower-case letter, then lower-case letters, digits or '-', \
     32 characters at most"
)]
pub struct BadName(String);

impl AppName {
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let mut characters = text.chars();
        let head = characters.next().is_some_and(|c| c.is_ascii_lowercase());
        let tail = characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if head && tail && text.len() <= 32 {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName(text.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AppName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Self::parse(&text)
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> Self {
        name.0
    }
}

/// How every token that stationd gives out begins, so that it is known for ours wherever it turns
/// up; other bearers are an app's own.
pub const TOKEN_PREFIX: &str = "stn_";

/// What follows the name of our session cookie in the name of the cookie that stands for a token.
pub const APP_COOKIE_SUFFIX: &str = "-app";

/// Names this installation: 32 hexadecimal digits, random at the first start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InstanceId(String);

impl InstanceId {
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&bytes))
    }

    /// Takes back what [`InstanceId::as_str`] gave; `None` if it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits: short enough for cookie, unit and container names.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names() {
        for good in ["jupyterlab", "a", "my-app-2"] {
            assert!(AppName::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(33);
        for bad in ["", "2a", "-a", "A", "a_b", "a/b", "..", "a b", long.as_str()] {
            assert!(AppName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_instance_id_survives_a_round_trip() {
        let id = InstanceId::from_bytes([0xab; 16]);
        assert_eq!(InstanceId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(id.short(), "abababab");
        assert_eq!(InstanceId::parse("xyz"), None);
    }
}
