//! Whoever speaks to the role, with whatever bytes: verbs are refused or mean what they say.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::*;
use crate::base::ids::AppName;
use crate::privileged::keeper::files::StopBy;
use crate::privileged::{AppRoot, Holder, Kind, UnitUser};

/// A configuration whose files all lie below `place`. No D-Bus is reached from a test (`units::bus`),
/// so every verb that would speak to PID 1 is refused by name.
fn root(place: &Path) -> RootConfig {
    let at = |name: &str| place.join("own").join(name);
    RootConfig {
        instance: "system".into(),
        holder: Holder::Units,
        group: None,
        keeper: at("stationd"),
        keepers: at("keepers"),
        sockets: at("apps"),
        logs: at("logs"),
        tools: at("tools"),
        admin_socket: at("admin.sock"),
        user: UnitUser::own(),
        root_access: false,
        workspace: at("workspace"),
        own_workspace: false,
        folder: at("workspace"),
        environment: BTreeMap::from([("LANG".into(), "C".into())]),
        apps: vec![AppRoot::plain(
            AppName::parse("lab").unwrap(),
            Kind::JupyterLab,
            vec!["/nonexistent/lab".into()],
        )],
        scratch: None,
        wardens: "/run/x/mounts".into(),
        mounts_dir: "/mnt/x".into(),
        own: 0,
        mounts: Vec::new(),
    }
}

