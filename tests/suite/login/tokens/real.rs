//! The real JupyterLab behind a token: what a script sends, and the client library of editors.

use http::Method;
use serde_json::json;
use station_tests::node;

use super::{BASE, mint};
use crate::jupyter::station;

/// A station with the real JupyterLab; `None` where there is none.
#[tokio::test]
async fn jupyters_own_checks_let_a_token_pass_and_nobody_else() {
    let Some(station) = station().await else { return };
    let mut client = station.client().await.unwrap();
    let token = mint(&station).await;
    let path = format!("{BASE}/api/contents/made.ipynb");
    let body = json!({ "type": "notebook", "format": "json", "content": {
        "cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5 } });
    let put = async |client: &station_tests::http::Client, header: &str| {
        let fields = [("authorization", header), ("content-type", "application/json")];
        client.call(Method::PUT, &path, &fields, body.to_string().into()).await.unwrap()
    };
    let header = format!("token {token}");
    // An editor's own Origin is no reason to refuse it.
    client.origin = Some("vscode-file://vscode-app".to_owned());
    put(&client, &header).await.expect(201).unwrap();
    // A cookie of the script's own stays, and gets the field that Jupyter compares it with.
    client.set_cookie("_xsrf", &"ab".repeat(16));
    put(&client, &header).await.expect(200).unwrap();
    assert_eq!(client.cookie("_xsrf"), Some("ab".repeat(16)));
    // The cookie that stands for the token is a browser's: there Jupyter asks for its pair.
    let browser = station.client().await.unwrap();
    let page = format!("{BASE}/lab?token={token}");
    browser.page(&page).await.unwrap().expect(303).unwrap();
    browser
        .call(Method::PUT, &path, &[], body.to_string().into())
        .await
        .unwrap()
        .expect(403)
        .unwrap();
    browser.page(&format!("{BASE}/lab")).await.unwrap().expect(200).unwrap();
    station_tests::kernel::api(&browser, Method::PUT, &path, &body)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
}

#[tokio::test]
async fn an_editors_client_library_runs_a_cell() {
    let Some(station) = station().await else { return };
    let Some(modules) = node::modules() else { return station_tests::skip(node::MISSING).unwrap() };
    let token = mint(&station).await;
    let url = station.heartbeat().await.unwrap().status.public_url;
    let asked = json!({
        "modules": modules, "baseUrl": format!("{url}{BASE}/"), "token": token,
        "code": "print(6 * 7)",
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/suite/login/tokens/cell.mjs");
    let output = node::run(script.as_ref(), &asked.to_string()).await.unwrap();
    assert!(output.status.success(), "{}", output.all());
    let told: Option<serde_json::Value> = serde_json::from_str(&output.stdout).ok();
    let expected = json!({ "output": "42\n", "status": "ok" });
    assert_eq!(told, Some(expected), "{}", output.all());
}
