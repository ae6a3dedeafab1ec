//! The transitions as tables, and properties over generated histories.

use proptest::prelude::*;
use station_proto::time::Time;

use super::*;

fn cause(kind: CauseKind) -> Cause {
    Cause {
        kind,
        at: Time(jiff::Timestamp::UNIX_EPOCH),
        message: "exit code 1 after 3 s".into(),
        exit_code: Some(1),
        signal: None,
        last_lines: Vec::new(),
        action: String::new(),
    }
}

/// An app with a clock of its own and what it has asked for so far.
struct Bench {
    app: App,
    now: u64,
    effects: Vec<Effect>,
}

impl Bench {
    fn new(start: StartOn, wanted: Option<bool>) -> Self {
        let remembered = Remembered { wanted, ..Remembered::default() };
        let app = App::new(Moment::at_ms(0), start, remembered);
        Self { app, now: 0, effects: Vec::new() }
    }

    /// A wanted app that runs and answers.
    fn ready() -> Self {
        let mut bench = Self::new(StartOn::Boot, None);
        bench.all([Event::NothingBefore, Event::Found, Event::Launched { pid: 7 }]);
        bench.all([Event::Answered]);
        assert_eq!(bench.app.phase(), AppPhase::Ready);
        bench
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.app.step(Moment::at_ms(self.now), 0.5, event);
        self.effects.extend(effects.clone());
        effects
    }

    fn all<const N: usize>(&mut self, events: [Event; N]) -> Vec<Effect> {
        events.into_iter().flat_map(|event| self.step(event)).collect()
    }

    fn later(&mut self, ms: u64) -> Vec<Effect> {
        self.now += ms;
        self.step(Event::Tick)
    }

    /// What the machine would answer to a start that works, up to the launch.
    fn crash(&mut self) {
        self.all([Event::Found, Event::Launched { pid: 7 }, Event::Answered]);
        self.step(Event::Ended(cause(CauseKind::Exit)));
    }
}

fn launches(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Launch { .. })).count()
}

fn noted(effects: &[Effect], wanted: &str) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Note { kind, .. } if *kind == wanted))
}

#[test]
fn from_rest() {
    use AppPhase::{Starting, Stopped};
    let table = [
        (StartOn::Boot, None, Starting),
        (StartOn::Boot, Some(false), Stopped),
        (StartOn::Boot, Some(true), Starting),
        (StartOn::Demand, None, Stopped),
        (StartOn::Demand, Some(true), Starting),
    ];
    for (start, wanted, phase) in table {
        let mut bench = Bench::new(start, wanted);
        bench.step(Event::NothingBefore);
        assert_eq!(bench.app.phase(), phase, "{start:?} {wanted:?}");
    }
}

#[test]
fn a_request_starts_an_app_once_and_not_against_the_user() {
    let mut bench = Bench::new(StartOn::Demand, None);
    bench.step(Event::NothingBefore);
    let effects = bench.all([Event::Demand, Event::Demand, Event::Found, Event::Demand]);
    assert_eq!(launches(&effects), 1);

    let mut stopped = Bench::new(StartOn::Demand, Some(false));
    stopped.step(Event::NothingBefore);
    assert_eq!(stopped.all([Event::Demand]), []);
}

#[test]
fn one_event_from_ready() {
    let table = [
        (Event::Ended(cause(CauseKind::Exit)), AppPhase::Backoff),
        (Event::Ended(cause(CauseKind::KeeperLost)), AppPhase::Backoff),
        (Event::Stop, AppPhase::Stopping),
        (Event::Restart, AppPhase::Stopping),
        (Event::Down, AppPhase::Stopping),
        (Event::Start, AppPhase::Ready),
        (Event::Demand, AppPhase::Ready),
        (Event::Silent, AppPhase::Ready),
        (Event::Answered, AppPhase::Ready),
        (Event::Found, AppPhase::Ready),
        (Event::Missing("x".into()), AppPhase::Ready),
        (Event::Launched { pid: 9 }, AppPhase::Ready),
    ];
    for (event, phase) in table {
        let mut bench = Bench::ready();
        bench.step(event.clone());
        assert_eq!(bench.app.phase(), phase, "{event:?}");
    }
}

