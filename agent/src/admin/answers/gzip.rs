//! Answers as gzip, for who takes it: a poller of hundreds of stations pays for each byte.
//!
//! Compressed is what lies whole in memory, is JSON or metrics, and is large enough to gain by it. A
//! stream of events never is: each event would wait for the next. Nothing in these answers is both
//! secret and beside text that a stranger chooses, so that its size tells nobody anything.

use std::io::Write as _;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::base::limits;

/// Fewer bytes fit into one packet of the network anyway.
const LEAST: u64 = 1024;
/// Between the fastest and the smallest.
const LEVEL: Compression = Compression::new(4);

/// Compresses what `next` answers, where that is asked for and worth it.
pub(in crate::admin) async fn compress(request: Request, next: Next) -> Response {
    let wanted = request.method() == Method::GET && takes_gzip(request.headers());
    let mut answer = next.run(request).await;
    if !fits(&answer) {
        return answer;
    }
    // An answer without a body is one of the same kind: caches keep the two apart by this field.
    answer.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    if answer.headers().contains_key(header::CONTENT_ENCODING) {
        return answer;
    }
    let size = answer.body().size_hint().exact();
    let most = u64::try_from(limits::GZIP_ANSWER).unwrap_or(u64::MAX);
    if !wanted || !size.is_some_and(|size| (LEAST..=most).contains(&size)) {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, limits::GZIP_ANSWER).await else {
        return super::cut_off();
    };
    let Some(packed) = packed(&bytes) else {
        return Response::from_parts(head, Body::from(bytes));
    };
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(head, Body::from(packed))
}

/// JSON and metrics, problem documents among them; and 304, which stands for one of them.
fn fits(answer: &Response) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    match kind {
        None => answer.status() == http::StatusCode::NOT_MODIFIED,
        Some(kind) => {
            let is = |known: &str| kind.starts_with(known.as_bytes());
            [
                "application/json",
                "application/problem+json",
                "application/openmetrics-text",
                "text/plain",
            ]
            .into_iter()
            .any(is)
        }
    }
}

fn packed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), LEVEL);
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// Whether `Accept-Encoding` allows gzip: RFC 9110, section 12.5.3. Its own weight goes before that
/// of `*`; without the field nobody has asked.
pub(in crate::admin) fn takes_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT_ENCODING);
    let codings: Vec<(&str, bool)> = fields
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .map(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            (name.trim(), !is_zero(weight))
        })
        .collect();
    let of = |wanted: &str| {
        let named = codings.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        named.map(|(_, accepted)| *accepted)
    };
    of("gzip").or_else(|| of("x-gzip")).or_else(|| of("*")).unwrap_or(false)
}

/// `q=0`, in any spelling.
fn is_zero(weight: &str) -> bool {
    let value = weight.trim().split_once('=').map(|(_name, value)| value.trim());
    value.and_then(|value| value.parse::<f32>().ok()).is_some_and(|value| value <= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_gzip() {
        for (fields, expected) in [
            (&[][..], false),
            (&[""], false),
            (&["gzip"], true),
            (&["GZIP;q=0.5"], true),
            (&["deflate, gzip;q=1.0, *;q=0.5"], true),
            (&["br"], false),
            (&["br", "x-gzip"], true),
            (&["*"], true),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.000, *"], false),
            (&["identity, *;q=0"], false),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(field));
            }
            assert_eq!(takes_gzip(&headers), expected, "{fields:?}");
        }
    }
}
