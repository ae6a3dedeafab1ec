//! What a poll costs: bytes of each kind of answer, and the CPU of one that says that nothing changed.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::super::process::{cpu_seconds, to_f64};
use super::super::report::{OURS, Samples};
use super::super::say;
use crate::station::Station;

/// Polls on one connection, as a control plane that keeps it open sends them.
const POLLS: u32 = 20_000;

/// `changes` is a configuration that differs in one key that waits for a restart.
pub(super) async fn measure(
    station: &Station,
    changes: &str,
    processes: &[i32],
    samples: &mut Samples,
) -> Result<()> {
    say("bytes and CPU of a poll");
    let gzip = [(header::ACCEPT_ENCODING, "gzip")];
    for (metric, path, fields) in [
        ("status_bytes", "/v1/status", &[][..]),
        ("status_gzip_bytes", "/v1/status", &gzip[..]),
        ("heartbeat_bytes", "/v1/heartbeat", &[]),
        ("heartbeat_gzip_bytes", "/v1/heartbeat", &gzip),
        ("lease_bytes", "/v1/lease", &[]),
    ] {
        let answer = station.admin_with(Method::GET, path, "", fields).await?;
        samples.add(metric, "B", OURS, to_f64(u64::try_from(answer.body().len())?));
    }
    let tag = tag(station).await?;
    let before = cpu_seconds(processes);
    not_modified(station, &tag).await?;
    let each_us = (cpu_seconds(processes) - before) * 1e6 / f64::from(POLLS);
    samples.add("not_modified_cpu_us", "us", OURS, each_us);
    let seq = station.heartbeat().await?.status.seq;
    station.configure(changes)?;
    let path = format!("/v1/status?since={seq}&wait=30");
    let answer = station.admin(Method::GET, &path, "").await?;
    ensure!(answer.status() == StatusCode::OK, "{answer:?}");
    samples.add("delta_bytes", "B", OURS, to_f64(u64::try_from(answer.body().len())?));
    Ok(())
}

async fn tag(station: &Station) -> Result<String> {
    let answer = station.admin(Method::GET, "/v1/status", "").await?;
    let tag = answer.headers().get(header::ETAG).context("a tag")?;
    Ok(tag.to_str()?.to_owned())
}

async fn not_modified(station: &Station, tag: &str) -> Result<()> {
    let stream = UnixStream::connect(station.socket()).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
    let connection = std::pin::pin!(connection);
    let polls = std::pin::pin!(async {
        for _ in 0..POLLS {
            let request = Request::get("/v1/heartbeat")
                .header(header::HOST, "stationd")
                .header(header::IF_NONE_MATCH, tag)
                .header(header::ACCEPT_ENCODING, "gzip")
                .body(Empty::new())?;
            let mut answer = sender.send_request(request).await?;
            ensure!(answer.status() == StatusCode::NOT_MODIFIED, "{answer:?}");
            while answer.body_mut().frame().await.is_some() {}
        }
        Ok(())
    });
    match futures_util::future::select(polls, connection).await {
        futures_util::future::Either::Left((done, _)) => done,
        futures_util::future::Either::Right((ended, _)) => Ok(ended?),
    }
}