#[test]
fn a_stop_is_remembered_and_a_down_is_not() {
    let mut bench = Bench::ready();
    assert!(bench.step(Event::Stop).contains(&Effect::SaveWanted(Some(false))));
    bench.step(Event::Ended(cause(CauseKind::UserStop)));
    assert_eq!((bench.app.phase(), bench.app.wanted), (AppPhase::Stopped, false));

    let mut bench = Bench::ready();
    let effects = bench.step(Event::Down);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::SaveWanted(_))));
    bench.step(Event::Ended(cause(CauseKind::UserStop)));
    assert_eq!((bench.app.phase(), bench.app.wanted), (AppPhase::Stopped, true));
    assert_eq!(bench.later(600_000), [], "nothing starts again after a down");
    let effects = bench.all([Event::Start, Event::Restart, Event::Demand, Event::Found]);
    assert_eq!(effects, [], "whoever asks");

    let mut bench = Bench::ready();
    bench.all([Event::Down, Event::Start]);
    let effects = bench.all([Event::Ended(cause(CauseKind::UserStop)), Event::Found]);
    assert_eq!((bench.app.phase(), launches(&effects)), (AppPhase::Stopped, 0));
}

#[test]
fn back_in_the_configuration_the_wish_of_the_user_holds() {
    use AppPhase::{Starting, Stopped};
    let table = [
        (StartOn::Boot, None, Starting),
        (StartOn::Boot, Some(false), Stopped),
        (StartOn::Demand, None, Stopped),
        (StartOn::Demand, Some(true), Starting),
    ];
    for (start, said, phase) in table {
        let mut bench = Bench::new(start, said);
        bench.step(Event::Running { generation: 4, pid: 7 });
        bench.all([Event::Left, Event::Configured(start)]);
        assert_eq!(bench.app.phase(), AppPhase::Stopping);
        let effects = bench.all([Event::Ended(cause(CauseKind::UserStop))]);
        assert_eq!(bench.app.phase(), phase, "{start:?} {said:?}");
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::SaveWanted(_))));
    }
}

#[test]
fn another_start_holds_at_once_and_ends_nothing() {
    let mut bench = Bench::new(StartOn::Demand, None);
    bench.step(Event::NothingBefore);
    assert!(bench.step(Event::Configured(StartOn::Boot)).contains(&Effect::Find));
    bench.all([Event::Found, Event::Launched { pid: 7 }, Event::Answered]);
    assert_eq!(bench.step(Event::Configured(StartOn::Demand)), []);
    assert_eq!((bench.app.phase(), bench.app.wanted), (AppPhase::Ready, true));

    let mut stopped = Bench::new(StartOn::Demand, Some(false));
    stopped.step(Event::NothingBefore);
    assert_eq!(stopped.step(Event::Configured(StartOn::Boot)), []);
}

#[test]
fn what_left_the_configuration_is_stopped_with_that_reason() {
    let mut bench = Bench::new(StartOn::Demand, None);
    bench.step(Event::Left);
    let effects = bench.step(Event::Running { generation: 4, pid: 7 });
    assert!(effects.contains(&Effect::Stop { by: StopBy::Left }), "{effects:?}");
}

#[test]
fn a_stop_during_the_launch_is_done_after_it() {
    let mut bench = Bench::new(StartOn::Boot, None);
    bench.all([Event::NothingBefore, Event::Found]);
    assert_eq!(bench.step(Event::Stop), [Effect::SaveWanted(Some(false))]);
    let effects = bench.step(Event::Launched { pid: 7 });
    assert!(effects.contains(&Effect::Stop { by: StopBy::User }));
    let effects = bench.step(Event::Ended(cause(CauseKind::UserStop)));
    assert_eq!((bench.app.phase(), launches(&effects)), (AppPhase::Stopped, 0));
}

#[test]
fn a_start_during_a_stop_follows_it() {
    let mut bench = Bench::ready();
    bench.all([Event::Stop, Event::Start]);
    assert_eq!(bench.app.phase(), AppPhase::Stopping);
    let effects = bench.all([Event::Ended(cause(CauseKind::UserStop)), Event::Found]);
    assert_eq!(effects.last(), Some(&Effect::Launch { generation: 2 }));
}

