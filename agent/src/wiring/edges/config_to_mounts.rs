//! The configuration as the supervision of shares needs it.

use std::fs;

use crate::base::ids::AppName;
use crate::mount::Spec;
use crate::privileged::RootConfig;
use crate::warden::files::Folder;

/// The shares of the configuration, and those that an earlier one has left.
pub(in crate::wiring) fn specs(root: &RootConfig) -> Vec<Spec> {
    let known = root.mounts.iter().map(|mount| {
        let launch = root.launch(mount);
        Spec {
            name: mount.name.clone(),
            driver: mount.source.driver(),
            place: launch.place,
            folder: Folder::of(&root.wardens, &mount.name),
            spec: launch.spec,
            left: false,
        }
    });
    let entries = fs::read_dir(&root.wardens).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| AppName::parse(entry.file_name().to_str()?).ok());
    let left = names.filter(|name| root.mount(name).is_none()).map(|name| Spec {
        driver: "",
        place: root.mounts_dir.join(name.as_str()),
        folder: Folder::of(&root.wardens, &name),
        spec: String::new(),
        left: true,
        name,
    });
    known.chain(left).collect()
}
