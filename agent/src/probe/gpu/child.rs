//! The child: opens the GPUs, makes the rounds, and says what it finds.

use std::ffi::OsString;
use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use station_proto::gpu::{FailedCall, Gpu};

use super::calls::activity::Activity;
use super::calls::{self, Pace};
use super::card::{Card, ask, pci_address, text_of};
use super::events::Events;
use super::library::{Failure, Library};
use super::watch::Watch;
use super::{Ask, Code, Event, Reading, Round, Said, codes};
use crate::os::{clock, machine};

/// Where the driver lists the GPUs that it has taken.
const LISTED: &str = "/proc/driver/nvidia/gpus";
/// More GPUs than this are not looked at.
const GPUS: u32 = 64;

/// Says one thing a line; when nobody listens any more, the process ends.
#[derive(Clone, Default)]
struct Voice(Arc<Mutex<()>>);

impl Voice {
    fn say(&self, said: &Said) {
        let Ok(mut line) = serde_json::to_vec(said) else { return };
        line.push(b'\n');
        let whole = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
        drop(whole);
    }
}

/// `stationd probe gpu ASK`, with what to ask as JSON.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ask = arguments.into_iter().next().and_then(|word| word.into_string().ok());
    let Some(ask) = ask.and_then(|text| serde_json::from_str::<Ask>(&text).ok()) else {
        drop(writeln!(io::stderr(), "usage: stationd probe gpu ASK, as stationd writes it"));
        return ExitCode::from(2);
    };
    let (voice, watch) = (Voice::default(), Watch::default());
    let commands = listen(&voice, &watch);
    let (looker, says) = (watch.clone(), voice.clone());
    std::thread::spawn(move || looker.look(|said| says.say(&said)));
    watch.busy(true);
    match Library::start(&watch, ask.skip.is_empty()) {
        Ok(library) => {
            // It is never shut down: that may hang as any other call.
            let library: &'static Library = Box::leak(Box::new(library));
            rounds(library, &ask, &(voice, watch.clone()), &commands);
        }
        Err(Failure { call, code, why }) => {
            voice.say(&Said::Failed { call: call.to_owned(), code, why });
        }
    }
    watch.end();
    ExitCode::SUCCESS
}

/// Hears what whoever asked has to say, and ends with it, even while a call does not return.
#[expect(clippy::exit, reason = "a call that does not return holds up every other way to end")]
fn listen(voice: &Voice, watch: &Watch) -> Receiver<()> {
    let (tell, commands) = channel();
    let (voice, watch) = (voice.clone(), watch.clone());
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            match line.as_deref() {
                Ok("latency") => voice.say(&Said::Latency(watch.latencies())),
                // A round now.
                Ok("round") => drop(tell.send(())),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        std::process::exit(0);
    });
    commands
}

/// A GPU that is looked at round by round.
struct Watched<'l> {
    card: Result<Card<'l>, Code>,
    pci: String,
    gpu: Gpu,
    /// Where it has counters of its own parts, and could be asked for them.
    activity: Option<Activity>,
    /// Calls that this GPU has no answer for; asked again with the slow ones.
    absent: Vec<&'static str>,
}

fn rounds(
    library: &'static Library,
    ask: &Ask,
    (voice, watch): &(Voice, Watch),
    commands: &Receiver<()>,
) {
    voice.say(&Said::Started(library.versions(watch)));
    let mut all = open(library, ask, watch);
    follow_events(&all, voice);
    for round in 0.. {
        watch.busy(true);
        let started = clock::since_boot();
        let listed = library.count(watch).ok();
        let gpus = all.iter_mut().map(|one| look(one, round, watch)).collect();
        let took = clock::since_boot().saturating_sub(started);
        watch.busy(false);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        voice.say(&Said::Round(Round { listed, gpus, took_us }));
        match commands.recv_timeout(ask.every) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Opens each GPU that is not to be left alone; one that cannot be opened is listed with the reason.
fn open<'l>(library: &'l Library, ask: &Ask, watch: &Watch) -> Vec<Watched<'l>> {
    let watched = |card, pci: String| {
        let mut gpu = Gpu::default();
        gpu.summary.pci.clone_from(&pci);
        let card: Result<Card<'l>, Code> = card;
        let activity = card.ok().and_then(|card| Activity::new(card, &pci, watch).ok());
        Watched { card, pci, gpu, activity, absent: Vec::new() }
    };
    let mut places = listed();
    if places.is_empty() {
        let count = library.count(watch).unwrap_or(0).min(GPUS);
        let by_number = (0..count).map(|index| {
            let card = library.open_index(watch, index);
            let pci = card.and_then(place).unwrap_or_else(|_code| format!("index {index}"));
            watched(card, pci)
        });
        return by_number.filter(|one| !ask.skip.contains(&one.pci)).collect();
    }
    places.retain(|pci| !ask.skip.contains(pci));
    places.into_iter().map(|pci| watched(library.open(watch, &pci), pci)).collect()
}

