//! The decisions as a table, and the words of the driver's log.

use super::*;

const BORN: i128 = 1_000 * SECOND;

fn local(modified: i128) -> Local {
    Local { size: 4, modified, born: Some(BORN) }
}

#[test]
fn a_copy_is_older_than_itself_to_the_second() {
    assert!(local(900 * SECOND).is_copy() && local(BORN).is_copy());
    assert!(!local(900 * SECOND + 1).is_copy(), "somebody wrote to it");
    assert!(!local(1_001 * SECOND).is_copy(), "later than the copy");
    assert!(!Local { born: None, ..local(900 * SECOND) }.is_copy(), "nobody knows");
}

#[test]
fn nothing_of_the_share_is_overwritten_that_came_after_the_copy() {
    let (before, after) = (BORN - 1, BORN + 1);
    let of = |written, share| verdict(&local(BORN + 5), written, share);
    let other = |modified| Share::Other { modified };
    assert_eq!(of(Written::Closed, Share::None), Verdict::Replay);
    assert_eq!(of(Written::Closed, other(before)), Verdict::Replay);
    assert_eq!(of(Written::Closed, other(after)), Verdict::Beside);
    assert_eq!(of(Written::Closed, Share::Fuller), Verdict::Beside);
    for share in [Share::None, other(before), other(after)] {
        assert_eq!(of(Written::Open, share), Verdict::Beside, "{share:?}");
    }
    for written in [Written::Open, Written::Closed] {
        assert_eq!(of(written, Share::Same), Verdict::Drop);
    }
    assert_eq!(of(Written::Open, Share::Fuller), Verdict::Drop, "a download");
    let unborn = Local { born: None, ..local(BORN + 5) };
    assert_eq!(verdict(&unborn, Written::Closed, other(before)), Verdict::Beside);
}

#[test]
fn the_log_names_the_file_that_was_not_uploaded() {
    let line = "Sat Nov 28 13:33:21.006 UTC 2026 : blobfuse2[7249] : [/mnt] LOG_ERR [file_cache.go (1080)]: \
                FileCache::releaseFileInternal : failed to flush file a b/n 1.txt";
    assert_eq!(failed_upload(line), Some("a b/n 1.txt"));
    let line = "x LOG_ERR [file_cache.go (1371)]: FileCache::FlushFile : n1 upload failed [Put \"http://h/f\"]";
    assert_eq!(failed_upload(line), Some("n1"));
    assert_eq!(
        failed_upload("FileCache::FlushFile : error [missing fd in handle object] n1"),
        None
    );
}
