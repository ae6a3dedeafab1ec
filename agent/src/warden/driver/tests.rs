//! What each driver is told, and that no secret is among it.

use std::path::Path;

use super::super::files::{Cifs, Container, Login, Nfs, Rclone, VERSION};
use super::*;
use crate::base::ids::AppName;

fn launch(source: Source) -> Launch {
    Launch {
        version: VERSION,
        name: AppName::parse("workspace").unwrap(),
        spec: "5f".into(),
        place: "/mnt/stationd/workspace".into(),
        above: "/mnt/stationd".into(),
        program: "/usr/bin/stationd".into(),
        uid: 1000,
        gid: 1001,
        client: 990,
        cache: "/var/cache/stationd/workspace".into(),
        cache_max_mib: 20_480,
        read_only: false,
        source,
    }
}

fn given() -> Given {
    Given {
        at: "/run/s/stage/g1".into(),
        config: "/run/s/stage/driver.conf".into(),
        secret: Some("s3cret\n".into()),
        root: true,
    }
}

fn container(login: Login) -> Container {
    Container {
        account: "acme".into(),
        container: "work".into(),
        subdirectory: "team/a".into(),
        endpoint: None,
        login,
    }
}

fn file() -> PathBuf {
    "/etc/stationd/share.key".into()
}

/// Every driver with every login.
fn all() -> Vec<Launch> {
    let logins = [
        Login::Key { file: file() },
        Login::Sas { file: file() },
        Login::Spn { tenant: "t".into(), client: "c".into(), file: file() },
        Login::Msi { client: Some("c".into()) },
        Login::WorkloadIdentity { tenant: "t".into(), client: "c".into(), file: file() },
    ];
    let containers = logins.map(container);
    let rclone = containers.iter().cloned().map(|one| Source::Rclone(Rclone::Container(one)));
    let blobfuse2 = containers.iter().cloned().map(Source::Blobfuse2);
    let cifs = Source::Cifs(Cifs { share: "//acme.file/s".into(), credentials: file() });
    let nfs = Source::Nfs(Nfs { export: "acme.file:/acme/s".into() });
    rclone.chain(blobfuse2).chain([cifs, nfs]).map(launch).collect()
}

#[test]
fn no_secret_is_an_argument_or_in_the_environment() {
    for launch in all() {
        let plan = plan(&launch, &given());
        let shown = format!("{:?} {:?}", plan.arguments, plan.environment);
        assert!(!shown.contains("s3cret"), "{shown}");
        let needs = !matches!(launch.source, Source::Nfs(_))
            && !plan.config.as_ref().is_some_and(|text| {
                text.contains("msi") || text.contains("env_auth") || text.contains("oauth")
            });
        let has = plan.config.is_some_and(|text| text.contains("s3cret"));
        assert_eq!(has, needs, "{:?}", launch.source);
    }
}

#[test]
fn each_driver_mounts_where_it_is_told_and_as_the_user() {
    for launch in all() {
        let plan = plan(&launch, &given());
        let line = plan.arguments.join(" ");
        assert!(
            line.contains("/run/s/stage/g1") && line.contains("1000") || plan.program == "mount",
            "{line}"
        );
        let read_only = Launch { read_only: true, ..launch };
        let line = super::plan(&read_only, &given()).arguments.join(" ");
        assert!(line.contains("--read-only") || line.ends_with(",ro"), "{line}");
    }
}

#[test]
fn the_kernels_mounts_are_called_like_this() {
    let cifs = launch(Source::Cifs(Cifs { share: "//acme.file/s".into(), credentials: file() }));
    assert_eq!(
        plan(&cifs, &given()).arguments.join(" "),
        "-t cifs //acme.file/s /run/s/stage/g1 -o credentials=/run/s/stage/driver.conf,vers=3.1.1,\
         serverino,nosharesock,mfsymlinks,actimeo=1,cache=strict,uid=1000,gid=1001,forceuid,forcegid,\
         file_mode=0700,dir_mode=0700"
    );
    let nfs = launch(Source::Nfs(Nfs { export: "acme.file:/acme/s".into() }));
    assert_eq!(
        plan(&nfs, &given()).arguments.join(" "),
        "-t nfs acme.file:/acme/s /run/s/stage/g1 -o vers=4.1,hard,proto=tcp,actimeo=1"
    );
}

#[test]
fn a_container_of_azure_is_a_remote_of_rclone() {
    let source = Rclone::Container(Container {
        endpoint: Some("http://127.0.0.1:10000/acme".into()),
        ..container(Login::Key { file: file() })
    });
    assert_eq!(rclone::depth(&source), 4);
    let plan = plan(&launch(Source::Rclone(source)), &given());
    assert_eq!(plan.arguments.get(1).map(String::as_str), Some("share:work/team/a"));
    assert_eq!(
        plan.config.unwrap(),
        "[share]\ntype = azureblob\nendpoint = http://127.0.0.1:10000/acme\nuse_emulator = true\n\
         account = acme\nkey = s3cret\n"
    );
    let own = launch(Source::Rclone(Rclone::Remote { remote: "nas:a/b".into(), config: file() }));
    let plan = super::plan(&own, &given());
    assert_eq!(plan.config.as_deref(), Some("s3cret\n"), "its own file as it is");
    assert_eq!(plan.arguments.get(1).map(String::as_str), Some("nas:a/b"));
}

#[test]
fn blobfuse2_keeps_nothing_in_the_kernel_and_empties_its_own_folder_only() {
    let launch = launch(Source::Blobfuse2(container(Login::Key { file: file() })));
    let plan = plan(&launch, &given());
    let config: serde_json::Value = serde_json::from_str(&plan.config.unwrap()).unwrap();
    assert_eq!(config["libfuse"]["disable-writeback-cache"], true);
    assert_eq!(config["file_cache"]["cleanup-on-start"], false);
    assert_eq!(config["file_cache"]["path"], "/var/cache/stationd/workspace/now");
    assert_eq!(plan.folders, [Path::new("/var/cache/stationd/workspace/now")]);
    assert_eq!(config["azstorage"]["account-key"], "s3cret");
    assert!(plan.arguments.contains(&"--foreground".to_owned()));
}
