//! The whole way of a person: a link, JupyterLab in Chromium, a cell, a session that ends.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use station_proto::app::AppPhase;
use station_tests::browser::{self, Browser};
use station_tests::http::Client;
use station_tests::station::{App, Station};
use station_tests::{jupyter, kernel};

const BASE: &str = "/apps/jupyterlab";
const LIMIT: Duration = Duration::from_secs(120);
const CELL: &str = ".jp-Notebook .jp-Cell .cm-content";
const OUTPUT: &str = ".jp-OutputArea-output pre";

/// Whether both programs are here.
fn possible(lab: bool) -> bool {
    if !browser::installed() {
        station_tests::skip(browser::MISSING).unwrap();
        return false;
    }
    if lab && jupyter::lab().is_none() {
        station_tests::skip(jupyter::MISSING).unwrap();
        return false;
    }
    true
}

fn picture(name: &str) -> PathBuf {
    let folder = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("pictures");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{name}.png"))
}

async fn notebook(client: &Client, name: &str) {
    let body = json!({
        "type": "notebook", "format": "json",
        "content": {
            "cells": [{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [],
                "execution_count": null, "source": ""}],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3",
                "language": "python"}},
            "nbformat": 4, "nbformat_minor": 5,
        },
    });
    let path = format!("{BASE}/api/contents/{name}");
    kernel::api(client, Method::PUT, &path, &body).await.unwrap().expect(201).unwrap();
}

/// Opens the notebook by a login link and waits until its kernel is idle.
async fn open_notebook(station: &Station, browser: &mut Browser, name: &str) {
    let client = station.login().await.unwrap();
    notebook(&client, name).await;
    let url = station.heartbeat().await.unwrap().status.public_url;
    let link = station.login_path(&format!("{BASE}/lab/tree/{name}")).await.unwrap();
    browser.open(&format!("{}{link}", url.trim_end_matches('/'))).await.unwrap();
    browser.wait_until(&format!("document.querySelector('{CELL}')"), LIMIT).await.unwrap();
    let idle = "document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')";
    browser.wait_until(idle, LIMIT).await.unwrap();
}

/// Types code into the first cell and runs it until its output holds `result`. While JupyterLab
/// loads it moves the focus, may load the notebook once more over what was typed, and may drop a
/// cell that was run before its kernel was there; so each step is looked at and repeated.
async fn run_cell(browser: &mut Browser, code: &str, result: &str) {
    const STEP: Duration = Duration::from_secs(3);
    let typed = format!("document.querySelector('{CELL}').textContent === {}", json!(code));
    let done =
        format!("document.querySelector('{OUTPUT}')?.textContent.includes({})", json!(result));
    let accept = "document.querySelector('.jp-Dialog .jp-mod-accept')?.click()";
    for _ in 0..20 {
        // On a slow machine JupyterLab may ask which kernel; the suggested one is right.
        browser.evaluate(accept).await.unwrap();
        browser.evaluate(&format!("document.querySelector('{CELL}').focus()")).await.unwrap();
        if browser.evaluate(&typed).await.unwrap() != true {
            browser.press("a", 65, 2).await.unwrap();
            browser.type_text(code).await.unwrap();
        }
        if browser.wait_until(&typed, STEP).await.is_ok() {
            browser.press("Enter", 13, 8).await.unwrap();
            if browser.wait_until(&done, 2 * STEP).await.is_ok() {
                return;
            }
        }
    }
    browser.screenshot(&picture("failed")).await.unwrap();
    panic!("the page does not run the cell: {}", browser.text().await.unwrap());
}

#[tokio::test]
async fn a_person_opens_the_link_and_runs_a_cell() {
    if !possible(true) {
        return;
    }
    let station = Station::with_app(App::JupyterLab).await.unwrap();
    let mut browser = Browser::start().await.unwrap();
    open_notebook(&station, &mut browser, "first.ipynb").await;
    run_cell(&mut browser, "print('answer', 6 * 7)", "answer 42").await;
    browser.screenshot(&picture("jupyterlab")).await.unwrap();
}

