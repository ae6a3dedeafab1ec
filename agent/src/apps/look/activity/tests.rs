//! The oracle: what a person would say of each situation.

use super::*;
use crate::attend::report;

const MINUTE: u64 = 60;
/// The clock in all situations, in seconds.
const NOW: u64 = 100 * MINUTE;

fn at(seconds: u64) -> Timestamp {
    Moment::at_ms(seconds * 1000).wall
}

/// One situation; what is not said is not there.
#[derive(Default, Clone)]
struct Situation {
    kind: Option<Kind>,
    kernels: Vec<Kernel>,
    terminals: Vec<Terminal>,
    blind: bool,
    report: Report,
    before: Report,
    last_use: Option<Last>,
}

impl Situation {
    fn verdict(&self) -> (State, Option<u64>) {
        let facts = Facts {
            kind: self.kind.unwrap_or(Kind::JupyterLab),
            now: Moment::at_ms(NOW * 1000),
            kernels: &self.kernels,
            terminals: &self.terminals,
            report: (!self.blind).then_some(&self.report),
            before: (!self.blind).then_some((&self.before, Duration::from_secs(10))),
            last_use: self.last_use.as_ref(),
        };
        let (state, since) = verdict(&sources(&facts));
        let minutes = since.map(|since| NOW - u64::try_from(since.as_second()).unwrap());
        (state, minutes.map(|seconds| seconds / MINUTE))
    }

