//! `stationctl doctor`: what it tries works, what does not is named, and nothing of it is left.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use station_tests::engine::{self, Engine};
use station_tests::gpus::Gpus;
use station_tests::process::{self, Output};
use station_tests::station::{App, Station};

use crate::jupyter;

const LIMIT: std::time::Duration = std::time::Duration::from_secs(180);

async fn doctor(station: &Station, json: bool, environment: &[(String, String)]) -> Result<Output> {
    let mut command = process::command(&process::binary("stationctl")?);
    command.args(["--home", &station.home().display().to_string(), "doctor"]);
    command.args(json.then_some("--json")).envs(environment.iter().cloned());
    process::run(command, LIMIT).await
}

fn tried(output: &Output) -> Result<Vec<Value>> {
    serde_json::from_str(&output.stdout).with_context(|| output.all())
}

/// The one of that kind; with its time taken out, which differs.
fn one(all: &[Value], check: &str) -> Result<Value> {
    let found = all.iter().find(|one| one["check"] == check);
    let mut found = found.with_context(|| format!("{check} in {all:?}"))?.clone();
    found.as_object_mut().context("an object")?.remove("took_ms");
    Ok(found)
}

#[tokio::test]
async fn a_workstation_that_works_passes_and_nothing_is_left() -> Result<()> {
    let Some(station) = jupyter::station().await else { return Ok(()) };
    let no_engine = [("DOCKER_HOST".to_owned(), "unix:///nobody".to_owned())];
    let output = doctor(&station, true, &no_engine).await?;
    ensure!(output.status.success(), "{}", output.all());
    let all = tried(&output)?;
    let kernel = json!({ "check": "kernel", "subject": "jupyterlab", "outcome": "passed",
                         "message": "a new kernel says that 1+1 is 2" });
    assert_eq!(one(&all, "kernel")?, kernel);
    assert_eq!(one(&all, "share")?["outcome"], "passed");
    assert_eq!(one(&all, "container")?["outcome"], "skipped", "nobody answers there");
    let no_gpu = json!({ "check": "gpu", "outcome": "skipped",
                         "message": "there is no NVIDIA GPU in this machine" });
    assert_eq!(one(&all, "gpu")?, no_gpu);

    let client = station.login().await?;
    let kernels = client.get("/apps/jupyterlab/api/kernels").await?.json()?;
    assert_eq!(kernels, json!([]), "its kernel has ended");
    let tokens = station.admin(http::Method::GET, "/v1/tokens", "").await?;
    assert_eq!(tokens.body().as_ref(), b"[]", "its token was revoked");
    let workspace = station.home().join("workspace");
    let left = std::fs::read_dir(workspace)?.filter_map(Result::ok);
    let canary = |name: &str| name.contains("canary");
    assert!(!left.into_iter().any(|file| canary(&file.file_name().to_string_lossy())));
    Ok(())
}

#[tokio::test]
async fn a_kernel_answers_through_a_listener_with_tls() -> Result<()> {
    if station_tests::jupyter::lab().is_none() {
        return station_tests::skip(station_tests::jupyter::MISSING);
    }
    let station = Station::start(App::JupyterLab, "[listen]\ntls = \"self-signed\"\n").await?;
    station.app_in(station_proto::app::AppPhase::Ready).await?;
    let output = doctor(&station, true, &[]).await?;
    assert_eq!(one(&tried(&output)?, "kernel")?["outcome"], "passed", "{}", output.all());
    Ok(())
}

#[tokio::test]
async fn what_does_not_work_is_named_with_what_to_do() -> Result<()> {
    let gpus = Gpus::new(2)?;
    let mut station = Station::prepare(App::StandIn, "")?;
    station.environment = gpus.environment();
    station.launch().await?;
    station.app_in(station_proto::app::AppPhase::Ready).await?;
    let seen = |now: &station_proto::heartbeat::Heartbeat| now.status.gpus.len() == 2;
    station.wait_for("the GPUs", LIMIT, seen).await?;
    let mut environment = gpus.environment();
    let library = environment.iter().find(|(name, _)| name == "STATIOND_NVML").cloned();
    environment.push(("STATIOND_CUDA".to_owned(), library.context("the library")?.1));
    // GPU 1 gives back a wrong byte, and the share's folder is gone.
    gpus.script(&json!({ "devices": [{}, {}],
        "faults": [{ "fn": "cuMemcpyDtoH_v2", "dev": 1, "ret": 4242 }] }))?;
    std::fs::remove_dir_all(station.home().join("workspace"))?;
    let output = doctor(&station, false, &environment).await?;
    let said = output.all();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "FAILED   share workspace",
        "cannot be created: No such file or directory",
        "passed   gpu 0",
        "FAILED   gpu 1                  what came back from the GPU is not what was sent to it",
        "what to do: `stationctl gpu` says what is wrong with it",
        "FAILED   kernel jupyterlab",
        "stationctl: 3 of",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    gpus.script(&json!({ "devices": [{}, {}],
        "faults": [{ "fn": "cuMemAlloc_v2", "dev": 0, "ret": 2 }] }))?;
    let all = tried(&doctor(&station, true, &environment).await?)?;
    let message = "cuMemAlloc_v2 failed with CUDA_ERROR_OUT_OF_MEMORY (2)";
    assert_eq!(one(&all, "gpu")?["message"], message);
    Ok(())
}

