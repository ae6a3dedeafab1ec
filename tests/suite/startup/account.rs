//! What stationd does as root for another user: nothing that a link of theirs could turn elsewhere.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use station_proto::app::AppPhase;
use station_tests::station::{App, Station};

#[tokio::test]
async fn a_workspace_behind_a_link_is_made_as_the_user_or_not_at_all() {
    if !nix::unistd::geteuid().is_root() {
        station_tests::skip("another user needs root").unwrap();
        return;
    }
    let user = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let place = tempfile::tempdir_in("/tmp").unwrap();
    let (home, theirs) = (place.path().join("u"), place.path().join("somewhere"));
    for folder in [place.path(), &home, &theirs] {
        fs::create_dir_all(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    chown(&home, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    symlink(&theirs, home.join("ws2")).unwrap();
    let path = home.join("ws2/deep");
    let toml = format!(
        "[instance]\nlocal_user = \"nobody\"\n\
         [[mount]]\nname = \"workspace\"\ndriver = \"directory\"\npath = \"{}\"\n\
         [[app]]\nname = \"jupyterlab\"\nkind = \"jupyterlab\"\ncommand = \"/bin/sleep\"\n",
        path.display()
    );
    let station = Station::start(App::None, &toml).await.unwrap();
    let app = station.app_in(AppPhase::Backoff).await.unwrap();
    assert!(app.message.contains("nobody cannot use the folder"), "{}", app.message);
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
    assert_eq!(fs::metadata(&theirs).unwrap().uid(), 0);
}
