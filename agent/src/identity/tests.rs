//! Links and sessions against a real store: once, in time, over restarts and reboots.

use std::path::Path;

use futures_util::{StreamExt, stream};
use secrecy::ExposeSecret;

use super::*;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) identity: Identity,
    pub(super) instance: Instance,
    pub(super) now: Moment,
}

pub(super) fn start() -> Moment {
    Moment::at_ms(1_700_000_000_000)
}

async fn open(path: &Path, machine: &str, boot: &str, now: Moment) -> (Store, Identity, Instance) {
    let store = Store::open(path, &[FEATURE]).unwrap();
    let config = Config { session: 12 * HOUR };
    let machine = Machine { hash: machine.into(), boot: boot.into() };
    let opened = Identity::open_on(store.clone(), config, machine, now).await.unwrap();
    (store, opened.0, opened.1)
}

impl Bench {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let (store, identity, instance) = open(&path, "m", "boot-1", start()).await;
        Self { folder, store, identity, instance, now: start() }
    }

    /// stationd stops after its last tidying and starts again.
    pub(super) async fn restart(&mut self, machine: &str, boot: &str, now: Moment) {
        self.identity.tidy(self.now, true).await;
        self.store.close().await;
        let path = self.folder.path().join("db");
        (self.store, self.identity, self.instance) = open(&path, machine, boot, now).await;
        self.now = now;
    }

    async fn link(&self) -> String {
        let next = NextPath::parse("/apps/jupyterlab/lab").unwrap();
        let link = self.identity.create_link("ann", next, self.now).await.unwrap();
        link.token.expose_secret().to_owned()
    }

    async fn redeem(&self, token: &str) -> Redeemed {
        self.identity.redeem(token, self.now).await.unwrap()
    }

    pub(super) async fn login(&self) -> Login {
        match self.redeem(&self.link().await).await {
            Redeemed::Login(login) => login,
            other => panic!("{other:?}"),
        }
    }

    fn alive(&self, login: &Login) -> bool {
        self.identity.check(login.secret.expose_secret(), self.now).is_some()
    }

    async fn events(&self) -> Vec<String> {
        let page = self.store.events_after(0, 5000).await.unwrap();
        page.events.into_iter().map(|event| event.kind).collect()
    }

    pub(super) async fn count(&self, kind: &str) -> usize {
        self.events().await.iter().filter(|one| *one == kind).count()
    }

    pub(super) async fn rows(&self, table: &'static str) -> i64 {
        let query = move |c: &rusqlite::Connection| {
            c.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
        };
        self.store.read(query).await.unwrap()
    }
}

#[tokio::test]
async fn a_link_lets_in_once_and_leads_where_it_should() {
    let bench = Bench::new().await;
    let token = bench.link().await;
    let open = bench.identity.peek(&token, bench.now).await.unwrap();
    assert!(matches!(open, Link::Open { user, .. } if user == "ann"));
    let Redeemed::Login(login) = bench.redeem(&token).await else { panic!("refused") };
    assert_eq!(login.next.as_str(), "/apps/jupyterlab/lab");
    let session = bench.identity.check(login.secret.expose_secret(), bench.now).unwrap();
    assert_eq!(session, login.session);
    assert_eq!((&*session.user, session.since), ("ann", bench.now.wall));
    for _ in 0..3 {
        let again = bench.redeem(&token).await;
        assert!(
            matches!(again, Redeemed::Used { next } if next.as_str() == "/apps/jupyterlab/lab")
        );
    }
    assert!(matches!(bench.identity.peek(&token, bench.now).await.unwrap(), Link::Used { .. }));
    let events = ["instance.created", "login.created", "login.used"];
    assert_eq!(bench.events().await[..3], events);
    assert_eq!(bench.count("login.reused").await, 3);
    assert!(bench.alive(&login));
}

#[tokio::test]
async fn of_many_at_once_one_gets_in() {
    let bench = Bench::new().await;
    let token = bench.link().await;
    let tries = (0..20).map(|_| bench.redeem(&token));
    let results = futures_util::future::join_all(tries).await;
    let logins = results.iter().filter(|one| matches!(one, Redeemed::Login(_))).count();
    assert_eq!(logins, 1);
    assert_eq!(bench.rows("identity_session").await, 1);
}

#[tokio::test]
async fn a_link_that_is_tried_for_ever_fills_no_disk() {
    let bench = Bench::new().await;
    let token = bench.link().await;
    for _ in 0..40 {
        bench.redeem(&token).await;
    }
    assert_eq!(bench.count("login.reused").await, 10);
}

#[tokio::test]
async fn peeking_changes_nothing() {
    let bench = Bench::new().await;
    let token = bench.link().await;
    for _ in 0..3 {
        let link = bench.identity.peek(&token, bench.now).await.unwrap();
        assert!(matches!(link, Link::Open { .. }));
    }
    assert!(matches!(bench.redeem(&token).await, Redeemed::Login(_)));
}

