//! The classic notebook: another view of JupyterLab's server, or a server of its own.

use station_proto::app::AppPhase;
use station_tests::jupyter;
use station_tests::kernel::Kernel;
use station_tests::station::Station;

use super::{app_in, home, run};

/// A station with JupyterLab and the notebook; `more` belongs to the second.
async fn station(more: &str) -> Option<Station> {
    let Some(lab) = jupyter::lab() else {
        station_tests::skip(jupyter::MISSING).unwrap();
        return None;
    };
    let lab = lab.canonicalize().unwrap();
    let notebook = lab.with_file_name("jupyter-notebook");
    let mut station = home();
    let toml = format!(
        "[[app]]\nname = \"jupyterlab\"\nkind = \"jupyterlab\"\ncommand = {lab:?}\n\
         [[app]]\nname = \"jupyter\"\nkind = \"jupyter\"\ncommand = {notebook:?}\n{more}\n"
    );
    run(&mut station, &toml).await;
    for name in ["jupyterlab", "jupyter"] {
        app_in(&station, name, AppPhase::Ready).await;
    }
    Some(station)
}

#[tokio::test]
async fn a_view_shares_the_server_and_its_end() {
    let Some(station) = station("").await else { return };
    let client = station.login().await.unwrap();
    let entry = client.page("/apps/jupyter/").await.unwrap().expect(302).unwrap();
    assert_eq!(entry.header("location"), "/apps/jupyterlab/tree");
    let tree = client.page("/apps/jupyterlab/tree").await.unwrap().expect(200).unwrap();
    assert!(tree.text().contains("Jupyter"), "{}", tree.text());
    let classic = client.page("/apps/jupyterlab/nbclassic/tree").await.unwrap();
    classic.expect(200).unwrap();
    let mut kernel = Kernel::start(&client, "/apps/jupyterlab").await.unwrap();
    kernel.run("1").await.unwrap();
    let view = app_in(&station, "jupyter", AppPhase::Ready).await;
    assert_eq!(view.shares.as_deref(), Some("jupyterlab"));
    let server = app_in(&station, "jupyterlab", AppPhase::Ready).await;
    assert_eq!((view.pid, view.generation), (server.pid, server.generation));
    super::app(&station, "jupyter", |app| app.kernels == Some(1)).await;
    let stop = station.ctl(&["app", "stop", "jupyter"]).await.unwrap();
    let said = "jupyter shares the server of jupyterlab: this ends both, with 1 kernel";
    assert!(stop.status.success() && stop.stdout.contains(said), "{}", stop.all());
    for name in ["jupyterlab", "jupyter"] {
        app_in(&station, name, AppPhase::Stopped).await;
    }
}

#[tokio::test]
async fn a_server_of_its_own_has_kernels_of_its_own() {
    let Some(station) = station("server = \"own\"").await else { return };
    let client = station.login().await.unwrap();
    let tree = client.page("/apps/jupyter/tree").await.unwrap().expect(200).unwrap();
    assert!(tree.text().contains("/apps/jupyter/"), "{}", tree.text());
    let mut kernel = Kernel::start(&client, "/apps/jupyterlab").await.unwrap();
    kernel.run("1").await.unwrap();
    let others = client.get("/apps/jupyter/api/kernels").await.unwrap().expect(200).unwrap();
    assert_eq!(others.text(), "[]");
    let stop = station.ctl(&["app", "stop", "jupyter"]).await.unwrap();
    assert!(stop.status.success(), "{}", stop.all());
    app_in(&station, "jupyterlab", AppPhase::Ready).await;
}
