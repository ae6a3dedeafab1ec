//! Our cookies as text: the session's, and that of a token at one app. Pure.
//!
//! Under TLS its name begins with `__Host-`: a browser then takes it only from this host, over
//! TLS, for the whole host, so that no neighbouring site can plant one. The instance id stands in
//! the name because cookies ignore ports, and two installations may share a host name.

use std::time::Duration;

use crate::base::ids::{APP_COOKIE_SUFFIX, InstanceId};

/// The name and the attributes of our cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCookie {
    name: String,
    secure: bool,
}

impl SessionCookie {
    /// `secure`: whether browsers reach this server through TLS.
    pub fn new(instance: &InstanceId, secure: bool) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        Self { name: format!("{prefix}stationd-{}", instance.short()), secure }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of `Set-Cookie` that begins a session.
    pub fn set(&self, secret: &str, life: Duration) -> String {
        let Self { name, .. } = self;
        let (life, secure) = (life.as_secs(), self.attribute());
        format!("{name}={secret}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}")
    }

    /// The value of `Set-Cookie` that removes it from the browser.
    pub fn clear(&self) -> String {
        let Self { name, .. } = self;
        format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{}", self.attribute())
    }

    fn attribute(&self) -> &'static str {
        if self.secure { "; Secure" } else { "" }
    }

    /// Our value in the `Cookie` headers of a request. Two of them are none: one was planted, and
    /// nobody can tell which.
    pub fn find<'a>(&self, headers: impl IntoIterator<Item = &'a [u8]>) -> Option<&'a str> {
        let mut found = None;
        for header in headers {
            for pair in header.split(|byte| *byte == b';') {
                let pair = pair.trim_ascii();
                let value = pair
                    .strip_prefix(self.name.as_bytes())
                    .and_then(|rest| rest.trim_ascii_start().strip_prefix(b"="));
                if let Some(value) = value {
                    if found.is_some() {
                        return None;
                    }
                    found = Some(value.trim_ascii());
                }
            }
        }
        found.and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// The cookie that stands for a token, sent to the one app that the token opens.
///
/// `__Host-` would demand the whole host, so its name begins with `__Secure-` under TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCookie {
    name: String,
    secure: bool,
}

impl AppCookie {
    /// `secure`: whether browsers reach this server through TLS.
    pub fn new(instance: &InstanceId, secure: bool) -> Self {
        let prefix = if secure { "__Secure-" } else { "" };
        let name = format!("{prefix}stationd-{}{APP_COOKIE_SUFFIX}", instance.short());
        Self { name, secure }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of `Set-Cookie`. `app` is a name that has been checked.
    pub fn set(&self, app: &str, secret: &str, life: Duration) -> String {
        let (name, life) = (&self.name, life.as_secs());
        let secure = if self.secure { "; Secure" } else { "" };
        format!(
            "{name}={secret}; Path=/apps/{app}/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(secure: bool) -> SessionCookie {
        SessionCookie::new(&InstanceId::from_bytes([0xab; 16]), secure)
    }

    #[test]
    fn attributes() {
        let life = Duration::from_secs(604_800);
        assert_eq!(
            cookie(true).set("S", life),
            "__Host-stationd-abababab=S; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            cookie(false).set("S", life),
            "stationd-abababab=S; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            cookie(true).clear(),
            "__Host-stationd-abababab=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
        );
    }

    #[test]
    fn the_cookie_of_a_token_is_for_one_app() {
        let cookie = |secure| AppCookie::new(&InstanceId::from_bytes([0xab; 16]), secure);
        let life = Duration::from_millis(60_999);
        assert_eq!(
            cookie(true).set("lab", "S", life),
            "__Secure-stationd-abababab-app=S; Path=/apps/lab/; Max-Age=60; HttpOnly; \
             SameSite=Lax; Secure"
        );
        assert_eq!(
            cookie(false).set("lab", "S", life),
            "stationd-abababab-app=S; Path=/apps/lab/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn ours_is_found_among_others() {
        for (headers, expected) in [
            (vec!["stationd-abababab=S"], Some("S")),
            (vec!["a=b; stationd-abababab=S; _xsrf=2|x"], Some("S")),
            (vec!["a=b;stationd-abababab=S;"], Some("S")),
            (vec!["a=b", "stationd-abababab=S"], Some("S")),
            (vec!["stationd-abababab = S "], Some("S")),
            (vec!["stationd-abababab="], Some("")),
            (vec!["stationd-abababab=S=T"], Some("S=T")),
            (vec!["stationd-abababab=S; stationd-abababab=S"], None),
            (vec!["stationd-abababab=S", "stationd-abababab=T"], None),
            (vec!["stationd-abababab=S; stationd-abababab"], Some("S")),
            (vec!["stationd-ababababx=S"], None),
            (vec!["xstationd-abababab=S"], None),
            (vec!["STATIOND-abababab=S"], None),
            (vec!["__Host-stationd-abababab=S"], None),
            (vec!["a=\"; stationd-abababab=S\""], Some("S\"")),
            (vec!["a=stationd-abababab=S"], None),
            (vec![""], None),
            (vec![";;;"], None),
            (vec![], None),
        ] {
            let bytes = headers.iter().map(|header| header.as_bytes());
            assert_eq!(cookie(false).find(bytes), expected, "{headers:?}");
        }
        assert_eq!(cookie(false).find([&b"stationd-abababab=\xff"[..]]), None);
    }
}
