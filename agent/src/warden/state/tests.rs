//! Histories of a warden: some by name, and any.

use proptest::prelude::*;

use super::*;
use crate::warden::gauge::Figures;
use station_proto::mount::Pending;

/// A warden with a clock.
struct Desk {
    state: State,
    now: u64,
    effects: Vec<Effect>,
}

impl Desk {
    fn new() -> Self {
        let (state, effects) = State::new(true);
        Self { state, now: 1_000, effects }
    }

    fn step(&mut self, event: Event) -> &[Effect] {
        self.effects = self.state.step(Moment::at_ms(self.now), event);
        &self.effects
    }

    fn after(&mut self, ms: u64, event: Event) -> &[Effect] {
        self.now += ms;
        self.step(event)
    }

    fn tick(&mut self, ms: u64, waiting: u64, done: u64) -> Vec<Effect> {
        self.after(ms, Event::Tick(Work { waiting: Some(waiting), done })).to_vec()
    }

    /// From the preparation to the mount in its place.
    fn comes_up(&mut self, pid: i32, minor: u32, below: &[Option<u32>]) {
        assert_eq!(self.step(Event::Prepared(Ok(0))), [Effect::Start]);
        self.step(Event::Started(Ok(pid)));
        let places = Places { staged: Some(minor), place: below.to_vec() };
        assert_eq!(self.step(Event::Table(places)), [Effect::Look(Spot::Stage)]);
        let good = Event::Answered(Spot::Stage, Answer::Good, Duration::from_millis(1));
        assert_eq!(self.step(good), [Effect::Put { old: !below.is_empty() }]);
        // The kernel may be faster with its table than we are with the news.
        let places = Places { staged: None, place: vec![Some(minor)] };
        if self.now.is_multiple_of(2) {
            assert_eq!(self.step(Event::Table(places.clone())), []);
        }
        assert_eq!(self.step(Event::Put(Ok(Put::First))), [Effect::Measure]);
        assert_eq!(self.step(Event::Table(places)), []);
        assert!(self.state.is_up() && !self.state.covered());
    }

    fn up() -> Self {
        let mut desk = Self::new();
        desk.comes_up(7, 60, &[]);
        desk
    }

    fn figures(&mut self, files: u64) -> Vec<Effect> {
        let pending = Some(Pending { files, ..Pending::default() });
        let at = Duration::from_millis(self.now);
        self.step(Event::Figures(Box::new(Figures { at, pending, ..Figures::default() }))).to_vec()
    }
}

#[test]
fn a_driver_that_dies_is_replaced_at_once() {
    let mut desk = Desk::up();
    let effects = desk.after(5_000, Event::Exited("it was killed".into()));
    assert_eq!(effects, [Effect::Abort(60), Effect::Prepare]);
    desk.now += 80;
    desk.comes_up(8, 61, &[Some(60)]);
    assert_eq!((desk.state.heals, desk.state.generation), (1, 2));
    assert_eq!(desk.state.last_heal, Some(Duration::from_millis(80)));
    assert_eq!(desk.state.last_loss.as_deref(), Some("it was killed"));
}

#[test]
fn one_that_dies_again_and_again_is_given_pauses() {
    let mut desk = Desk::up();
    desk.step(Event::Exited("x".into()));
    let mut pauses = Vec::new();
    for _ in 0..9 {
        assert_eq!(desk.step(Event::Prepared(Ok(0))), [Effect::Start]);
        desk.step(Event::Started(Ok(8)));
        assert_eq!(desk.step(Event::Exited("x".into())), []);
        let since = desk.now;
        while desk.tick(50, 0, 0).is_empty() {}
        pauses.push(desk.now - since);
    }
    assert!(pauses.first().unwrap() <= &600 && pauses.is_sorted(), "{pauses:?}");
    assert!((29_000..=31_000).contains(pauses.last().unwrap()), "{pauses:?}");
}