#[test]
fn the_delay_doubles_and_six_ends_open_the_breaker() {
    let mut bench = Bench::new(StartOn::Boot, None);
    bench.step(Event::NothingBefore);
    for delay in [500, 1_000, 2_000, 4_000, 8_000] {
        bench.crash();
        assert_eq!(bench.app.phase(), AppPhase::Backoff);
        assert!(!bench.later(delay - 1).contains(&Effect::Find), "{delay}");
        assert!(bench.later(1).contains(&Effect::Find), "{delay}");
    }
    bench.crash();
    assert_eq!(bench.app.phase(), AppPhase::Failed);
    assert!(bench.app.message.contains("6 times"), "{}", bench.app.message);
    assert!(!bench.later(299_999).contains(&Effect::Find));
    assert!(bench.later(1).contains(&Effect::Find));
}

#[test]
fn a_user_does_not_wait_for_the_breaker() {
    let mut bench = Bench::new(StartOn::Boot, None);
    bench.step(Event::NothingBefore);
    for _ in 0..6 {
        bench.later(61_000);
        bench.crash();
    }
    assert_eq!(bench.app.phase(), AppPhase::Failed);
    assert!(bench.step(Event::Start).contains(&Effect::Find));
}

#[test]
fn five_sound_minutes_forget_the_failures() {
    let mut bench = Bench::new(StartOn::Boot, None);
    bench.step(Event::NothingBefore);
    bench.crash();
    bench.later(500);
    bench.all([Event::Found, Event::Launched { pid: 8 }, Event::Answered]);
    bench.later(299_999);
    assert_eq!(bench.app.failures, 1);
    bench.later(1);
    assert_eq!(bench.app.failures, 0);
}

#[test]
fn a_start_without_an_answer_is_ended_and_tried_again() {
    let mut bench = Bench::new(StartOn::Boot, None);
    bench.all([Event::NothingBefore, Event::Found, Event::Launched { pid: 7 }]);
    bench.all([Event::Silent]);
    let effects = bench.later(60_000);
    assert!(effects.contains(&Effect::Stop { by: StopBy::NotReady }));
    bench.step(Event::Ended(cause(CauseKind::NotReady)));
    assert_eq!(bench.app.phase(), AppPhase::Backoff);
}

#[test]
fn a_silent_app_is_degraded_and_never_restarted() {
    let mut bench = Bench::ready();
    for _ in 0..50 {
        bench.later(10_000);
        bench.step(Event::Silent);
    }
    assert_eq!(bench.app.phase(), AppPhase::Degraded);
    assert!(noted(&bench.effects, "app.degraded"));
    assert!(!bench.effects.iter().any(|effect| matches!(effect, Effect::Stop { .. })));
    bench.step(Event::Answered);
    assert_eq!(bench.app.phase(), AppPhase::Ready);
}

#[test]
fn what_is_found_running_is_kept_with_its_generation() {
    let remembered = Remembered { generation: 4, ..Remembered::default() };
    let app = App::new(Moment::at_ms(0), StartOn::Boot, remembered);
    let mut bench = Bench { app, now: 0, effects: Vec::new() };
    bench.step(Event::Running { generation: 4, pid: 7 });
    assert_eq!(bench.later(0), [Effect::Probe { generation: 4 }]);
    bench.step(Event::Answered);
    assert_eq!((bench.app.phase(), bench.app.generation), (AppPhase::Ready, 4));
    assert_eq!(launches(&bench.effects), 0);
    assert!(noted(&bench.effects, "app.adopted"));
}

#[test]
fn what_is_found_running_against_the_users_wish_is_stopped() {
    let mut bench = Bench::new(StartOn::Boot, Some(false));
    let effects = bench.step(Event::Running { generation: 4, pid: 7 });
    assert!(effects.contains(&Effect::Stop { by: StopBy::User }));
}