/// Places on the bus, sorted.
fn listed() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(machine::path(LISTED)) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut places: Vec<String> = names.map(|name| pci_address(&name)).collect();
    places.sort();
    places
}

fn place(card: Card<'_>) -> Result<String, Code> {
    use nvml_wrapper_sys::bindings::nvmlPciInfo_t;
    let found = ask!(card, nvmlDeviceGetPciInfo_v3 => nvmlPciInfo_t)?;
    let bytes = found.busId.map(|byte| u8::from_ne_bytes(byte.to_ne_bytes()));
    text_of(&bytes).map(|text| pci_address(&text))
}

/// Makes the calls whose turn it is.
fn look(one: &mut Watched<'_>, round: u64, watch: &Watch) -> Reading {
    let card = match one.card {
        Ok(card) => card,
        Err(code) => return Reading { gpu: one.gpu.clone(), closed: Some(code) },
    };
    let slow = Pace::Slow.is_due(round);
    let mut failed = Vec::new();
    for call in calls::all() {
        let again = slow && one.absent.contains(&call.name);
        let missing_once = call.pace == Pace::Once && slow && failed_before(&one.gpu, call.name);
        if !(call.pace.is_due(round) || again || missing_once) {
            if failed_before(&one.gpu, call.name) {
                failed
                    .extend(one.gpu.failed_calls.iter().find(|old| old.call == call.name).cloned());
            }
            continue;
        }
        if one.absent.contains(&call.name) && !slow {
            continue;
        }
        one.absent.retain(|name| *name != call.name);
        let gpu = &mut one.gpu;
        match watch.call(call.name, Some(&one.pci), || (call.run)(card, gpu)) {
            Ok(()) => {}
            Err(code) if codes::is_absence(code) => one.absent.push(call.name),
            Err(code) => failed.push(FailedCall { call: call.name.to_owned(), code }),
        }
    }
    if slow && let Some(activity) = &mut one.activity {
        let failure = activity.step(card, &mut one.gpu, watch).err();
        let failure = failure.filter(|code| !codes::is_absence(*code));
        failed.extend(failure.map(|code| FailedCall { call: "nvmlGpm".to_owned(), code }));
    }
    one.gpu.failed_calls = failed;
    Reading { gpu: one.gpu.clone(), closed: None }
}

/// Whether the call failed when it was made last.
fn failed_before(gpu: &Gpu, name: &str) -> bool {
    gpu.failed_calls.iter().any(|failed| failed.call == name)
}

/// Passes on what the driver reports, on a thread of its own: waiting is what it does.
fn follow_events(all: &[Watched<'static>], voice: &Voice) {
    let cards: Vec<(Card<'static>, String)> =
        all.iter().filter_map(|one| Some((one.card.ok()?, one.pci.clone()))).collect();
    let Some(events) = Events::register(&cards) else { return };
    let voice = voice.clone();
    std::thread::spawn(move || {
        let mut failures = 0_u32;
        // The process ends with whoever listens.
        while failures < u32::MAX {
            match events.next() {
                Ok(Some(event)) => voice.say(&Said::Event(event)),
                Ok(None) => failures = 0,
                // A GPU that is gone ends the wait at once, again and again.
                Err(code) => {
                    if failures == 0 && code == codes::GPU_IS_LOST {
                        let what = super::EventKind::Unavailable;
                        voice.say(&Said::Event(Event { pci: None, what }));
                    }
                    failures += 1;
                    std::thread::park_timeout(Duration::from_secs(u64::from(failures.min(60))));
                }
            }
        }
    });
}
