//! The files that pages load: compiled in, and the same for everybody, so that they need no login.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use crate::web::page::{Page, headers};

struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset {
        path: "/static/app.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("../../web/app.js"),
    },
    Asset {
        path: "/static/style.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("../../web/style.css"),
    },
    Asset {
        path: "/static/icon.svg",
        content_type: "image/svg+xml",
        body: include_str!("../../web/icon.svg"),
    },
];

/// One tag for all: they change together, with a release.
static ETAG: LazyLock<String> = LazyLock::new(|| {
    let digest =
        ASSETS.iter().fold(Sha256::new(), |hash, asset| hash.chain_update(asset.body)).finalize();
    let short = digest.get(..8).unwrap_or_default();
    format!("\"{}\"", data_encoding::HEXLOWER.encode(short))
});

/// The file at `path`, or 304 if the browser has it; `None` if there is no such file.
pub fn asset(path: &str, request: &HeaderMap) -> Option<Page> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let mut headers = headers(asset.content_type);
    // The browser keeps it and asks each time whether it changed: an update shows at once.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::ETAG, HeaderValue::from_str(&ETAG).ok()?);
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.contains(ETAG.as_str()));
    Some(Page {
        status: if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK },
        headers,
        body: Bytes::from_static(if known { b"" } else { asset.body.as_bytes() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_has_the_file_gets_304() {
        let mut request = HeaderMap::new();
        let first = asset("/static/app.js", &request).unwrap();
        assert_eq!(first.status, StatusCode::OK);
        request.insert(header::IF_NONE_MATCH, first.headers[header::ETAG].clone());
        let second = asset("/static/app.js", &request).unwrap();
        assert_eq!(second.status, StatusCode::NOT_MODIFIED);
        assert!(second.body.is_empty());
        assert_eq!(asset("/static/other.js", &request), None);
    }
}