#[test]
fn one_that_is_killed_again_and_again_while_it_works_is_replaced_at_once() {
    let mut desk = Desk::up();
    for minor in 61..81 {
        let effects = desk.after(500, Event::Exited("killed".into())).to_vec();
        assert_eq!(effects, [Effect::Abort(minor - 1), Effect::Prepare]);
        desk.comes_up(8, minor, &[Some(minor - 1)]);
    }
    assert_eq!(desk.state.heals, 20);
}

#[test]
fn one_that_hangs_is_broken_off_and_one_that_is_slow_is_not() {
    let mut desk = Desk::up();
    assert_eq!(desk.tick(1_000, 0, 1), [Effect::Look(Spot::Place)]);
    for done in 2..40 {
        assert_eq!(desk.tick(1_000, 3, done), [], "it works");
    }
    assert_eq!(desk.tick(1_000, 3, 39), []);
    let ended: Vec<Effect> = (0..6).flat_map(|_| desk.tick(1_000, 3, 39)).collect();
    assert_eq!(ended, [Effect::Kill, Effect::Abort(60)]);
    assert_eq!(desk.step(Event::Exited("killed".into())), [Effect::Prepare]);
    assert!(desk.state.last_loss.as_deref().unwrap().contains("hung"));
}

#[test]
fn a_storage_that_is_away_is_no_reason_for_a_restart() {
    let mut desk = Desk::up();
    desk.step(Event::Reach(Reach::Silent("no route".into())));
    for _ in 0..600 {
        let looks = desk.tick(1_000, 5, 1);
        assert!(looks.iter().all(|effect| *effect == Effect::Look(Spot::Place)), "{looks:?}");
        desk.step(Event::Answered(Spot::Place, Answer::Good, Duration::from_millis(1)));
    }
    assert!(desk.state.is_up() && desk.state.heals == 0);
}

#[test]
fn what_somebody_else_unmounts_comes_back_and_what_covers_it_is_told() {
    let mut desk = Desk::up();
    let covered = Places { staged: None, place: vec![Some(60), None] };
    assert_eq!(desk.step(Event::Table(covered)), []);
    assert!(desk.state.covered());
    assert_eq!(desk.step(Event::Table(Places::default())), [Effect::Kill, Effect::Abort(60)]);
    assert_eq!(desk.step(Event::Exited(String::new())), [Effect::Prepare]);
}

#[test]
fn a_drain_waits_for_the_last_file_and_unmounts_then() {
    let mut desk = Desk::up();
    desk.figures(0);
    desk.now += 10;
    assert_eq!(desk.step(Event::Order(Order::Drain { limit_ms: 60_000 })), [Effect::Measure]);
    assert_eq!(desk.figures(2), []);
    assert_eq!(desk.figures(0), [Effect::Unmount]);
    assert_eq!(desk.step(Event::Unmounted(Unmounted::Busy)), []);
    assert_eq!(desk.figures(0), [], "not without a pause");
    desk.now += 1_000;
    assert_eq!(desk.figures(0), [Effect::Unmount]);
    assert_eq!(desk.step(Event::Unmounted(Unmounted::Done)), []);
    assert_eq!(desk.step(Event::Exited(String::new())), []);
    assert_eq!(desk.state.stage, Stage::Down);
    assert_eq!(desk.step(Event::Order(Order::Mount)), [Effect::Prepare]);
}

#[test]
fn a_driver_that_dies_in_a_drain_is_started_for_what_is_pending() {
    let mut desk = Desk::up();
    desk.step(Event::Order(Order::Stop { limit_ms: 600_000 }));
    desk.figures(3);
    assert_eq!(desk.step(Event::Exited("x".into())), [Effect::Abort(60), Effect::Prepare]);
    desk.comes_up(8, 61, &[Some(60)]);
    desk.now += 5;
    assert_eq!(desk.figures(0), [Effect::Unmount]);
    desk.step(Event::Exited(String::new()));
    assert!(desk.effects.contains(&Effect::Leave));
}

