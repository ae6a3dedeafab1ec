//! Everything below `/apps/` goes to the proxy, for the assigned user alone.

use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;

use crate::front::gate::{Policy, Via};
use crate::front::routes::{Answer, Caller, Handler, Routes};
use crate::proxy::{self, Proxy};

struct Apps(Proxy);

impl Handler for Apps {
    fn handle(&self, request: Request<Incoming>, caller: Caller) -> Answer {
        let Caller { session, token, via, tls, peer_text, cookie_name, .. } = caller;
        let by_token = via == Via::Bearer;
        let caller = proxy::Caller { session, token, by_token, tls, peer_text, cookie_name };
        Box::pin(self.0.handle(request, caller))
    }
}

pub(in crate::wiring) fn routes(routes: Routes, proxy: Proxy) -> Routes {
    routes.with(None, "/apps/{name}/*", Policy::App, Arc::new(Apps(proxy)))
}
