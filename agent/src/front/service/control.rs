//! A request to the control listener: first whose certificate it is, then what there is, then whether
//! it may.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tokio::sync::watch;

use super::{Service, Step, asks_websocket, other_method, problem};
use crate::base::moment::Moment;
use crate::front::gate::control::{self, Certificate};
use crate::front::gate::credential::{self, FromQuery};
use crate::front::gate::{Bearer, Refusal, Via};
use crate::front::routes::{Caller, Found};
use crate::front::tls::{Shown, Tls};
use crate::front::{Token, Wanted};
use crate::os::clock;

/// A connection that stays open is asked again so often whether its certificate has expired.
const AGAIN: Duration = Duration::from_secs(60);

/// The certificate of one connection.
#[derive(Debug)]
pub struct Presented {
    shown: Shown,
    tls: Tls,
    allowed: watch::Receiver<Arc<Vec<String>>>,
    /// When an authority vouched for it last, and which change of the authorities that was.
    vouched: Mutex<(u64, Moment)>,
}

impl Presented {
    /// What was shown in a handshake just now.
    pub(in crate::front) fn new(
        shown: Shown,
        tls: Tls,
        allowed: watch::Receiver<Arc<Vec<String>>>,
    ) -> Self {
        // A change between the handshake and here is found at the first request.
        let vouched = Mutex::new((0, clock::now()));
        Self { shown, tls, allowed, vouched }
    }

    /// Whether it is worth anything still.
    pub fn holds(&self) -> bool {
        self.worth() == Certificate::Good
    }

    fn worth(&self) -> Certificate {
        if !self.vouched_for() {
            return Certificate::Refused;
        }
        if !self.shown.is_one_of(&self.allowed.borrow()) {
            return Certificate::WrongName;
        }
        Certificate::Good
    }

    fn vouched_for(&self) -> bool {
        let (generation, now) = (self.tls.generation(), clock::now());
        let mut vouched = self.vouched.lock().unwrap_or_else(PoisonError::into_inner);
        if vouched.0 == generation && now.since(vouched.1) < AGAIN {
            return true;
        }
        let holds = self.tls.vouches(&self.shown, now);
        if holds {
            *vouched = (generation, now);
        }
        holds
    }
}

impl Service {
    /// The same as for the public listener, by other rights.
    pub(super) fn judge_control(
        &self,
        mut request: Request<Incoming>,
        certificate: &Arc<Presented>,
        in_query: &FromQuery,
    ) -> Step {
        let worth = certificate.worth();
        if let Err(refusal) = control::known(worth) {
            return self.refused(refusal);
        }
        let found = self.shared.routes.find(request.method(), request.uri().path());
        let action = match &found {
            Found::Route(route) => route.policy.action(),
            Found::OtherMethods(policy, _) => policy.action(),
            Found::Nothing => {
                let advice = "a control plane finds `/v1` and `/metrics` here, and nothing else";
                let status = http::StatusCode::NOT_FOUND;
                return Step::Ready(Some(problem(status, "not-found", advice)));
            }
        };
        let action = action.unwrap_or_default();
        let presented = match in_query {
            // An address is written down: a token in it is none.
            FromQuery::None => credential::bearer(request.headers()),
            FromQuery::One(_) | FromQuery::Several => Some(""),
        };
        let (bearer, token) = match presented {
            None => (Bearer::Absent, None),
            Some(_) => self.token(presented, Wanted { action, app: None }),
        };
        let via = match control::decide(action, worth, bearer) {
            Ok(via) => via,
            Err(refusal) => return self.refused(refusal),
        };
        let token = token.filter(|_| via == Via::Bearer);
        if let Some(token) = &token {
            self.shared.outside.credentials.used_token(token);
        }
        let caller = self.control_caller(via, token, certificate);
        if asks_websocket(request.headers()) {
            request.extensions_mut().insert(Arc::clone(&self.watch.hold));
        }
        match found {
            Found::Route(route) => Step::Handler(route.handler.handle(request, caller)),
            Found::OtherMethods(_, methods) => Step::Ready(Some(other_method(&methods))),
            Found::Nothing => Step::Ready(None),
        }
    }

    fn control_caller(
        &self,
        via: Via,
        token: Option<Token>,
        certificate: &Arc<Presented>,
    ) -> Caller {
        Caller {
            via,
            user: token.as_ref().map(|token| Arc::clone(&token.user)),
            session: None,
            token: token.map(|token| token.id),
            certificate: Some(Arc::clone(certificate)),
            tls: true,
            peer: self.peer,
            peer_text: self.peer_text.clone(),
            cookie_name: Arc::clone(&self.shared.config.cookie_name),
        }
    }

    fn refused(&self, refusal: Refusal) -> Step {
        tracing::debug!(refusal = refusal.word(), peer = %self.peer, "refused");
        Step::Ready(Some(problem(refusal.status(), refusal.word(), refusal.advice())))
    }
}