#[tokio::test]
async fn a_link_expires_after_ten_minutes() {
    let mut bench = Bench::new().await;
    let (token, other) = (bench.link().await, bench.link().await);
    bench.now = start().after(Duration::from_millis(599_999));
    assert!(matches!(bench.redeem(&token).await, Redeemed::Login(_)));
    bench.now = bench.now.after(MS);
    assert!(matches!(bench.identity.peek(&other, bench.now).await.unwrap(), Link::Expired { .. }));
    for _ in 0..3 {
        let late = bench.redeem(&other).await;
        assert!(matches!(late, Redeemed::Expired { next } if next.as_str().ends_with("/lab")));
    }
    assert_eq!(bench.count("login.expired").await, 1);
}

#[tokio::test]
async fn tokens_that_nobody_made() {
    let bench = Bench::new().await;
    let long = "A".repeat(100_000);
    for token in ["", "x", "../..", &"A".repeat(43), &long, "ä"] {
        assert!(matches!(bench.redeem(token).await, Redeemed::Unknown));
        assert_eq!(bench.identity.peek(token, bench.now).await.unwrap(), Link::Unknown);
        assert_eq!(bench.identity.check(token, bench.now), None);
    }
    // A link's token is no session, and a session's secret no link.
    let token = bench.link().await;
    assert_eq!(bench.identity.check(&token, bench.now), None);
    let login = bench.login().await;
    assert!(matches!(bench.redeem(login.secret.expose_secret()).await, Redeemed::Unknown));
}

#[tokio::test]
async fn no_secret_stands_in_the_files() {
    let bench = Bench::new().await;
    let token = bench.link().await;
    let login = bench.login().await;
    bench.store.close().await;
    for entry in std::fs::read_dir(bench.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [token.as_str(), login.secret.expose_secret()] {
            let raw = data_encoding::BASE64URL_NOPAD.decode(secret.as_bytes()).unwrap();
            for needle in [secret.as_bytes(), &raw] {
                assert!(!bytes.windows(needle.len()).any(|window| window == needle));
            }
        }
    }
}

#[tokio::test]
async fn a_new_login_leaves_the_old_session_alone_and_logout_ends_one() {
    let bench = Bench::new().await;
    let (one, two) = (bench.login().await, bench.login().await);
    assert!(bench.alive(&one) && bench.alive(&two));
    assert_ne!(one.session.id, two.session.id);
    assert!(bench.identity.logout(one.session.id).await);
    assert!(!bench.alive(&one) && bench.alive(&two));
    assert!(!bench.identity.logout(one.session.id).await);
    assert!(!bench.identity.touch(one.session.id, bench.now));
    assert_eq!(bench.rows("identity_session").await, 1);
    assert!(bench.identity.logout(two.session.id).await);
    assert!(!bench.alive(&two));
    assert_eq!(bench.rows("identity_session").await, 0);
    assert_eq!(bench.count("session.logout").await, 2);
}

#[tokio::test]
async fn a_logout_holds_although_the_disk_does_not_take_it() {
    let bench = Bench::new().await;
    let login = bench.login().await;
    bench.store.close().await;
    assert!(bench.identity.logout(login.session.id).await);
    assert!(!bench.alive(&login));
    let owed = bench.identity.inner.owed.lock().unwrap().clone();
    assert_eq!(owed, BTreeSet::from([login.session.id]));
    // Without a disk nobody is let in either.
    let refused = bench.identity.create_link("ann", NextPath::root(), bench.now).await;
    assert!(matches!(refused, Err(IdentityError::Store(_))));
}

#[tokio::test]
async fn sessions_slide_and_survive_a_restart() {
    let mut bench = Bench::new().await;
    let (used, idle) = (bench.login().await, bench.login().await);
    bench.now = bench.now.after(11 * HOUR);
    assert!(bench.identity.touch(used.session.id, bench.now));
    let later = bench.now.after(2 * HOUR);
    bench.restart("m", "boot-1", later).await;
    assert!(!bench.instance.cloned);
    assert!(bench.alive(&used) && !bench.alive(&idle));
    bench.identity.tidy(bench.now, false).await;
    assert_eq!(bench.identity.session_count(), 1);
    assert_eq!(bench.rows("identity_session").await, 1);
    assert_eq!(bench.count("session.expired").await, 1);
    // The absolute end counts from the login, over restarts.
    assert!(bench.identity.touch(used.session.id, bench.now));
    while bench.now.since(start()) < 157 * HOUR {
        let later = bench.now.after(10 * HOUR);
        bench.restart("m", "boot-1", later).await;
        assert!(bench.identity.touch(used.session.id, bench.now));
    }
    bench.now = start().after(Duration::from_millis(7 * 24 * 3_600_000 - 1));
    assert!(bench.alive(&used));
    bench.now = start().after(7 * DAY);
    assert!(!bench.alive(&used));
}

