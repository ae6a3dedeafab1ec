//! Web apps as they are in the world: `TensorBoard`, Streamlit and Shiny.

use std::path::{Path, PathBuf};

use station_proto::app::AppPhase;
use station_tests::station::Station;

use super::{app_in, free_port, home, program, run};

/// What `scripts/test` installs into `.cache/custom`.
fn installed(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/custom/bin").join(name);
    assert!(path.is_file(), "{} is missing: scripts/test installs it", path.display());
    path.canonicalize().unwrap()
}

async fn custom(name: &str, command: &[&str], more: &str) -> Station {
    let mut station = home();
    let command: Vec<String> = command
        .iter()
        .map(|word| word.replace("{test}", station.folder().to_str().unwrap()))
        .collect();
    let port = free_port();
    let toml = format!(
        "[[app]]\nname = {name:?}\nkind = \"custom\"\ncommand = {command:?}\nports = [{port}]\n{more}\n"
    );
    program(&station, "app.py", "import streamlit as st\nst.title('hello from streamlit')\n");
    run(&mut station, &toml).await;
    app_in(&station, name, AppPhase::Ready).await;
    station
}

#[tokio::test]
async fn tensorboard_that_knows_its_prefix() {
    let program = installed("tensorboard");
    let words = [
        program.to_str().unwrap(),
        "--logdir={folder}",
        "--port={port}",
        "--host=127.0.0.1",
        "--path_prefix={prefix}",
    ];
    let station = custom("tensorboard", &words, "").await;
    let client = station.login().await.unwrap();
    let page = client.page("/apps/tensorboard/").await.unwrap().expect(200).unwrap();
    assert!(page.text().contains("<title>TensorBoard</title>"), "{}", page.text());
    let path = "/apps/tensorboard/data/environment";
    let about = client.get(path).await.unwrap().expect(200).unwrap().json().unwrap();
    // It works in the user's folder.
    assert!(about["data_location"].as_str().unwrap().contains("workspace/Users/"), "{about}");
}

const STREAMLIT: [&str; 6] = [
    "run",
    "{test}/app.py",
    "--server.port={port}",
    "--server.address=127.0.0.1",
    "--server.headless=true",
    "--browser.gatherUsageStats=false",
];

async fn streamlit(more_words: &[&str], more: &str) {
    let program = installed("streamlit");
    let words = [&[program.to_str().unwrap()], &STREAMLIT[..], more_words].concat();
    let more = format!("health = \"/_stcore/health\"\n{more}");
    let station = custom("streamlit", &words, &more).await;
    let client = station.login().await.unwrap();
    let page = client.page("/apps/streamlit/").await.unwrap().expect(200).unwrap();
    assert!(page.text().contains("<title>Streamlit</title>"), "{}", page.text());
    // Its page works over this websocket alone.
    client.open_websocket("/apps/streamlit/_stcore/stream").await.unwrap();
}

#[tokio::test]
async fn streamlit_that_knows_its_prefix() {
    streamlit(&["--server.baseUrlPath={prefix}"], "").await;
}

#[tokio::test]
async fn streamlit_that_does_not() {
    streamlit(&[], "prefix = \"strip\"").await;
}

#[tokio::test]
async fn shiny_that_does_not_know_its_prefix() {
    let code = "shiny::runApp(shiny::shinyApp(shiny::fluidPage('hello from shiny'), \
                function(input, output) { }), port = {port}, launch.browser = FALSE)";
    let station = custom("shiny", &["Rscript", "-e", code], "prefix = \"strip\"").await;
    let client = station.login().await.unwrap();
    let page = client.page("/apps/shiny/").await.unwrap().expect(200).unwrap();
    assert!(page.text().contains("hello from shiny"), "{}", page.text());
    client.open_websocket("/apps/shiny/websocket/").await.unwrap();
}
