//! The store against a real file: order, atomicity, restarts, newer files.

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
}