#[tokio::test]
async fn stepping_the_clock_neither_ends_nor_prolongs_a_session() {
    let mut bench = Bench::new().await;
    let login = bench.login().await;
    let stepped = |by: Duration, wall: Duration| Moment {
        mono: start().after(by).mono,
        wall: Moment::at_ms(0).after(wall).wall,
    };
    for years in [0, 100] {
        bench.now = stepped(HOUR, DAY * 365 * years);
        assert!(bench.alive(&login));
        bench.now = stepped(12 * HOUR, DAY * 365 * years);
        assert!(!bench.alive(&login));
    }
}

#[tokio::test]
async fn over_a_reboot_the_wall_clock_counts() {
    let reboot = |wall: Moment| Moment { mono: MINUTE, wall: wall.wall };
    for (later, alive) in [(11, true), (13, false)] {
        let mut bench = Bench::new().await;
        let login = bench.login().await;
        bench.restart("m", "boot-2", reboot(start().after(later * HOUR))).await;
        assert_eq!(bench.alive(&login), alive, "{later} h later");
    }
    // The clock was set back by a day: the truth is unknown, so the session has ended.
    let mut bench = Bench::new().await;
    bench.now = start().after(DAY);
    let login = bench.login().await;
    bench.restart("m", "boot-2", reboot(start())).await;
    assert!(!bench.alive(&login));
    bench.identity.tidy(bench.now, false).await;
    assert_eq!(bench.rows("identity_session").await, 0);
}

#[tokio::test]
async fn a_shorter_session_time_holds_at_once() {
    let mut bench = Bench::new().await;
    let login = bench.login().await;
    bench.now = bench.now.after(2 * HOUR);
    assert!(bench.alive(&login));
    bench.identity.set_session(HOUR);
    assert!(!bench.alive(&login));
}

#[tokio::test]
async fn the_oldest_of_too_many_sessions_ends() {
    let bench = Bench::new().await;
    let first = bench.login().await;
    let second = bench.login().await;
    // More at once would be more open links than there may be.
    let logins = stream::iter(0..1023).map(|_| bench.login()).buffer_unordered(16);
    let rest: Vec<Login> = logins.collect().await;
    assert!(!bench.alive(&first) && bench.alive(&second));
    assert!(rest.iter().all(|login| bench.alive(login)));
    assert_eq!(bench.identity.session_count(), 1024);
    assert_eq!(bench.rows("identity_session").await, 1024);
    assert_eq!(bench.count("session.dropped").await, 1);
}

#[tokio::test]
async fn the_oldest_of_too_many_open_links_is_dropped() {
    let mut bench = Bench::new().await;
    let used = bench.link().await;
    assert!(matches!(bench.redeem(&used).await, Redeemed::Login(_)));
    let (first, second) = (bench.link().await, bench.link().await);
    for _ in 2..=tables::OPEN_MAX {
        bench.link().await;
    }
    assert_eq!(bench.count("login.dropped").await, 1);
    assert!(matches!(bench.redeem(&first).await, Redeemed::Expired { .. }));
    assert!(matches!(bench.redeem(&second).await, Redeemed::Login(_)));
    assert!(matches!(bench.redeem(&used).await, Redeemed::Used { .. }));
    // Expired ones take nobody's place.
    bench.now = bench.now.after(10 * MINUTE);
    for _ in 0..tables::OPEN_MAX {
        bench.link().await;
    }
    assert_eq!(bench.count("login.dropped").await, 1);
    assert_eq!(bench.count("login.expired").await, tables::OPEN_MAX as usize - 1);
}

#[tokio::test]
async fn the_sweep_reads_by_index_and_forgets_in_portions() {
    let mut bench = Bench::new().await;
    for _ in 0..150 {
        bench.link().await;
    }
    let plan = |c: &rusqlite::Connection| {
        let mut plan = c.prepare(
            "EXPLAIN QUERY PLAN SELECT * FROM identity_link WHERE state = 'open' ORDER BY id DESC",
        )?;
        let steps = plan.query_map([], |row| row.get::<_, String>(3))?;
        steps.collect::<rusqlite::Result<Vec<_>>>()
    };
    let plan = bench.store.read(plan).await.unwrap();
    assert!(plan.iter().all(|step| step.contains("identity_link_open")), "{plan:?}");
    bench.now = bench.now.after(8 * DAY);
    for left in [86, 22, 0] {
        bench.identity.tidy(bench.now, false).await;
        assert_eq!(bench.rows("identity_link").await, left);
    }
}