#[tokio::test]
async fn an_unsaved_notebook_saves_after_a_new_login_in_another_tab() {
    if !possible(true) {
        return;
    }
    let station = Station::with_app(App::JupyterLab).await.unwrap();
    let mut browser = Browser::start().await.unwrap();
    open_notebook(&station, &mut browser, "second.ipynb").await;
    run_cell(&mut browser, "unsaved = 'kept'; print(6 * 7)", "42").await;
    let url = station.heartbeat().await.unwrap().status.public_url;
    let url = url.trim_end_matches('/');

    // The session ends under the open page.
    browser
        .evaluate(&format!("fetch('{url}/logout', {{method: 'POST'}}).then(a => a.status)"))
        .await
        .unwrap();
    let refused = browser.evaluate("fetch('/v1/lease').then(a => a.status)").await.unwrap();
    assert_eq!(refused, 401);

    // A new login, in whichever tab: the cookie is the browser's.
    let link = station.login_path("/").await.unwrap();
    let opened = browser.evaluate(&format!("fetch('{url}{link}').then(a => a.status)")).await;
    assert_eq!(opened.unwrap(), 200);
    browser.evaluate(&format!("document.querySelector('{CELL}').focus()")).await.unwrap();
    browser.press("s", 83, 2).await.unwrap();
    let client = station.login().await.unwrap();
    let saved =
        station_tests::process::eventually_async("the notebook is saved", LIMIT, || async {
            let path = format!("{BASE}/api/contents/second.ipynb");
            let text = client.get(&path).await.ok()?.text();
            text.contains("unsaved = 'kept'").then_some(())
        });
    saved.await.unwrap();
}

#[tokio::test]
async fn the_front_page_lives_and_tests_websockets() {
    if !possible(false) {
        return;
    }
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut browser = Browser::start().await.unwrap();
    let url = station.heartbeat().await.unwrap().status.public_url;
    let link = station.login_path("/").await.unwrap();
    browser.open(&format!("{}{link}", url.trim_end_matches('/'))).await.unwrap();
    let passes = "document.getElementById('websocket-result')?.textContent.includes('pass')";
    browser.wait_until(passes, LIMIT).await.unwrap();
    let ready = "document.querySelector('#apps .pill')?.textContent === 'ready'";
    browser.wait_until(ready, LIMIT).await.unwrap();
    browser.screenshot(&picture("home")).await.unwrap();

    // A change elsewhere shows without loading the page again.
    browser.evaluate("window.marker = 1").await.unwrap();
    let stop = station.admin(Method::POST, "/v1/apps/jupyterlab/stop", "").await.unwrap();
    assert!(stop.status().is_success());
    let stopped = "document.querySelector('#apps .pill')?.textContent === 'stopped'";
    browser.wait_until(stopped, LIMIT).await.unwrap();

    // And the button starts it again.
    browser.evaluate("document.querySelector('button[data-verb=start]').click()").await.unwrap();
    station.app_in(AppPhase::Ready).await.unwrap();
    browser.wait_until(ready, LIMIT).await.unwrap();
    assert_eq!(browser.evaluate("window.marker").await.unwrap(), 1);
}

#[tokio::test]
async fn a_network_that_eats_websockets_is_named() {
    if !possible(false) {
        return;
    }
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut browser = Browser::start().await.unwrap();
    let url = station.heartbeat().await.unwrap().status.public_url;
    let block = json!({ "source": "window.WebSocket = class { constructor() { \
         setTimeout(() => this.onerror && this.onerror(), 10) } close() {} }" });
    browser.call("Page.addScriptToEvaluateOnNewDocument", block).await.unwrap();
    let link = station.login_path("/").await.unwrap();
    browser.open(&format!("{}{link}", url.trim_end_matches('/'))).await.unwrap();
    let named = "document.getElementById('websocket-result')?.textContent\
                 .includes('Your network blocks websockets')";
    browser.wait_until(named, LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_page_of_a_stopped_app_comes_back_with_it() {
    if !possible(false) {
        return;
    }
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut browser = Browser::start().await.unwrap();
    let url = station.heartbeat().await.unwrap().status.public_url;
    let stop = station.admin(Method::POST, "/v1/apps/jupyterlab/stop", "").await.unwrap();
    assert!(stop.status().is_success());
    station.app_in(AppPhase::Stopped).await.unwrap();
    let link = station.login_path("/apps/jupyterlab/lab").await.unwrap();
    browser.open(&format!("{}{link}", url.trim_end_matches('/'))).await.unwrap();
    browser.wait_until("document.title === 'jupyterlab is stopped'", LIMIT).await.unwrap();
    browser.screenshot(&picture("stopped")).await.unwrap();
    let body = Value::Null.to_string();
    let start = station.admin(Method::POST, "/v1/apps/jupyterlab/start", &body).await.unwrap();
    assert!(start.status().is_success(), "{start:?}");
    browser.wait_until("document.body.textContent.includes('stand-in /lab')", LIMIT).await.unwrap();
}
