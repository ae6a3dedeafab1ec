//! Tokens against a real store: in time, over restarts and reboots, and ended for good.

use crate::identity::tests::{Bench, DAY, HOUR, MINUTE, start};

use super::*;

fn wish(app: &str, life: Duration) -> TokenWish {
    TokenWish { user: "ann".into(), scope: Scope::App(app.into()), note: "laptop".into(), life }
}

async fn mint(bench: &Bench, life: Duration) -> (u64, String) {
    let made = bench.identity.mint_token(wish("lab", life), bench.now).await.unwrap();
    (made.facts.id, made.secret.expose_secret().to_owned())
}

fn holds(bench: &Bench, text: &str) -> bool {
    bench.identity.check_token(text, bench.now).is_some()
}

#[tokio::test]
async fn a_token_is_for_one_app_and_shown_once() {
    let bench = Bench::new().await;
    let made = bench.identity.mint_token(wish("lab", HOUR), bench.now).await.unwrap();
    let text = made.secret.expose_secret();
    assert_eq!((text.len(), text.starts_with(TOKEN_PREFIX)), (47, true));
    let token = bench.identity.check_token(text, bench.now).unwrap();
    assert_eq!((token.scope.app(), &*token.user, token.id), (Some("lab"), "ann", made.facts.id));
    let listed = bench.identity.tokens(bench.now);
    assert_eq!(listed, [made.facts]);
    assert!(!format!("{listed:?} {token:?}").contains(&text[4..]));
    let expires = listed[0].expires.as_millisecond() - listed[0].created.as_millisecond();
    assert_eq!((expires, listed[0].used), (3_600_000, None));
    assert!(bench.identity.touch_token(token.id, bench.now));
    assert_eq!(bench.identity.tokens(bench.now)[0].used, Some(bench.now.wall));
    assert_eq!(bench.count("token.created").await, 1);
    for wrong in ["", "stn_", &text[4..], &text[..46], &format!("stn_{}", "A".repeat(43))] {
        assert!(!holds(&bench, wrong), "{wrong}");
    }
    // A token is no session and no link, and they are no tokens.
    assert_eq!(bench.identity.check(&text[4..], bench.now), None);
    let login = bench.login().await;
    let session = login.secret.expose_secret();
    assert!(!holds(&bench, &format!("stn_{session}")));
    assert!(bench.identity.check_app_cookie(session, bench.now).is_none());
}

#[tokio::test]
async fn the_cookie_stands_for_the_token_and_is_another_secret() {
    let mut bench = Bench::new().await;
    let (id, text) = mint(&bench, HOUR).await;
    bench.now = bench.now.after(59 * MINUTE);
    let (cookie, left) = bench.identity.app_cookie(&text, bench.now).unwrap();
    let cookie = cookie.expose_secret();
    assert_eq!(left, MINUTE);
    assert!(!text.contains(cookie));
    assert_eq!(bench.identity.check_app_cookie(cookie, bench.now).unwrap().id, id);
    assert!(!holds(&bench, &format!("stn_{cookie}")));
    assert!(bench.identity.check_app_cookie(&text[4..], bench.now).is_none());
    let now = bench.now;
    bench.restart("m", "boot-1", now).await;
    assert!(bench.identity.check_app_cookie(cookie, bench.now).is_some());
    assert!(bench.identity.revoke_token(id, bench.now).await.unwrap());
    assert!(bench.identity.check_app_cookie(cookie, bench.now).is_none());
    assert!(bench.identity.app_cookie(&text, bench.now).is_none());
}

#[tokio::test]
async fn a_revoked_token_has_ended_at_once_and_for_ever() {
    let mut bench = Bench::new().await;
    let ((id, text), (_, other)) = (mint(&bench, HOUR).await, mint(&bench, HOUR).await);
    assert!(bench.identity.token_alive(id, bench.now));
    assert!(bench.identity.revoke_token(id, bench.now).await.unwrap());
    assert!(!holds(&bench, &text) && holds(&bench, &other));
    assert!(!bench.identity.token_alive(id, bench.now));
    assert!(!bench.identity.touch_token(id, bench.now));
    assert!(!bench.identity.revoke_token(id, bench.now).await.unwrap());
    let now = bench.now;
    bench.restart("m", "boot-1", now).await;
    assert!(!holds(&bench, &text) && holds(&bench, &other));
    assert_eq!(bench.rows("identity_token").await, 1);
    assert_eq!(bench.count("token.revoked").await, 1);
}

#[tokio::test]
async fn a_revocation_holds_although_the_disk_does_not_take_it() {
    let bench = Bench::new().await;
    let ((id, text), (second, other)) = (mint(&bench, HOUR).await, mint(&bench, HOUR).await);
    let refuse = "CREATE TRIGGER refuse BEFORE DELETE ON identity_token
                  BEGIN SELECT RAISE(ABORT, 'no'); END";
    bench.store.write(move |tx| tx.execute_batch(refuse)).await.unwrap();
    assert!(bench.identity.revoke_token(id, bench.now).await.is_err());
    assert!(!holds(&bench, &text));
    // One that is owed does not keep the next from ending.
    assert!(bench.identity.revoke_token(second, bench.now).await.is_err());
    assert!(!holds(&bench, &other));
    assert_eq!((bench.rows("identity_token").await, bench.count("token.revoked").await), (2, 0));
    bench.store.write(|tx| tx.execute_batch("DROP TRIGGER refuse")).await.unwrap();
    bench.identity.tidy(bench.now, false).await;
    assert_eq!((bench.rows("identity_token").await, bench.count("token.revoked").await), (0, 2));
}