#[tokio::test]
async fn a_container_runs_without_network_or_registry() -> Result<()> {
    let Some(engine) = Engine::start().await? else { return station_tests::skip(engine::MISSING) };
    let station = Station::start(App::None, "").await?;
    let output = doctor(&station, true, &[("DOCKER_HOST".to_owned(), engine.host())]).await?;
    let found = one(&tried(&output)?, "container")?;
    assert_eq!(found["outcome"], "passed", "{found}");
    assert!(found["message"].as_str().unwrap_or_default().starts_with("docker "), "{found}");
    let images = engine.docker(&["images", "--quiet"]).await?;
    assert_eq!(images.stdout, "", "the image was removed");
    let containers = engine.docker(&["ps", "--all", "--quiet"]).await?;
    assert_eq!(containers.stdout, "", "and the container");
    engine.stop().await
}

/// Where a secret may stand: in the configuration, in an app's words, in a token of ours.
const PLANTED: &str = "hunter2Planted";

#[tokio::test]
async fn a_bundle_has_what_helps_and_no_secret() -> Result<()> {
    let script = format!(
        "echo password={PLANTED}; echo 'Authorization: Bearer {PLANTED}'; echo \"'api_key': '{PLANTED}'\"; \
         echo https://ada:{PLANTED}@host/x; echo up and running; exec sleep 600"
    );
    let app = format!(
        "# {PLANTED}\n[[app]]\nname = \"board\"\nkind = \"custom\"\n\
         command = [\"/bin/sh\", \"-c\", {:?}, \"{{socket}}\", \"--api-key\", {PLANTED:?}]\n",
        script
    );
    let mut station = Station::prepare(App::None, "")?;
    station.configure(&app)?;
    station.launch().await?;
    let said = async || {
        let logs = station.ctl(&["app", "logs", "board"]).await.ok()?;
        logs.stdout.contains("up and running").then_some(())
    };
    process::eventually_async("the app's words", LIMIT, said).await?;
    let body = json!({ "app": "board", "ttl_seconds": 600, "note": PLANTED }).to_string();
    let token = station.admin(http::Method::POST, "/v1/tokens", &body).await?;
    let token: Value = serde_json::from_slice(token.body())?;
    let secret = token["secret"].as_str().context("a token")?.to_owned();

    let file = station.folder().join("b.tar.gz");
    let name = file.display().to_string();
    let output = station.ctl(&["doctor", "--bundle", &name]).await?;
    ensure!(output.status.success(), "{}", output.all());
    for part in ["status.json", "doctor.txt", "logs/board.log", "stationd.toml"] {
        assert!(output.stdout.contains(part), "{part}\n{}", output.all());
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file)?.permissions());
    assert_eq!(mode & 0o777, 0o600);

    let mut tar = process::command(std::path::Path::new("tar"));
    tar.args(["-xzf", &name, "--to-stdout"]);
    let whole = process::run(tar, LIMIT).await?;
    ensure!(whole.status.success(), "{}", whole.all());
    for kept in ["up and running", "name = \"board\"", "\"boot_id\"", "app.starting", "stationctl "]
    {
        assert!(whole.stdout.contains(kept), "{kept} is not in\n{}", whole.stdout);
    }
    for planted in [PLANTED, &secret] {
        let found = whole.stdout.lines().find(|line| line.contains(planted));
        assert_eq!(found, None);
    }

    let before = std::fs::read(&file)?;
    let again = station.ctl(&["doctor", "--bundle", &name]).await?;
    assert_eq!(again.status.code(), Some(1), "{}", again.all());
    assert!(again.stderr.contains("name a file that is not there yet"), "{}", again.all());
    assert_eq!(std::fs::read(&file)?, before);
    Ok(())
}

#[tokio::test]
async fn a_bundle_is_written_while_stationd_does_not_run() -> Result<()> {
    let station = Station::prepare(App::None, "[log]\nlevel = \"debug\"\n")?;
    let name = station.folder().join("b.tar.gz").display().to_string();
    let output = station.ctl(&["--json", "doctor", "--bundle", &name]).await?;
    ensure!(output.status.success(), "{}", output.all());
    let said: Value = serde_json::from_str(&output.stdout)?;
    let names = |key: &str| -> Vec<String> {
        let all = said[key].as_array().into_iter().flatten();
        all.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
    };
    assert!(names("entries").iter().any(|one| one.ends_with("stationd.toml")), "{said}");
    assert!(names("missing").contains(&"what stationd says".to_owned()), "{said}");
    Ok(())
}
