//! What each part may do, and what nobody may make it do.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use http::Method;
use serde_json::json;
use station_proto::app::AppPhase;
use station_proto::heartbeat::Heartbeat;
use station_tests::http::Client;
use station_tests::kernel::api;
use station_tests::machine::Machine;
use tokio_tungstenite::tungstenite::Message;

use crate::setup::{APP, SOON, configure, with_jupyterlab};

const TERMINALS: &str = "/apps/jupyterlab/api/terminals";

#[tokio::test]
async fn root_in_a_terminal_is_given_and_taken_away_while_everything_runs() {
    let machine = with_jupyterlab().await.unwrap();
    let client = machine.admin.login().await.unwrap();
    let app = machine.main_pid(APP).await.unwrap();
    assert_eq!(who_sudo_makes(&client).await.unwrap(), "refused");
    configure(&machine, "root_access = true").unwrap();
    let written = "until [ -e /etc/sudoers.d/stationd ]; do sleep 0.1; done";
    machine.must(written).await.unwrap();
    assert_eq!(who_sudo_makes(&client).await.unwrap(), "0");
    machine.must("visudo --check --quiet").await.unwrap();
    configure(&machine, "root_access = false").unwrap();
    machine.must("until [ ! -e /etc/sudoers.d/stationd ]; do sleep 0.1; done").await.unwrap();
    assert_eq!(who_sudo_makes(&client).await.unwrap(), "refused");

    // An administrator's own file of that name is neither changed nor removed.
    machine.must("echo '# ours' >/etc/sudoers.d/stationd").await.unwrap();
    configure(&machine, "root_access = true").unwrap();
    let refused = |now: &Heartbeat| {
        now.status.conditions.iter().any(|condition| condition.kind == "RootAccessRefused")
    };
    machine.admin.wait_for("RootAccessRefused", SOON, refused).await.unwrap();
    assert_eq!(machine.must("cat /etc/sudoers.d/stationd").await.unwrap(), "# ours");
    assert_eq!(machine.main_pid(APP).await.unwrap(), app);
}

/// What `sudo -n id -u` prints in a new terminal of JupyterLab.
async fn who_sudo_makes(client: &Client) -> Result<String> {
    let made = api(client, Method::POST, TERMINALS, &json!({})).await?.expect(200)?.json()?;
    let name = made.get("name").and_then(|name| name.as_str()).context("a terminal has a name")?;
    let path = format!("/apps/jupyterlab/terminals/websocket/{name}");
    let mut socket = client.open_websocket(&path).await?;
    // Put together by the shell, so that the echo of the line is no answer.
    let line = "printf '<%s>\\n' \"$(sudo -n id -u 2>/dev/null || echo refused)\"\r";
    socket.send(Message::text(json!(["stdin", line]).to_string())).await?;
    let mut printed = String::new();
    loop {
        let next = tokio::time::timeout(SOON, socket.next()).await?.context("it is closed")??;
        let Message::Text(text) = next else { continue };
        let (kind, text): (String, String) = match serde_json::from_str(&text) {
            Ok(message) => message,
            Err(_another_kind) => continue,
        };
        if kind == "stdout" {
            printed.push_str(&text);
        }
        let answer = |word: &&str| printed.contains(&format!("<{word}>"));
        if let Some(word) = ["0", "refused"].iter().find(|word| answer(word)) {
            return Ok((*word).to_owned());
        }
    }
}

/// Sends each line of `orders` to a socket of ours as another user; prints one answer a line.
const SPEAK: &str = "use IO::Socket::UNIX; while (<STDIN>) { \
     my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or do { print \"no way in: $!\\n\"; next }; \
     print $s $_; $s->shutdown(1); local $/; my $a = <$s>; $a =~ s/\\s+$//; print \"$a\\n\"; }";