#[tokio::test]
async fn a_token_expires_over_restarts_and_use_does_not_prolong_it() {
    let mut bench = Bench::new().await;
    let (id, text) = mint(&bench, 5 * HOUR).await;
    for hour in 1..5 {
        assert!(bench.identity.touch_token(id, bench.now));
        let later = start().after(hour * HOUR);
        bench.restart("m", "boot-1", later).await;
        assert!(holds(&bench, &text), "{hour}");
    }
    let used = bench.identity.tokens(bench.now)[0].used.unwrap();
    assert_eq!(used, start().after(3 * HOUR).wall);
    bench.now = start().after(Duration::from_millis(5 * 3_600_000 - 1));
    assert!(holds(&bench, &text));
    bench.now = start().after(5 * HOUR);
    assert!(!holds(&bench, &text) && bench.identity.tokens(bench.now).is_empty());
    bench.identity.tidy(bench.now, false).await;
    assert_eq!((bench.rows("identity_token").await, bench.count("token.expired").await), (0, 1));
}

#[tokio::test]
async fn stepping_the_clock_does_not_prolong_a_token() {
    let mut bench = Bench::new().await;
    let (_, text) = mint(&bench, HOUR).await;
    let stepped = |by: Duration, wall: Moment| Moment { mono: start().after(by).mono, ..wall };
    bench.now = stepped(59 * MINUTE, start().after(DAY));
    assert!(holds(&bench, &text));
    bench.now = stepped(HOUR, Moment::at_ms(0));
    assert!(!holds(&bench, &text));
    // Over a reboot the wall clock counts, and a point that lies ahead is past everything.
    for (wall, alive) in [
        (start().after(59 * MINUTE), true),
        (start().after(HOUR), false),
        (Moment::at_ms(1_699_900_000_000), false),
    ] {
        let mut bench = Bench::new().await;
        let (_, text) = mint(&bench, HOUR).await;
        bench.restart("m", "boot-2", Moment { mono: MINUTE, ..wall }).await;
        assert_eq!(holds(&bench, &text), alive, "{wall:?}");
    }
}

#[tokio::test]
async fn there_are_so_many_tokens_and_no_more() {
    let mut bench = Bench::new().await;
    mint(&bench, MINUTE).await;
    for _ in 1..limits::TOKENS {
        mint(&bench, HOUR).await;
    }
    let refused = bench.identity.mint_token(wish("lab", HOUR), bench.now).await.unwrap_err();
    assert!(matches!(refused, MintError::TooMany));
    assert!(refused.to_string().contains("stationctl token revoke"), "{refused}");
    assert_eq!(bench.count("token.created").await, limits::TOKENS);
    // An expired one takes nobody's place.
    bench.now = bench.now.after(MINUTE);
    mint(&bench, HOUR).await;
    assert_eq!(bench.count("token.expired").await, 1);
}

#[tokio::test]
async fn odd_wishes_are_refused_with_the_bounds() {
    let bench = Bench::new().await;
    let seconds = Duration::from_secs;
    for (life, fits) in [(59, false), (60, true), (7_776_000, true), (7_776_001, false)] {
        let made = bench.identity.mint_token(wish("lab", seconds(life)), bench.now).await;
        assert_eq!(made.is_ok(), fits, "{life}");
    }
    for note in ["a\nb", &"x".repeat(limits::TOKEN_NOTE + 1)] {
        let wish = TokenWish { note: note.into(), ..wish("lab", HOUR) };
        let made = bench.identity.mint_token(wish, bench.now).await;
        assert!(matches!(made, Err(MintError::Note)), "{note:?}");
    }
}

#[tokio::test]
async fn no_token_stands_in_the_files() {
    let bench = Bench::new().await;
    let (_, text) = mint(&bench, HOUR).await;
    let (cookie, _left) = bench.identity.app_cookie(&text, bench.now).unwrap();
    bench.store.close().await;
    for entry in std::fs::read_dir(bench.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [&text[4..], cookie.expose_secret()] {
            let raw = data_encoding::BASE64URL_NOPAD.decode(secret.as_bytes()).unwrap();
            for needle in [secret.as_bytes(), &raw] {
                assert!(!bytes.windows(needle.len()).any(|window| window == needle));
            }
        }
    }
}

#[tokio::test]
async fn a_copied_disk_forgets_the_tokens() {
    let mut bench = Bench::new().await;
    let (_, text) = mint(&bench, HOUR).await;
    let now = bench.now;
    bench.restart("other", "boot-1", now).await;
    assert!(bench.instance.cloned && !holds(&bench, &text));
}
