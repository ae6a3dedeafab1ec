//! The store against a real file: order, atomicity, restarts, newer files, modes, a hung disk.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;

const COUNTER: Feature = Feature {
    name: "counter",
    migrations: &["CREATE TABLE counter_value (n INTEGER NOT NULL) STRICT"],
};

fn open(path: &Path) -> Store {
    Store::open(path, &[COUNTER]).unwrap()
}

fn event(message: &str) -> NewEvent {
    NewEvent::new("test.event", "subject", message)
}

async fn add(store: &Store, n: i64) -> Result<u64, StoreError> {
    store
        .write(move |tx| {
            tx.execute("INSERT INTO counter_value VALUES (?1)", [n])?;
            tx.event(event("added"))
        })
        .await
}

async fn sum(store: &Store) -> i64 {
    let query = |c: &Connection| c.query_row("SELECT sum(n) FROM counter_value", [], |r| r.get(0));
    store.read(query).await.unwrap()
}

#[tokio::test]
async fn state_and_event_stand_in_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let mut heard = store.subscribe();
    let seq = add(&store, 7).await.unwrap();
    let Some(crate::base::bus::Heard::Item(event)) = heard.next().await else { panic!("no event") };
    assert_eq!((event.seq, event.kind.as_str()), (seq, "test.event"));

    let failed = store
        .write(|tx| {
            tx.execute("INSERT INTO counter_value VALUES (1000)", [])?;
            tx.event(NewEvent::new("never", "", ""))?;
            tx.execute("INSERT INTO no_such_table VALUES (1)", []).map(|_rows| ())
        })
        .await;
    assert!(matches!(failed, Err(StoreError::Write(_))));
    assert_eq!(sum(&store).await, 7);
    let page = store.events_after(0, 10).await.unwrap();
    assert_eq!(page.events.len(), 1);
}

#[tokio::test]
async fn the_sequence_grows_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let first = open(&path);
    let one = add(&first, 1).await.unwrap();
    first.note(event("noted"));
    first.close().await;
    assert!(matches!(add(&first, 1).await, Err(StoreError::Stopped)));
    let second = open(&path);
    let two = add(&second, 2).await.unwrap();
    assert!(two > one + 1);
    let page = second.events_after(one, 10).await.unwrap();
    let messages: Vec<_> = page.events.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(messages, ["noted", "added"]);
    assert_eq!(sum(&second).await, 3);
}

#[tokio::test]
async fn many_writers_each_get_their_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let writes = (0..200).map(|n| add(&store, n));
    let mut seqs = futures_util::future::join_all(writes)
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    seqs.dedup();
    assert_eq!(seqs.len(), 200);
    assert_eq!(sum(&store).await, 199 * 100);
}

#[test]
fn a_file_of_a_newer_release_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let newer = Feature { name: "counter", migrations: &["SELECT 1", "SELECT 1"] };
    drop(Store::open(&path, &[newer]).unwrap());
    let error = Store::open(&path, &[COUNTER]).unwrap_err();
    assert!(matches!(error, StoreError::Newer { feature: "counter", found: 2, known: 1, .. }));
}

#[tokio::test]
async fn a_copy_is_kept_before_tables_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = open(&path);
    add(&store, 5).await.unwrap();
    store.close().await;
    let migrations = [COUNTER.migrations[0], "ALTER TABLE counter_value ADD COLUMN x INTEGER"];
    let newer = Feature { name: "counter", migrations: Vec::from(migrations).leak() };
    let store = Store::open(&path, &[newer]).unwrap();
    assert_eq!(sum(&store).await, 5);
    let copy = folder.path().join("db.before-counter-2");
    assert_eq!(sum(&open(&copy)).await, 5);
    assert_eq!(mode(&copy), 0o600);
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_files_are_the_owners_alone_also_those_of_an_earlier_release() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["db", "db-wal", "db-shm", "db.before-counter-1"].map(|n| folder.path().join(n));
    let store = open(&names[0]);
    add(&store, 1).await.unwrap();
    assert_eq!(names[..3].iter().map(|path| mode(path)).collect::<Vec<_>>(), [0o600; 3]);
    store.close().await;
    std::fs::File::create(&names[3]).unwrap();
    for path in &names {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let store = open(&names[0]);
    add(&store, 1).await.unwrap();
    assert_eq!(names.each_ref().map(|path| mode(path)), [0o600; 4]);
}

