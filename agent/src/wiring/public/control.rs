//! The control plane's listener: its address, its certificate, and who may come.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::Response;
use http_body_util::{BodyExt, Empty};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::bound::{own, passed};
use super::host_name;
use super::verdict::{self, Door, Question, Verdict, Way};
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::config::{self, Listen};
use crate::front::gate::Names;
use crate::front::routes::{Body, Routes};
use crate::front::tls::{Source, Tls};
use crate::front::{self, Config, Pages, Refused, TurnAway};
use crate::heartbeat::Mismatch;
use crate::wiring::edges::config_to_front;
use crate::wiring::start::Settled;
use crate::wiring::{Outside, StartError};

/// The name that the socket unit gives to its descriptor.
pub(in crate::wiring) const NAME: &str = "control";

/// The control plane's listener, if there is one.
#[derive(Default)]
pub(in crate::wiring) struct Control {
    served: Option<(TcpListener, SocketAddr, Tls)>,
    /// Passed on and not served.
    closed: Vec<TcpListener>,
    pub mismatch: Option<Mismatch>,
}

impl Control {
    /// Listens, and reads the certificate and the authorities.
    pub(in crate::wiring) async fn bind(
        outside: &Outside,
        settled: &Settled,
    ) -> Result<Self, StartError> {
        let (mut passed, unusable) = passed(outside, NAME)?;
        let addresses: Vec<SocketAddr> = passed.iter().map(|(_, address)| *address).collect();
        let control = settled.config.control.as_ref().filter(|_| settled.invalid.is_none());
        let question = Question {
            configured: control.map(|control| (control.address, true)),
            passed: &addresses,
            units: outside.units || unusable.is_some(),
            door: Door::Control,
        };
        let Verdict { way, mut mismatch } = verdict::judge(question);
        if let (Some(mismatch), Some(why)) = (&mut mismatch, unusable) {
            mismatch.message = format!("{}; {why}", mismatch.message);
        }
        let listener = match way {
            Way::Bind(address) => Some(own(address).await?),
            Way::Serve(place) => Some(passed.remove(place)),
            Way::Nothing => None,
        };
        let closed = passed.into_iter().map(|(listener, _)| listener).collect();
        let served = match (listener, control) {
            (Some((listener, address)), Some(control)) => {
                let tls = tls(outside, &settled.config.listen, control)?;
                Some((listener, address, tls))
            }
            _ => None,
        };
        Ok(Self { served, closed, mismatch })
    }

    /// What is read again when its files change.
    pub(in crate::wiring) fn tls(&self) -> Option<Tls> {
        self.served.as_ref().map(|(_, _, tls)| tls.clone())
    }

    /// Connections that it may have.
    pub(in crate::wiring) fn connections(&self) -> usize {
        if self.served.is_some() { limits::CONTROL_CONNECTIONS } else { 0 }
    }
}

/// Its own certificate, or that of the public listener.
fn tls(outside: &Outside, listen: &Listen, control: &config::Control) -> Result<Tls, StartError> {
    let own = |(certificate, key): (PathBuf, PathBuf)| Source::Files { certificate, key };
    let shared = || config_to_front::certificate(listen, &outside.paths.keys_dir, &host_name());
    let source = control.own_files.clone().map(own).or_else(shared);
    // The configuration was checked: one of the two is there.
    let none = || StartError::NoCertificate;
    let tls = Tls::load_for_clients(source.ok_or_else(none)?, &control.client_ca);
    tls.map_err(StartError::Tls)
}

/// Programs come here; they get problem documents.
pub(super) struct NoPages;

impl Pages for NoPages {
    fn refused(&self, _refused: &Refused<'_>) -> Response<Body> {
        Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync())
    }
}

/// Serves `routes` to whoever has a certificate of one of the names.
pub(super) fn spawn(
    tasks: &Tasks,
    bound: Control,
    allowed: watch::Receiver<Arc<Vec<String>>>,
    routes: Routes,
    outside: front::Outside,
) {
    for listener in bound.closed {
        front::turn_away(tasks, listener, TurnAway::Close);
    }
    let Some((listener, address, tls)) = bound.served else { return };
    tracing::info!(%address, fingerprint = tls.fingerprint(), "for the control plane");
    // Who has shown a certificate may call this station what they like.
    let (_names, names) = watch::channel(Arc::new(Names::default()));
    let config = Config {
        tls: Some(tls),
        control: Some(allowed),
        connections: limits::CONTROL_CONNECTIONS,
        ..Config::new(names, "", "")
    };
    front::spawn(tasks, listener, config, routes, outside);
}
