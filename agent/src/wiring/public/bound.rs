//! The public address: a listener that was passed on or one of our own, and its certificate.

use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use super::control::Control;
use super::host_name;
use super::verdict::{self, Door, Question, Way};
use crate::config::{Listen, Tls as TlsMode};
use crate::front::TurnAway;
use crate::front::tls::Tls;
use crate::heartbeat::Mismatch;
use crate::identity::Instance;
use crate::os::systemd::passed::PassedError;
use crate::wiring::edges::config_to_front;
use crate::wiring::start::Settled;
use crate::wiring::{Outside, StartError, told};

/// The name that the socket unit gives to its descriptor.
const NAME: &str = "public";

/// The public address, if there is one.
pub(in crate::wiring) struct Bound {
    pub(super) listener: Option<(TcpListener, SocketAddr)>,
    pub(super) tls: Option<Tls>,
    /// Passed on and not served.
    pub(super) closed: Vec<(TcpListener, TurnAway)>,
    /// Where users reach it; empty without a listener.
    pub url: String,
    pub mismatch: Option<Mismatch>,
    pub control: Control,
}

impl Bound {
    /// Listens, and loads or makes the certificate.
    pub(in crate::wiring) async fn bind(
        outside: &Outside,
        settled: &Settled,
        instance: &Instance,
    ) -> Result<Self, StartError> {
        let listen = &settled.config.listen;
        let keys = &outside.paths.keys_dir;
        if instance.cloned && settled.listens {
            forget_certificate(keys);
        }
        let (mut passed, unusable) = passed(outside, NAME)?;
        let addresses: Vec<SocketAddr> = passed.iter().map(|(_, address)| *address).collect();
        let tls_on = listen.tls != TlsMode::Off;
        let question = Question {
            configured: settled.listens.then_some((listen.address, tls_on)),
            passed: &addresses,
            units: outside.units || unusable.is_some(),
            door: Door::Public,
        };
        let verdict::Verdict { way, mut mismatch } = verdict::judge(question);
        if let (Some(mismatch), Some(why)) = (&mut mismatch, unusable) {
            mismatch.message = format!("{}; {why}", mismatch.message);
        }
        let listener = match way {
            Way::Bind(address) => Some(own(address).await?),
            Way::Serve(place) => Some(passed.remove(place)),
            Way::Nothing => None,
        };
        let turned = |(listener, address)| {
            let plain = !tls_on && verdict::loopback(address);
            (listener, if plain { TurnAway::Say } else { TurnAway::Close })
        };
        let closed = passed.into_iter().map(turned).collect();
        let Some((listener, address)) = listener else {
            let (url, control) = (String::new(), Control::bind(outside, settled).await?);
            return Ok(Self { listener: None, tls: None, closed, url, mismatch, control });
        };
        // From here on the address is the one that is served.
        let listen = Listen { address, ..listen.clone() };
        let source = config_to_front::certificate(&listen, keys, &host_name());
        let tls = source.map(Tls::load).transpose().map_err(StartError::Tls)?;
        if let Some(tls) = &tls {
            tracing::info!(fingerprint = tls.fingerprint(), "certificate (SHA-256)");
        }
        let url = config_to_front::public_url(&listen, address, &host_name());
        // After the public one, whose certificate it may share.
        let control = Control::bind(outside, settled).await?;
        Ok(Self { listener: Some((listener, address)), tls, closed, url, mismatch, control })
    }

    /// 0 without a listener.
    pub(in crate::wiring) fn port(&self) -> u16 {
        self.listener.as_ref().map_or(0, |(_, address)| address.port())
    }

    /// Whether only this machine itself can connect.
    pub(in crate::wiring) fn loopback(&self) -> bool {
        self.listener.as_ref().is_none_or(|(_, address)| verdict::loopback(*address))
    }
}

/// A listener of our own.
pub(super) async fn own(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let fail = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    Ok((listener, address))
}

pub(super) type Listeners = Vec<(TcpListener, SocketAddr)>;

/// What was passed on. Sockets of a wrong kind are as good as none, and named.
pub(super) fn passed(
    outside: &Outside,
    name: &str,
) -> Result<(Listeners, Option<String>), StartError> {
    let found = match outside.passed.tcp(name) {
        Ok(found) => found,
        Err(error @ PassedError::Kind { .. }) => return Ok((Vec::new(), Some(told(&error)))),
        Err(error) => return Err(StartError::Passed(error)),
    };
    let taken = found.into_iter().map(|listener| {
        let address = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, address))
    });
    let taken: std::io::Result<Listeners> = taken.collect();
    let fail = |source| StartError::Passed(PassedError::Use { name: name.to_owned(), source });
    Ok((taken.map_err(fail)?, None))
}

/// A cloned machine must not show the original's certificate.
fn forget_certificate(keys: &Path) {
    for file in std::fs::read_dir(keys).into_iter().flatten().flatten() {
        if let Err(error) = std::fs::remove_file(file.path()) {
            tracing::warn!(%error, path = %file.path().display(), "a key of the cloned machine stays");
        }
    }
}