    fn of(kind: Kind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    fn kernel(mut self, state: &str, minutes_ago: u64, connections: u32) -> Self {
        let last_activity = Some(at(NOW - minutes_ago * MINUTE));
        let (id, state) = ("k".to_owned(), state.to_owned());
        self.kernels.push(Kernel { id, state, last_activity, connections, path: None });
        self
    }

    /// CPU of the kernel between two looks, 10 s apart.
    fn kernel_cpu(mut self, ms: u64) -> Self {
        let kernel = |cpu_ms| report::Kernel { id: "k".into(), pid: 7, cpu_ms, memory_bytes: 0 };
        self.before.kernels.push(kernel(1000));
        self.report.kernels.push(kernel(1000 + ms));
        self
    }

    fn terminal(mut self, minutes_ago: u64, foreground: Option<&str>) -> Self {
        let last_activity = Some(at(NOW - minutes_ago * MINUTE));
        self.terminals.push(Terminal { name: "1".into(), last_activity });
        let foreground = foreground.map(str::to_owned);
        self.report.terminals.push(report::Terminal { pid: 9, foreground });
        self
    }

    fn session(mut self, cpu_ms: u64, below: u32) -> Self {
        let session = |cpu_ms| report::Session { pid: 5, cpu_ms, below, executing: None };
        self.before.sessions.push(session(0));
        self.report.sessions.push(session(cpu_ms));
        self
    }

    fn executing(mut self, executing: bool) -> Self {
        self.report.sessions.iter_mut().for_each(|one| one.executing = Some(executing));
        self
    }

    fn cpu(mut self, ms: u64) -> Self {
        self.report.cpu_ms = ms;
        self
    }

    fn used(mut self, minutes_ago: u64) -> Self {
        let at = Duration::from_secs(NOW - minutes_ago * MINUTE);
        self.last_use = Some(Last { at, what: "a request".into() });
        self
    }

    fn blind(mut self) -> Self {
        self.blind = true;
        self
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table, read from top to bottom")]
#[expect(clippy::large_stack_arrays, reason = "the same table")]
fn what_a_person_would_say() {
    use Kind::{Custom, RStudio};
    use State::{Active, Idle, Unknown};
    let lab = Situation::default;
    let table = [
        ("nothing was ever opened", lab(), (Idle, None)),
        ("an open tab that polls, no kernel", lab(), (Idle, None)),
        ("a page was opened just now", lab().used(0), (Active, None)),
        ("a page was opened an hour ago", lab().used(60), (Idle, Some(60))),
        (
            "a busy kernel that prints nothing, no browser",
            lab().kernel("busy", 90, 0),
            (Active, None),
        ),
        ("a busy kernel with a browser", lab().kernel("busy", 0, 1), (Active, None)),
        ("an idle kernel with an open, silent tab", lab().kernel("idle", 30, 2), (Idle, Some(30))),
        ("an idle kernel, tab closed", lab().kernel("idle", 30, 0), (Idle, Some(30))),
        (
            "two idle kernels: the later one counts",
            lab().kernel("idle", 30, 0).kernel("idle", 20, 0),
            (Idle, Some(20)),
        ),
        (
            "one idle and one busy kernel",
            lab().kernel("idle", 30, 0).kernel("busy", 80, 0),
            (Active, None),
        ),
        (
            "an idle kernel whose thread computes",
            lab().kernel("idle", 30, 0).kernel_cpu(9_700),
            (Active, None),
        ),
        (
            "an idle kernel that keeps its connections",
            lab().kernel("idle", 30, 1).kernel_cpu(60),
            (Idle, Some(30)),
        ),
        (
            "a program in the background of a notebook or terminal",
            lab().kernel("idle", 30, 0).kernel_cpu(60).cpu(9_000),
            (Active, None),
        ),
        ("a kernel that has just been started", lab().kernel("starting", 0, 0), (Active, None)),
        (
            "a kernel of a script that nobody connected to",
            lab().kernel("starting", 40, 0),
            (Idle, Some(40)),
        ),
        (
            "the same, and it computes",
            lab().kernel("starting", 40, 0).kernel_cpu(5_000),
            (Active, None),
        ),
        ("a kernel that hangs while it starts", lab().kernel("starting", 40, 1), (Unknown, None)),
        ("a dead kernel", lab().kernel("dead", 40, 0), (Idle, Some(40))),
        ("a state of a later Jupyter", lab().kernel("dreaming", 40, 0), (Unknown, None)),
        ("a terminal with a shell alone", lab().terminal(25, None), (Idle, Some(25))),
        (
            "a terminal with a silent job in its foreground",
            lab().terminal(90, Some("sleep 86400")),
            (Active, None),
        ),
        ("a terminal, and no attendant", lab().terminal(90, None).blind(), (Unknown, None)),
        ("an idle kernel, and no attendant", lab().kernel("idle", 30, 0).blind(), (Unknown, None)),
        ("RStudio before its first session", Situation::of(RStudio), (Idle, None)),
        (
            "RStudio with an open tab that waits for events",
            Situation::of(RStudio).session(20, 0).used(45),
            (Idle, Some(45)),
        ),
        (
            "RStudio that waits in a command: Sys.sleep(1000)",
            Situation::of(RStudio).session(20, 0).executing(true).used(45),
            (Active, None),
        ),
        (
            "RStudio that says that it executes nothing",
            Situation::of(RStudio).session(20, 0).executing(false).used(45),
            (Idle, Some(45)),
        ),
        (
            "RStudio that says so while a thread of it computes",
            Situation::of(RStudio).session(9_900, 0).executing(false).used(45),
            (Active, None),
        ),
        ("RStudio that computes", Situation::of(RStudio).session(9_900, 0), (Active, None)),
        (
            "RStudio with a job in the background",
            Situation::of(RStudio).session(20, 1).used(45),
            (Active, None),
        ),
        ("RStudio, and no attendant", Situation::of(RStudio).blind(), (Unknown, None)),
        ("a custom app that nobody uses", Situation::of(Custom).cpu(50).used(15), (Idle, Some(15))),
        ("a custom app that computes", Situation::of(Custom).cpu(4_000).used(15), (Active, None)),
        ("a custom app, and no attendant", Situation::of(Custom).blind(), (Unknown, None)),
    ];
    assert!(table.len() >= 20);
    for (what, situation, expected) in table {
        assert_eq!(situation.verdict(), expected, "{what}");
    }
}

#[test]
fn the_evidence_names_what_runs() {
    let situation = Situation::default().terminal(90, Some("make all"));
    let facts = Facts {
        kind: Kind::JupyterLab,
        now: Moment::at_ms(NOW * 1000),
        kernels: &[],
        terminals: &situation.terminals,
        report: Some(&situation.report),
        before: None,
        last_use: None,
    };
    let said: Vec<String> = sources(&facts).into_iter().map(|source| source.evidence).collect();
    assert!(said.iter().any(|text| text == "make all runs in the foreground"), "{said:?}");
}