/// Keeps the writer busy until the sender is dropped, as a hung disk would.
async fn hang(store: &Store) -> std::sync::mpsc::Sender<()> {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (busy, busy_rx) = oneshot::channel();
    let job = writer::job(
        move |_tx| {
            busy.send(()).unwrap_or_default();
            released.recv().unwrap_or_default();
            Ok(())
        },
        oneshot::channel().0,
    );
    store.writer.send(writer::Command::Write(job)).await.unwrap();
    busy_rx.await.unwrap();
    release
}

#[tokio::test]
async fn a_note_that_found_no_place_is_told_by_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let release = hang(&store).await;
    for _ in 0..limits::COMMANDS + 5 {
        store.note(event("noted"));
    }
    drop(release);
    store.note(event("last"));
    add(&store, 1).await.unwrap();
    let events = store.events_after(0, 1000).await.unwrap().events;
    let lost: u64 = events
        .iter()
        .filter(|event| event.kind == "gap")
        .filter_map(|event| event.data["count"].as_u64())
        .sum();
    let noted = events.iter().filter(|event| event.kind == "test.event").count();
    assert!(lost >= 5, "{events:?}");
    assert_eq!(noted + usize::try_from(lost).unwrap(), limits::COMMANDS + 5 + 2);
}

#[tokio::test]
async fn a_call_ends_in_time_even_if_the_queue_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let _release = hang(&store).await;
    for _ in 0..limits::COMMANDS {
        store.note(event("noted"));
    }
    let limit = limits::STORE_WRITE + Duration::from_secs(5);
    let (written, ()) =
        tokio::time::timeout(limit, async { tokio::join!(add(&store, 1), store.close()) })
            .await
            .unwrap();
    assert!(matches!(written, Err(StoreError::TimedOut)), "{written:?}");
}

#[tokio::test]
async fn no_number_is_given_twice_after_a_commit_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let parent = "CREATE TABLE parent_row (id INTEGER PRIMARY KEY) STRICT;
        CREATE TABLE parent_child (id INTEGER REFERENCES parent_row DEFERRABLE INITIALLY DEFERRED)";
    let features = [Feature { name: "parent", migrations: vec![parent].leak() }];
    let store = Store::open(&path, &features).unwrap();
    // The missing parent is noticed by the commit, not before.
    let failed = store
        .write(|tx| {
            tx.execute("INSERT INTO parent_child VALUES (7)", [])?;
            tx.event(event("never"))
        })
        .await;
    assert!(matches!(failed, Err(StoreError::Commit(_))), "{failed:?}");
    let refused = store.write(|tx| {
        tx.event(event("never"))?;
        Err::<(), _>(rusqlite::Error::QueryReturnedNoRows)
    });
    refused.await.unwrap_err();
    let last = store.last_seq().await.unwrap();
    assert!(last > 0);
    store.close().await;
    let again = Store::open(&path, &features).unwrap();
    assert!(again.last_seq().await.unwrap() >= last);
}

#[tokio::test]
async fn a_removed_file_is_noticed_and_takes_no_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/db");
    std::fs::create_dir(folder.path().join("state")).unwrap();
    let store = open(&path);
    add(&store, 1).await.unwrap();
    store.look();
    store.last_seq().await.unwrap();
    assert_eq!(*store.trouble().borrow(), None);
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    store.look();
    store.last_seq().await.unwrap();
    let trouble = store.trouble().borrow().clone().unwrap();
    assert!(trouble.contains("removed") && trouble.contains("restart"), "{trouble}");
    assert!(matches!(add(&store, 1).await, Err(StoreError::Commit(_))));
}

#[tokio::test]
async fn a_writer_that_waits_for_the_disk_goes_round_and_one_that_ended_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    assert!(store.goes_round().await);
    let release = hang(&store).await;
    assert!(store.goes_round().await);
    drop(release);
    store.close().await;
    assert!(!store.goes_round().await);
}