fn serving(place: &Path, load: Load) -> Serving {
    let file = place.join("own/root.json");
    let bare = RootConfig { apps: Vec::new(), ..root(place) };
    let role = Role { load, bare, file, uid: 0, idle: Duration::from_secs(1) };
    Serving::new(role, None)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// Everything below a folder, with what is in it.
fn tree(place: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(place).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(tree(&path));
            found.insert(path, Vec::new());
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn the_configuration_in_force_is_one_that_can_hold() {
    let place = tempfile::tempdir().unwrap();
    let old = root(place.path());
    let mut new = old.clone();
    new.apps.clear();
    new.workspace = "/elsewhere".into();
    let live = RootConfig { apps: Vec::new(), ..old.clone() };
    let check = |known: Option<&RootConfig>, digest: &str, expected: &RootConfig| {
        assert_eq!(choose(known, new.clone(), digest), *expected, "{digest}");
    };
    check(Some(&old), &old.digest(), &old);
    check(Some(&old), &live.digest(), &live);
    check(Some(&old), &new.digest(), &new);
    // Whatever else the other side says it has: the files decide.
    check(Some(&old), "of a compromised sender", &new);
    check(None, &old.digest(), &new);
}

#[test]
fn a_change_with_mistakes_leaves_in_force_what_was_before_and_a_restart_of_the_role_too() {
    let place = tempfile::tempdir().unwrap();
    let (good, mistakes) = (root(place.path()), Arc::new(Mutex::new(false)));
    let (answer, broken) = (good.clone(), Arc::clone(&mistakes));
    let load: Load =
        Arc::new(
            move || {
                if *broken.lock().unwrap() { Err("line 3".into()) } else { Ok(answer.clone()) }
            },
        );
    let configure = |serving: &Serving| {
        let order = Order { digest: good.digest(), verb: Verb::Configure {} };
        block_on(serving.obey(order))
    };
    let first = serving(place.path(), Arc::clone(&load));
    let configured = Ok(Reply::Configured(Box::new(good.clone())));
    assert_eq!(configure(&first), configured);
    *mistakes.lock().unwrap() = true;
    assert_eq!(configure(&first), configured);
    let kept = in_force(&place.path().join("own/root.json"));
    assert_eq!(kept, Some(good.clone()));
    let second = serving(place.path(), Arc::clone(&load));
    *second.current.lock().unwrap() = kept.map(Arc::new);
    assert_eq!(configure(&second), configured);
    // Without any to fall back on, the mistakes are said.
    let fresh = serving(place.path(), load);
    assert_eq!(configure(&fresh), Err(Refusal::BadConfig("line 3".into())));
    // What needs no configuration is done nevertheless: it gets as far as PID 1.
    for verb in [Verb::CloseSockets {}, Verb::ListUnits {}] {
        let answer = block_on(fresh.obey(Order { digest: String::new(), verb }));
        assert!(matches!(answer, Err(Refusal::Unreachable(_))), "{answer:?}");
    }
    let verb = Verb::SetRootAccess {};
    let answer = block_on(fresh.obey(Order { digest: String::new(), verb }));
    assert_eq!(answer, Err(Refusal::BadConfig("line 3".into())));
}

fn verbs() -> impl Strategy<Value = Verb> {
    let app = "[a-z][a-z0-9-]{0,8}".prop_map(|name| AppName::parse(&name).unwrap());
    let by = prop_oneof![Just(StopBy::User), Just(StopBy::Down), Just(StopBy::Other)];
    prop_oneof![
        Just(Verb::Configure {}),
        app.clone().prop_map(|app| Verb::FindApp { app }),
        (app.clone(), any::<u64>(), any::<bool>())
            .prop_map(|(app, generation, scratch)| Verb::StartApp { app, generation, scratch }),
        (app.clone(), any::<Option<u64>>())
            .prop_map(|(app, generation)| Verb::KillUnit { app, generation }),
        app.clone().prop_map(|app| Verb::LookAtUnit { app }),
        app.clone().prop_map(|mount| Verb::StartMount { mount }),
        app.clone().prop_map(|mount| Verb::KillMount { mount }),
        (app.clone(), by).prop_map(|(app, by)| Verb::StopUnit { app, by }),
        (app, 0..100_usize, any::<bool>()).prop_map(|(app, lines, last_run)| Verb::ReadLog {
            app,
            lines,
            last_run
        }),
        Just(Verb::ListUnits {}),
        Just(Verb::CloseSockets {}),
        Just(Verb::SetRootAccess {}),
    ]
}

proptest! {
    /// Bytes of any kind are answered with a refusal.
    #[test]
    fn no_bytes_do_anything(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let place = tempfile::tempdir().unwrap();
        let config = root(place.path());
        let serving = serving(place.path(), Arc::new(move || Ok(config.clone())));
        let answer = block_on(serving.answer(&bytes));
        let answer: Result<Reply, Refusal> = serde_json::from_slice(&answer).unwrap();
        prop_assert!(matches!(answer, Err(Refusal::NotUnderstood(_))), "{answer:?}");
    }

    /// A valid order with one byte changed is another valid order, or none.
    #[test]
    fn a_damaged_order_means_nothing_new(verb in verbs(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let order = Order { digest: "x".into(), verb };
        let mut bytes = serde_json::to_vec(&order).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = serde_json::from_slice::<Order>(&bytes) {
            let again = serde_json::to_vec(&read).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Order>(&again).unwrap(), read);
        }
    }

    /// What a compromised sender can ask for changes nothing but the role's own files.
    #[test]
    fn no_verb_reaches_beyond_its_meaning(all in proptest::collection::vec(verbs(), 1..8), digest in "[0-9a-f]{0,32}") {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("victim")).unwrap();
        crate::os::file::write_atomic(&place.path().join("victim/file"), b"as it was", 0o600).unwrap();
        let before = tree(&place.path().join("victim"));
        let config = root(place.path());
        let serving = serving(place.path(), Arc::new(move || Ok(config.clone())));
        for verb in all {
            let acts = verb.needs_digest();
            let answer = block_on(serving.obey(Order { digest: digest.clone(), verb }));
            if acts {
                prop_assert_eq!(answer, Err(Refusal::ConfigChanged));
            }
        }
        prop_assert_eq!(tree(&place.path().join("victim")), before);
        let own = tree(&place.path().join("own"));
        let file = place.path().join("own/root.json");
        prop_assert!(own.keys().all(|path| *path == file), "{:?}", own.keys());
    }
}

#[test]
fn names_that_are_paths_or_other_units_are_no_names() {
    for name in ["../x", "a/b", "", "sshd.service", "-x", "A", "a\u{0}b", "a@b"] {
        let text = serde_json::json!({
            "digest": "x", "verb": { "verb": "stop_unit", "app": name, "by": "user" }
        });
        assert!(serde_json::from_value::<Order>(text).is_err(), "{name}");
    }
    let more =
        r#"{"digest":"x","verb":{"verb":"start_app","app":"a","generation":1,"user":"root"}}"#;
    assert!(serde_json::from_str::<Order>(more).is_err());
}
