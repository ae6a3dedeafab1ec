//! What nobody uses is stopped, and comes back when it is asked for.

use std::fs;
use std::time::Duration;

use station_proto::app::{ActivityState, AppPhase};
use station_proto::cause::CauseKind;

use crate::rig::{Home, lab};

const SOON: Duration = Duration::from_millis(300);

fn idle_home() -> Home {
    let mut home = Home::with_program();
    fs::write(home.root.workspace.join("idle"), "").unwrap();
    home.idle_stop = Some(SOON);
    home
}

#[tokio::test]
async fn what_nobody_uses_is_stopped_and_the_next_request_starts_it() {
    let home = idle_home();
    let life = home.live();
    let ready = life.phase(AppPhase::Ready).await;
    // Within the limit and the next look, not at the next look of a running app: that is 10 s away.
    let begun = std::time::Instant::now();
    let stopped = life.phase(AppPhase::Stopped).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "stopped after {:?}", begun.elapsed());
    let end = stopped.last_end.unwrap();
    assert_eq!(end.kind, CauseKind::IdleStop, "{end:?}");
    assert!(end.message.contains("idle"), "{end:?}");
    assert!(stopped.on_demand, "a request may start it");
    assert_eq!((home.processes(), stopped.generation), (0, ready.generation));
    // Twenty who want it at once get one start.
    let wants = (0..20).map(|_| life.apps.want("jupyterlab"));
    for wanted in futures_util::future::join_all(wants).await {
        wanted.unwrap();
    }
    let again = life.phase(AppPhase::Ready).await;
    assert_eq!(again.generation, ready.generation + 1);
    life.phase(AppPhase::Stopped).await;
    life.end().await;
}

#[tokio::test]
async fn a_busy_kernel_keeps_it_until_it_is_done() {
    let home = idle_home();
    fs::remove_file(home.root.workspace.join("idle")).unwrap();
    let life = home.live();
    life.phase(AppPhase::Ready).await;
    let activity = life.apps.activity("jupyterlab").unwrap();
    assert_eq!((activity.state, activity.stops_at), (ActivityState::Active, None), "{activity:?}");
    // The next look comes after 10 s: what was done until then is over, and nothing has stopped it.
    fs::write(home.root.workspace.join("idle"), "").unwrap();
    let stopped = life.phase(AppPhase::Stopped).await;
    assert!(stopped.last_end.unwrap().message.contains("idle"));
    assert_eq!(stopped.name, lab());
    life.end().await;
}