#[test]
fn a_stop_gives_up_in_the_end_and_leaves_what_is_pending_in_the_cache() {
    let mut desk = Desk::up();
    desk.step(Event::Order(Order::Stop { limit_ms: 10_000 }));
    desk.figures(3);
    desk.now += 10_001;
    assert_eq!(desk.figures(3), [Effect::Kill, Effect::Abort(60)]);
    let effects = desk.step(Event::Exited("killed".into()));
    assert_eq!(effects, [Effect::Peel, Effect::Leave]);
}

/// Anything that may come, in any order.
fn anything() -> impl Strategy<Value = Event> {
    let minor = 60_u32..63;
    let place = prop::collection::vec(prop::option::of(minor.clone()), 0..3);
    let order = prop_oneof![
        Just(Order::Drain { limit_ms: 1_000 }),
        Just(Order::Stop { limit_ms: 1_000 }),
        Just(Order::Mount),
        Just(Order::Restart),
    ];
    let unmounted = prop_oneof![
        Just(Unmounted::Done),
        Just(Unmounted::Busy),
        Just(Unmounted::Failed("no".into())),
    ];
    let spot = prop_oneof![Just(Spot::Stage), Just(Spot::Place)];
    let answer = prop_oneof![Just(Answer::Good), Just(Answer::Failed(107))];
    prop_oneof![
        any::<bool>().prop_map(|good| Event::Prepared(if good { Ok(1) } else { Err("no".into()) })),
        (prop::option::of(minor), place)
            .prop_map(|(staged, place)| Event::Table(Places { staged, place })),
        (spot, answer)
            .prop_map(|(spot, answer)| { Event::Answered(spot, answer, Duration::from_millis(1)) }),
        (0_u64..2, 0_u64..3)
            .prop_map(|(waiting, done)| Event::Tick(Work { waiting: Some(waiting), done })),
        any::<bool>().prop_map(|good| {
            Event::Put(if good { Ok(Put::Beneath) } else { Err("no".into()) })
        }),
        (0_u64..3).prop_map(|files| {
            let pending = Some(Pending { files, ..Pending::default() });
            let at = Duration::from_secs(1_000_000);
            Event::Figures(Box::new(Figures { at, pending, ..Figures::default() }))
        }),
        order.prop_map(Event::Order),
        unmounted.prop_map(Event::Unmounted),
        Just(Event::Exited("x".into())),
        any::<bool>().prop_map(Event::Brought),
    ]
}

proptest! {
    /// Whatever comes in whichever order: one driver at a time, nothing is unmounted while something is
    /// pending, and a mount is put into its place only after it has answered.
    #[test]
    fn the_invariants_hold_in_every_history(
        history in prop::collection::vec((anything(), 0_u64..3_000), 1..80)
    ) {
        let (mut state, _) = State::new(true);
        let (mut now, mut lives, mut answered, mut pid) = (1_000, false, false, 100);
        for (event, pause) in history {
            now += pause;
            if matches!(event, Event::Exited(_)) {
                if !lives {
                    continue;
                }
                lives = false;
            }
            answered |= matches!(event, Event::Answered(Spot::Stage, Answer::Good, _));
            let pending = match &event {
                Event::Figures(figures) => figures.pending.clone(),
                _ => state.figures.as_ref().and_then(|figures| figures.pending.clone()),
            };
            let mut effects = state.step(Moment::at_ms(now), event);
            while let Some(effect) = effects.pop() {
                match effect {
                    Effect::Start => {
                        prop_assert!(!lives, "a second driver");
                        pid += 1;
                        (lives, answered) = (true, false);
                        effects.extend(state.step(Moment::at_ms(now), Event::Started(Ok(pid))));
                    }
                    Effect::Unmount => {
                        prop_assert_eq!(pending.as_ref().map(|all| all.files), Some(0));
                        prop_assert!(state.drain.is_some());
                    }
                    Effect::Put { .. } => prop_assert!(answered),
                    Effect::Prepare => prop_assert!(!lives, "saved under a living driver"),
                    Effect::Leave => prop_assert!(!lives),
                    _ => {}
                }
            }
        }
    }
}