async fn speak(machine: &Machine, user: &str, socket: &str, orders: &[&str]) -> Vec<String> {
    let file = machine.path("/var/tmp/orders");
    stationd::os::file::write_atomic(&file, (orders.join("\n") + "\n").as_bytes(), 0o644).unwrap();
    let line = format!(
        "setpriv --reuid={user} --regid={user} --clear-groups \
         perl -e '{SPEAK}' /run/stationd/{socket}.sock </var/tmp/orders"
    );
    machine.must(&line).await.unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_parts_with_rights_listen_to_stationd_alone_and_do_what_their_verbs_say() {
    let machine = with_jupyterlab().await.unwrap();
    let app = machine.main_pid(APP).await.unwrap();
    let configure = r#"{"digest":"x","verb":{"verb":"configure"}}"#;
    for socket in ["privileged", "probe"] {
        let answers = speak(&machine, "ada", socket, &[configure]).await;
        assert!(answers[0].starts_with("no way in: Permission denied"), "{answers:?}");
    }

    // stationd itself, in the hands of somebody else.
    let before = outside_of_ours(&machine).await;
    let orders = [
        "",
        "nonsense",
        r#"{"digest":"x","verb":{"verb":"run","program":"/bin/sh"}}"#,
        r#"{"digest":"x","verb":{"verb":"start_app","app":"jupyterlab","generation":9}}"#,
        r#"{"digest":"x","verb":{"verb":"start_app","app":"jupyterlab","generation":9,"user":"root"}}"#,
        r#"{"digest":"x","verb":{"verb":"find_app","app":"../../etc"}}"#,
        r#"{"digest":"x","verb":{"verb":"stop_unit","app":"dbus.service","by":"user"}}"#,
        r#"{"digest":"x","verb":{"verb":"kill_unit","app":"dbus","generation":null}}"#,
        r#"{"digest":"x","verb":{"verb":"read_log","app":"x --file=/etc/shadow","lines":9,"last_run":false}}"#,
        r#"{"digest":"x","verb":{"verb":"set_root_access"}}"#,
        r#"{"digest":"x","verb":{"verb":"look_at_unit","app":"a/b"}}"#,
    ];
    let answers = speak(&machine, "stationd", "privileged", &orders).await;
    assert_eq!(answers.len(), orders.len(), "{answers:?}");
    let done = |answer: &&String| !answer.starts_with("{\"Err\":");
    // There is no app called dbus, so nothing of it was left, which is no mistake.
    let allowed: Vec<_> = answers.iter().filter(done).collect();
    assert_eq!(allowed, [r#"{"Ok":{"killed":{"processes":0}}}"#]);
    assert_eq!(outside_of_ours(&machine).await, before);
    assert_eq!(machine.main_pid(APP).await.unwrap(), app);

    // The probe tells of the workspace and of nothing else.
    let looks = [
        r#"{"look":{"path":"/var/lib/stationd/workspace"}}"#,
        r#"{"look":{"path":"/root"}}"#,
        r#"{"look":{"path":"/var/lib/stationd/workspace/../../../../root"}}"#,
    ];
    let answers = speak(&machine, "stationd", "probe", &looks).await;
    assert_eq!(answers, ["\"folder\"", "\"unknown\"", "\"unknown\""]);
}

/// stationd may make things in the folder that it shares with root. What it makes there where root
/// will write is not used, and no link in it followed.
#[tokio::test]
async fn a_folder_that_stationd_has_prepared_for_root_is_refused() {
    let machine = with_jupyterlab().await.unwrap();
    machine.must("stationctl down").await.unwrap();
    let trap = "rm -rf /var/lib/stationd/keepers && echo as it was >/etc/victim && \
                cd /var/lib/stationd && setpriv --reuid=stationd --regid=stationd --clear-groups \
                sh -c 'mkdir -p keepers/jupyterlab && cd keepers/jupyterlab && \
                for name in keeper exit asked; do \
                ln -s /etc/victim $name.json.new && ln -s /etc/victim $name.json; done'";
    machine.must(trap).await.unwrap();
    // The answer to `down` comes before the end of the daemon, which holds its lock until then.
    let ended = "while [ \"$(systemctl is-active stationd.service)\" = deactivating ] || pgrep -x stationd \
                 >/dev/null; do sleep 0.1; done";
    machine.must(ended).await.unwrap();
    machine.must("systemctl start stationd.service").await.unwrap();
    let refused = machine.admin.app_in(AppPhase::Backoff).await.unwrap();
    assert!(refused.message.contains("somebody else has made"), "{}", refused.message);
    assert_eq!(machine.must("cat /etc/victim").await.unwrap(), "as it was");
    machine.must("rm -rf /var/lib/stationd/keepers").await.unwrap();
    machine.must("stationctl app start jupyterlab").await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
}

/// Mounts, units that are not stationd's, and everything in /etc, as one text.
async fn outside_of_ours(machine: &Machine) -> String {
    let line = "cut -d' ' -f4- /proc/1/mountinfo | sort; \
                systemctl list-units --plain --no-legend --state=active | awk '{print $1}' | \
                grep -v -e '^stationd' -e '\\.scope$' | sort; \
                find /etc -newer /etc/stationd/stationd.toml | grep -v ^/etc$ | sort";
    machine.must(line).await.unwrap()
}

/// What `agent/tests/apps` holds of keepers holds of units: the same program, run where systemd is.
#[tokio::test]
async fn units_pass_the_suite_of_keepers() {
    let machine = with_jupyterlab().await.unwrap();
    machine.must("stationctl down && rm -rf /var/lib/stationd/keepers").await.unwrap();
    machine.copy_in(&newest("apps-").unwrap(), "/var/tmp/apps").unwrap();
    let line = "cd / && STATIOND_TEST_HOLDER=units RUST_BACKTRACE=0 \
                timeout 110 /var/tmp/apps --test-threads=1 --nocapture";
    let output = machine.run(line).await.unwrap();
    assert!(output.status.success(), "{}", output.all());
    assert!(output.stdout.contains("16 passed"), "{}", output.all());
}

/// The test program that was built last.
fn newest(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program lies in a folder")?;
    let programs = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let ours = programs.filter(|path| {
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        file.starts_with(name) && path.extension().is_none()
    });
    let built = |path: &PathBuf| path.metadata().and_then(|about| about.modified()).ok();
    ours.max_by_key(built).context("build it first: cargo test -p stationd --test apps --no-run")
}

/// A FUSE program in the sandbox of mount drivers: what it mounts is there for everybody, for an app
/// that was started before too, and its end is the end of the mount.
#[tokio::test]
async fn what_a_driver_mounts_is_seen_by_everybody() {
    let machine = with_jupyterlab().await.unwrap();
    machine.must("mkdir -p /srv/share /mnt/stationd/share && touch /srv/share/file").await.unwrap();
    let driver = "systemd-run --quiet --unit=stationd-mount-share.service \
                  bindfs -f -o allow_other /srv/share /mnt/stationd/share";
    machine.must(driver).await.unwrap();
    machine.must("until [ -e /mnt/stationd/share/file ]; do sleep 0.1; done").await.unwrap();
    let app = machine.main_pid(APP).await.unwrap();
    machine.must(&format!("test -e /proc/{app}/root/mnt/stationd/share/file")).await.unwrap();
    let seen = machine.must("runuser -u ada -- ls /mnt/stationd/share").await.unwrap();
    assert_eq!(seen, "file");
    assert_eq!(
        machine.property("stationd-mount-share.service", "CapabilityBoundingSet").await.unwrap(),
        "cap_linux_immutable cap_sys_admin"
    );
    machine.must("systemctl restart stationd.service").await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    machine.must("test -e /mnt/stationd/share/file").await.unwrap();
    machine.must("systemctl stop stationd-mount-share.service").await.unwrap();
    machine.must("! grep -q stationd/share /proc/self/mountinfo").await.unwrap();
}

/// A thousand processes that only burn the CPU, and two GiB of memory, all of the user's.
#[tokio::test]
async fn what_the_user_does_to_the_machine_does_not_delay_the_heartbeat() {
    const BOMB: &str = "#!/bin/sh\nperl -e '$x = q(a) x (2 << 30); sleep 60' &\ni=0\n\
        while [ $i -lt 1000 ]; do (while :; do :; done) & i=$((i + 1)); done\nwait\n";
    let machine = with_jupyterlab().await.unwrap();
    crate::setup::write(&machine, "/var/tmp/bomb", BOMB).unwrap();
    let bomb = "systemd-run --quiet --uid=ada --slice=stationd-apps.slice --unit=bomb \
                --property=TasksMax=1500 /bin/sh /var/tmp/bomb";
    machine.must(bomb).await.unwrap();
    let burning = "until [ $(pgrep -u ada -c sh) -gt 300 ]; do sleep 0.2; done";
    machine.must(burning).await.unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..40 {
        let asked = stationd::os::clock::since_boot();
        machine.admin.heartbeat().await.unwrap();
        slowest = slowest.max(stationd::os::clock::since_boot().saturating_sub(asked));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    machine.must("systemctl kill --signal=KILL bomb.service").await.unwrap();
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}