#[tokio::test]
async fn old_links_are_told_of_and_forgotten() {
    let mut bench = Bench::new().await;
    let unused = bench.link().await;
    bench.login().await;
    bench.now = bench.now.after(10 * MINUTE);
    bench.identity.tidy(bench.now, false).await;
    bench.identity.tidy(bench.now, false).await;
    assert_eq!(bench.count("login.expired").await, 1);
    assert!(matches!(bench.redeem(&unused).await, Redeemed::Expired { .. }));
    bench.now = bench.now.after(7 * DAY);
    bench.identity.tidy(bench.now, false).await;
    assert_eq!(bench.rows("identity_link").await, 0);
    assert!(matches!(bench.redeem(&unused).await, Redeemed::Unknown));
}

#[tokio::test]
async fn a_copied_disk_takes_a_new_id_and_forgets() {
    let mut bench = Bench::new().await;
    let login = bench.login().await;
    let token = bench.link().await;
    let before = bench.instance.id.clone();
    let now = bench.now;
    bench.restart("m", "boot-1", now).await;
    assert_eq!((&bench.instance.id, bench.instance.cloned), (&before, false));
    assert!(bench.alive(&login));
    bench.restart("", "boot-1", now).await;
    assert_eq!(bench.instance.id, before);
    bench.restart("other", "boot-1", now).await;
    assert!(bench.instance.cloned);
    assert_ne!(bench.instance.id, before);
    assert!(!bench.alive(&login));
    assert!(matches!(bench.redeem(&token).await, Redeemed::Unknown));
    assert_eq!(bench.count("instance.cloned").await, 1);
    let after = bench.instance.id.clone();
    bench.restart("other", "boot-1", now).await;
    assert_eq!((&bench.instance.id, bench.instance.cloned), (&after, false));
}

async fn forbid(store: &Store, what: &'static str) {
    let sql = format!(
        "CREATE TRIGGER refuse BEFORE {what} ON identity_session
         BEGIN SELECT RAISE(ABORT, 'no'); END"
    );
    store.write(move |tx| tx.execute_batch(&sql)).await.unwrap();
}

async fn allow(store: &Store) {
    store.write(|tx| tx.execute_batch("DROP TRIGGER refuse")).await.unwrap();
}

#[tokio::test]
async fn nobody_is_let_in_before_the_login_is_on_disk() {
    let bench = Bench::new().await;
    let token = bench.link().await;
    forbid(&bench.store, "INSERT").await;
    let failed = bench.identity.redeem(&token, bench.now).await;
    assert!(matches!(failed, Err(IdentityError::Store(_))));
    assert_eq!(bench.identity.session_count(), 0);
    assert_eq!(bench.count("login.used").await, 0);
    allow(&bench.store).await;
    assert!(matches!(bench.redeem(&token).await, Redeemed::Login(_)));
}

#[tokio::test]
async fn an_end_is_written_as_soon_as_the_disk_takes_it() {
    let mut bench = Bench::new().await;
    let (one, two) = (bench.login().await, bench.login().await);
    forbid(&bench.store, "DELETE").await;
    assert!(bench.identity.logout(one.session.id).await);
    bench.now = bench.now.after(DAY);
    bench.identity.tidy(bench.now, false).await;
    assert!(!bench.alive(&one) && !bench.alive(&two));
    assert_eq!(bench.rows("identity_session").await, 2);
    allow(&bench.store).await;
    bench.identity.tidy(bench.now, false).await;
    assert_eq!(bench.rows("identity_session").await, 0);
    assert!(bench.identity.owed(|owed| owed.is_empty()));
    assert_eq!((bench.count("session.logout").await, bench.count("session.expired").await), (1, 1));
}

#[tokio::test]
async fn the_part_ends_when_told_and_writes_what_is_left() {
    // With this machine's own id and clock.
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("db"), &[FEATURE]).unwrap();
    let now = crate::os::clock::now();
    let opened = Identity::open(store.clone(), Config { session: HOUR }, now).await;
    let (identity, instance) = opened.unwrap();
    assert!(!instance.cloned);
    let bench = Bench { folder, store, identity, instance, now };
    let login = bench.login().await;
    assert!(bench.identity.touch(login.session.id, now.after(7 * MS)));
    let (tasks, _ended) = Tasks::new();
    bench.identity.spawn(&tasks);
    tasks.cancel();
    tokio::time::timeout(MINUTE, tasks.joined()).await.unwrap();
    let age = |c: &rusqlite::Connection| {
        c.query_row("SELECT age_ms FROM identity_session", [], |row| row.get::<_, i64>(0))
    };
    // The clock has finer steps than a millisecond.
    assert!((6..=8).contains(&bench.store.read(age).await.unwrap()));
}
