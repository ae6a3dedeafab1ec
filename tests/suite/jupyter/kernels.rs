//! Kernels of other languages and environments, and where notebooks and terminals begin.

use http::Method;
use serde_json::{Value, json};
use station_tests::jupyter;
use station_tests::kernel::{Kernel, api};
use station_tests::process;

use super::{BASE, LIMIT, station};

#[tokio::test]
async fn an_r_kernel_runs_a_cell() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let specs = client.get(&format!("{BASE}/api/kernelspecs")).await.unwrap().json().unwrap();
    assert!(
        specs["kernelspecs"]["ir"].is_object(),
        "scripts/test installs r-cran-irkernel: {specs}"
    );
    let wanted = json!({"name": "ir", "path": ""});
    let mut kernel = Kernel::start_as(&client, BASE, &wanted).await.unwrap();
    let outcome = kernel.run("cat(R.version$language, sum(1:4))").await.unwrap();
    assert_eq!(outcome.output, "R 10");
}

#[tokio::test]
async fn a_new_kernel_is_there_without_a_restart() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let path = format!("{BASE}/api/kernelspecs");
    let name = format!("test-{}", std::process::id());
    let before = client.get(&path).await.unwrap().json().unwrap();
    assert!(before["kernelspecs"][&name].is_null(), "{before}");
    // As a person does in a terminal: into the folder of their own kernels.
    let python = jupyter::lab().unwrap().with_file_name("python");
    let mut command = process::command(&python);
    command.args(["-m", "ipykernel", "install", "--user", "--name", &name]);
    command.env("HOME", station.home());
    let done = process::run(command, LIMIT).await.unwrap();
    assert!(done.status.success(), "{}", done.all());
    let made = station.home().join(".local/share/jupyter/kernels").join(&name);
    assert!(made.join("kernel.json").is_file(), "{}", done.all());
    // The app's home is the account's, so the folder is brought to where that one is looked at.
    let own = std::path::PathBuf::from(std::env::var_os("HOME").unwrap());
    let kernels = own.join(".local/share/jupyter/kernels");
    std::fs::create_dir_all(&kernels).unwrap();
    let link = Link(kernels.join(&name));
    std::os::unix::fs::symlink(&made, &link.0).unwrap();
    let after = client.get(&path).await.unwrap().json().unwrap();
    assert!(after["kernelspecs"][&name].is_object(), "{after}");
    let wanted = json!({"name": name, "path": ""});
    let mut kernel = Kernel::start_as(&client, BASE, &wanted).await.unwrap();
    assert_eq!(kernel.run("6 * 7").await.unwrap().value.as_deref(), Some("42"));
}

/// Goes with the test, however that ends.
struct Link(std::path::PathBuf);

impl Drop for Link {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[tokio::test]
async fn a_notebook_with_a_name_in_any_script_works_in_the_users_folder() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let folder = station.home().join("workspace").canonicalize().unwrap();
    let user = std::fs::read_dir(folder.join("Users")).unwrap().next().unwrap().unwrap();
    let user = user.file_name().into_string().unwrap();
    let place = format!("Users/{user}/学習 1.ipynb");
    let escaped = format!("Users/{user}/%E5%AD%A6%E7%BF%92%201.ipynb");
    let notebook = json!({
        "type": "notebook", "format": "json",
        "content": {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5},
    });
    let path = format!("{BASE}/api/contents/{escaped}");
    api(&client, Method::PUT, &path, &notebook).await.unwrap().expect(201).unwrap();
    assert!(folder.join(&place).is_file());
    let read = client.get(&path).await.unwrap().expect(200).unwrap().json().unwrap();
    assert_eq!(read["path"], place.as_str());
    client.page(&format!("{BASE}/lab/tree/{escaped}")).await.unwrap().expect(200).unwrap();
    let mut kernel = Kernel::start_as(&client, BASE, &json!({"path": place})).await.unwrap();
    let seen = kernel.run("import os; os.getcwd()").await.unwrap().value.unwrap();
    assert_eq!(seen, format!("'{}'", folder.join("Users").join(&user).display()));
    // The root of the share can be browsed.
    let root = client.get(&format!("{BASE}/api/contents/")).await.unwrap().json().unwrap();
    assert_eq!(root["content"][0]["name"], "Users");
}

#[tokio::test]
async fn a_terminal_begins_in_the_users_folder() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let terminals = format!("{BASE}/api/terminals");
    let made = api(&client, Method::POST, &terminals, &Value::Null).await.unwrap();
    let made = made.expect(200).unwrap().json().unwrap();
    let path = format!("{BASE}/terminals/websocket/{}", made["name"].as_str().unwrap());
    let folder = station.home().join("workspace").canonicalize().unwrap().join("Users");
    let told = station.folder().join("told");
    jupyter::type_into(&client, &path, &format!("pwd >{}\r", told.display())).await.unwrap();
    let said = process::eventually("the terminal's answer", LIMIT, || {
        std::fs::read_to_string(&told).ok().filter(|text| text.ends_with('\n'))
    });
    let said = said.await.unwrap();
    assert!(said.starts_with(folder.to_str().unwrap()), "{said}");
}
