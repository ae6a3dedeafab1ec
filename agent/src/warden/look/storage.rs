//! Whether the storage behind a driver can be reached: asked beside the driver, which would wait for it.
//!
//! Nothing secret is sent. By plain HTTP any answer will do; by HTTPS that somebody takes the connection.

use std::path::Path;
use std::time::Duration;

use ::http::Request;
use bytes::Bytes;
use http_body_util::Full;
use tokio::net::TcpStream;

use crate::base::chain::Chain;
use crate::os::socket::http;
use crate::warden::files::{Container, Rclone, Source};
use crate::warden::state::Reach;

/// How long it may take to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// The most that is read of the answer.
const ANSWER: usize = 64 * 1024;

/// Where a storage listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::warden) struct Address {
    host: String,
    port: u16,
    plain: bool,
}

impl Address {
    /// `None` where only the driver knows.
    pub(in crate::warden) fn of(source: &Source) -> Option<Self> {
        match source {
            Source::Rclone(Rclone::Container(container)) | Source::Blobfuse2(container) => {
                Self::of_container(container)
            }
            Source::Rclone(Rclone::Remote { .. }) => None,
            Source::Cifs(share) => {
                let host = share.share.trim_start_matches('/').split('/').next()?;
                Some(Self { host: host.to_owned(), port: 445, plain: false })
            }
            Source::Nfs(export) => {
                let (host, _path) = export.export.split_once(":/")?;
                Some(Self { host: host.to_owned(), port: 2049, plain: false })
            }
        }
    }

    fn of_container(container: &Container) -> Option<Self> {
        let usual = format!("https://{}.blob.core.windows.net", container.account);
        let endpoint = container.endpoint.as_deref().unwrap_or(&usual);
        let (scheme, rest) = endpoint.split_once("://")?;
        let plain = scheme == "http";
        let authority = rest.split('/').next()?;
        let usual = if plain { 80 } else { 443 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (authority, usual),
        };
        Some(Self { host: host.trim_matches(['[', ']']).to_owned(), port, plain })
    }

    pub(in crate::warden) async fn reach(&self) -> Reach {
        let silent = |why: String| Reach::Silent(format!("{}:{} {why}", self.host, self.port));
        let connected = TcpStream::connect((self.host.as_str(), self.port));
        let stream = match tokio::time::timeout(LIMIT, connected).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return silent(format!("takes no connection: {error}")),
            Err(_elapsed) => {
                return silent(format!("takes no connection within {} s", LIMIT.as_secs()));
            }
        };
        if !self.plain {
            return Reach::Good;
        }
        let request = Request::get("/").header("host", self.host.as_str());
        let Ok(request) = request.body(Full::<Bytes>::default()) else { return Reach::Good };
        let name = Path::new(&self.host);
        match http::exchange_over(name, stream, request, (ANSWER, LIMIT)).await {
            Ok(_any) => Reach::Good,
            Err(error) => silent(format!("gives no answer: {}", Chain(&error))),
        }
    }
}

/// Whether a line of the driver's says that the storage refuses us; with the words of Azure Storage, see
/// "Common REST API error codes".
pub(in crate::warden) fn denial(line: &str) -> bool {
    const WORDS: [&str; 6] = [
        "AuthenticationFailed",
        "AuthorizationFailure",
        "AuthorizationPermissionMismatch",
        "InvalidAuthenticationInfo",
        "KeyBasedAuthenticationNotPermitted",
        "failed to authenticate",
    ];
    WORDS.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warden::files::{Cifs, Login, Nfs};

    #[test]
    fn the_address_comes_from_the_endpoint_or_the_account() {
        let container = |endpoint: Option<&str>| {
            let endpoint = endpoint.map(str::to_owned);
            let login = Login::Msi { client: None };
            let (account, container) = ("acme".to_owned(), "work".to_owned());
            let subdirectory = String::new();
            Source::Blobfuse2(Container { account, container, subdirectory, endpoint, login })
        };
        let of = |source: &Source| {
            Address::of(source).map(|address| (address.host, address.port, address.plain))
        };
        let is = |host: &str, port, plain| Some((host.to_owned(), port, plain));
        assert_eq!(of(&container(None)), is("acme.blob.core.windows.net", 443, false));
        let local = container(Some("http://127.0.0.1:10000/acme"));
        assert_eq!(of(&local), is("127.0.0.1", 10000, true));
        assert_eq!(of(&container(Some("http://[::1]:80"))), is("::1", 80, true));
        let cifs = Source::Cifs(Cifs { share: "//srv/s".into(), credentials: "/c".into() });
        assert_eq!(of(&cifs), is("srv", 445, false));
        assert_eq!(of(&Source::Nfs(Nfs { export: "srv:/e".into() })), is("srv", 2049, false));
    }
}
