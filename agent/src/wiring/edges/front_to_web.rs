//! The pages behind the public listener.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use station_proto::heartbeat::Status;
use station_proto::node::Samples;
use station_proto::time::Time;
use tokio::sync::watch;

use crate::admin::Control;
use crate::base::ids::AppName;
use crate::front::gate::Policy;
use crate::front::routes::{Answer, Body, Caller, Handler, Routes};
use crate::front::{self, Refused};
use crate::heartbeat::etag;
use crate::os::clock;
use crate::proxy::Unavailable;
use crate::web::{self, AppDown, Fault, Format, Home, LoginNeeded, Page, Refusal};

/// Steps of the history that the page draws.
const HOUR: usize = 120;

/// What the pages show.
pub(in crate::wiring) struct Site {
    pub boot_id: String,
    pub status: watch::Receiver<Arc<Status>>,
    pub samples: watch::Receiver<Option<Arc<Samples>>>,
    pub control: Arc<dyn Control>,
    /// The port of the public listener, and whether only this machine reaches it.
    pub port: u16,
    pub loopback: bool,
}

/// A page as hyper sends it.
pub(in crate::wiring) fn answer(page: Page) -> Response<Body> {
    page.into_response::<Full<bytes::Bytes>>()
        .map(|body| body.map_err(|never| match never {}).boxed_unsync())
}

pub(in crate::wiring) fn routes(routes: Routes, site: &Arc<Site>) -> Routes {
    let get = || Some(Method::GET);
    let show = |what: fn(&Site, &Request<Incoming>) -> Response<Body>| -> Arc<dyn Handler> {
        Arc::new(Show { site: Arc::clone(site), what })
    };
    routes
        .with(get(), "/", Policy::Session, show(Site::home))
        // These carry no secret, and the login pages need them.
        .with(get(), "/help/*", Policy::Open, show(Site::help))
        .with(get(), "/static/*", Policy::Open, show(Site::asset))
        .with(get(), "/healthz", Policy::Open, show(Site::healthy))
}

struct Show {
    site: Arc<Site>,
    what: fn(&Site, &Request<Incoming>) -> Response<Body>,
}

impl Handler for Show {
    fn handle(&self, request: Request<Incoming>, _caller: Caller) -> Answer {
        let answer = (self.what)(&self.site, &request);
        Box::pin(std::future::ready(answer))
    }
}

impl Site {
    fn home(&self, request: &Request<Incoming>) -> Response<Body> {
        let status = Arc::clone(&self.status.borrow());
        let samples = self.samples.borrow().clone();
        let nothing = Samples::nothing(now());
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        answer(web::home(&Home {
            etag: &etag(&self.boot_id, status.seq),
            status: &status,
            samples: samples.as_deref().unwrap_or(&nothing),
            gpus: &self.control.gpus(),
            history: &self.control.history(HOUR),
            host: host.unwrap_or_default(),
        }))
    }

    fn help(_site: &Self, request: &Request<Incoming>) -> Response<Body> {
        answer(web::help(request.uri().path(), Format::of(request.headers())))
    }

    fn asset(_site: &Self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let found = web::asset(path, request.headers());
        answer(found.unwrap_or_else(|| web::not_found(path, Format::of(request.headers()))))
    }

    /// For load balancers: the daemon runs. Nothing about the machine is told.
    fn healthy(_site: &Self, _request: &Request<Incoming>) -> Response<Body> {
        empty(StatusCode::OK)
    }

    /// `wanted` is the path to come back to; it may be anything that somebody put into a link.
    pub(super) fn login_needed<'a>(
        &self,
        wanted: Option<&'a str>,
        expired: bool,
    ) -> LoginNeeded<'a> {
        // The page tells people to copy a command: only a name that is ours goes into it.
        let app = wanted
            .and_then(app_of)
            .filter(|name| self.status.borrow().apps.iter().any(|app| app.name == *name));
        LoginNeeded { app, port: self.port, loopback: self.loopback, expired, next: None }
    }

    pub(super) fn app_starting(&self, name: &str, message: &str) -> Response<Body> {
        let status = self.status.borrow();
        let app = status.apps.iter().find(|app| app.name == name);
        answer(match app {
            Some(app) => web::app_starting(app, Format::Html),
            None => waiting(message),
        })
    }

    pub(super) fn app_down(
        &self,
        name: &str,
        fault: &Fault,
        facts: &Unavailable,
    ) -> Response<Body> {
        let status = self.status.borrow();
        let app = status.apps.iter().find(|app| app.name == name);
        answer(match app {
            Some(app) => {
                let (lines, now) = (facts.lines.as_slice(), now());
                web::app_down(&AppDown { app, fault, lines, now }, Format::Html)
            }
            None => waiting(&facts.message),
        })
    }
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let body = Full::default().map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, http::HeaderValue::from_static("no-referrer"));
    answer
}

/// 503: the disk takes no record of the login, so nobody is let in.
pub(super) fn cannot_record(format: Format) -> Response<Body> {
    answer(web::refused(
        &Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "login-not-recorded",
            title: "The login could not be recorded",
            detail: "The disk takes no writes, so the link was not used up. Free some space \
                     and open it again; `stationctl status` says more.",
        },
        format,
    ))
}

pub(super) fn app_unknown(name: &str, known: &[&str]) -> Response<Body> {
    let detail = format!("No app is called {name:?}. There are: {}.", known.join(", "));
    answer(web::refused(
        &Refusal {
            status: StatusCode::NOT_FOUND,
            kind: "no-such-app",
            title: "There is no such app",
            detail: &detail,
        },
        Format::Html,
    ))
}

/// For the moment between a change in the proxy's table and in the status.
fn waiting(message: &str) -> Page {
    let refusal = Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        kind: "app-unavailable",
        title: "The app is not ready",
        detail: message,
    };
    web::refused(&refusal, Format::Html)
}

impl front::Pages for Site {
    fn refused(&self, refused: &Refused<'_>) -> Response<Body> {
        let wanted = Some(refused.wanted);
        answer(match refused.word {
            "not-signed-in" => web::login_needed(&self.login_needed(wanted, false), Format::Html),
            "session-ended" => web::login_needed(&self.login_needed(wanted, true), Format::Html),
            "unknown-host" => web::wrong_host(refused.host, Format::Html),
            "not-found" => web::not_found(refused.wanted, Format::Html),
            word => web::refused(
                &Refusal {
                    status: refused.status,
                    kind: word,
                    title: "This request was refused",
                    detail: refused.advice,
                },
                Format::Html,
            ),
        })
    }
}

/// The app that a path leads to, if what stands there can be an app's name.
fn app_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/apps/")?.split(['/', '?']).next()?;
    AppName::parse(name).is_ok().then_some(name)
}

fn now() -> Time {
    Time(clock::now().wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_an_app_or_nothing() {
        let check = |path: &str, expect: Option<&str>| assert_eq!(app_of(path), expect, "{path}");
        check("/apps/jupyterlab/lab?x=1", Some("jupyterlab"));
        check("/apps/jupyterlab?x=1", Some("jupyterlab"));
        check("/apps/", None);
        check("/help/apps/x", None);
        check("/apps/x;rm", None);
        check("/apps/$(id)/", None);
        check("/apps/x|sh/", None);
        check("/apps/--print/", None);
    }
}