#[test]
fn a_missing_program_is_said_once_and_looked_for_again() {
    let mut bench = Bench::new(StartOn::Boot, None);
    bench.all([Event::NothingBefore, Event::Missing("not there".into())]);
    assert_eq!(bench.app.phase(), AppPhase::Unavailable);
    let effects = bench.later(30_000);
    assert_eq!(effects, [Effect::Find]);
    assert_eq!(bench.app.phase(), AppPhase::Unavailable, "it does not flicker");
    assert_eq!(bench.step(Event::Missing("not there".into())), []);
    bench.later(30_000);
    assert_eq!(launches(&bench.step(Event::Found)), 1);
    assert_eq!(bench.app.generation, 1, "looking is not starting");
}

#[test]
fn a_stop_that_hangs_is_forced() {
    let mut bench = Bench::ready();
    bench.step(Event::Stop);
    assert!(!bench.later(39_999).contains(&Effect::ForceEnd));
    assert!(bench.later(1).contains(&Effect::ForceEnd));
    assert!(bench.later(10_000).contains(&Effect::ForceEnd));
}

/// What may happen in a history; the answers of the machine are played by [`play`].
fn any_event() -> impl Strategy<Value = (u64, Event)> {
    let event = prop_oneof![
        Just(Event::Start),
        Just(Event::Stop),
        Just(Event::Restart),
        Just(Event::Demand),
        Just(Event::Left),
        Just(Event::Configured(StartOn::Boot)),
        Just(Event::Configured(StartOn::Demand)),
        Just(Event::Found),
        Just(Event::Missing("m".into())),
        Just(Event::Answered),
        Just(Event::Silent),
        Just(Event::Tick),
        Just(Event::Launched { pid: 7 }),
        Just(Event::LaunchFailed(cause(CauseKind::StartFailed))),
        Just(Event::Ended(cause(CauseKind::Exit))),
        Just(Event::Ended(cause(CauseKind::UserStop))),
    ];
    // After it nothing starts any more, so it comes seldom.
    let event = prop_oneof![100 => event, 1 => Just(Event::Down)];
    let pause = prop_oneof![0_u64..2_000, 0_u64..120_000];
    (pause, event)
}

proptest! {
    #[test]
    fn one_instance_eight_starts_a_minute_and_every_end_recorded(
        history in prop::collection::vec(any_event(), 1..200),
    ) {
        let mut bench = Bench::new(StartOn::Boot, None);
        bench.step(Event::NothingBefore);
        // What the machine has: a launch under way, a running unit.
        let (mut launching, mut running) = (false, false);
        let (mut starts, mut ends, mut recorded) = (Vec::new(), 0, 0);
        for (pause, event) in history {
            bench.now += pause;
            // The machine says only what can be true.
            let possible = match event {
                Event::Launched { .. } | Event::LaunchFailed(_) => launching,
                Event::Ended(_) => running,
                _ => true,
            };
            if !possible {
                continue;
            }
            match event {
                Event::Launched { .. } => (launching, running) = (false, true),
                Event::LaunchFailed(_) => { launching = false; ends += 1; }
                Event::Ended(_) => { running = false; ends += 1; }
                _ => {}
            }
            for effect in bench.step(event) {
                match effect {
                    Effect::Launch { generation } => {
                        prop_assert!(!launching && !running, "a second instance");
                        prop_assert_eq!(generation, bench.app.generation);
                        launching = true;
                        starts.push(bench.now);
                        let recent = starts.iter().filter(|at| bench.now - **at < 60_000).count();
                        prop_assert!(recent <= 8, "{} starts within a minute", recent);
                    }
                    Effect::SaveEnd(_) => recorded += 1,
                    Effect::Stop { .. } => prop_assert!(running),
                    _ => {}
                }
            }
            prop_assert_eq!(recorded, ends);
            prop_assert_eq!(bench.app.occupied(), launching || running);
        }
    }
}

#[test]
fn an_idle_stop_that_an_earlier_stationd_has_asked_for_is_no_crash() {
    let mut bench = Bench::ready();
    let effects = bench.step(Event::Ended(cause(CauseKind::IdleStop)));
    assert_eq!((bench.app.phase(), launches(&effects)), (AppPhase::Stopped, 0));
    assert_eq!(bench.app.failures, 0);
    assert!(bench.app.waits_for_demand(), "the next request starts it");
}
