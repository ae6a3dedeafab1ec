//! This process's own threads as `/proc/self/task` shows them: what each of them waits for.

use std::fs;
use std::path::Path;

/// One thread; what cannot be read is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thread {
    pub id: i32,
    pub name: String,
    /// `R`, `S`, `D` ... as in `proc_pid_stat(5)`.
    pub state: String,
    /// Where in the kernel it waits.
    pub waits_in: String,
    /// The number of the system call and its arguments.
    pub call: String,
}

/// Every thread, by number.
pub fn own() -> Vec<Thread> {
    let folder = Path::new("/proc/self/task");
    let mut ids = super::all_in(folder);
    ids.sort_unstable();
    ids.into_iter().map(|id| thread(id, &folder.join(id.to_string()))).collect()
}

fn thread(id: i32, folder: &Path) -> Thread {
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let line = |file: &str| read(file).trim().to_owned();
    let state = super::Stat::parse(&read("stat")).map(|stat| stat.state.to_string());
    Thread {
        id,
        name: line("comm"),
        state: state.unwrap_or_default(),
        waits_in: line("wchan"),
        call: line("syscall"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_found_by_its_name_with_what_it_does() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = std::sync::mpsc::channel();
        let waiting = std::thread::Builder::new().name("waits-here".to_owned());
        let waiting = waiting.spawn(move || {
            begun.send(()).unwrap();
            stopped.recv().unwrap_err();
        });
        begins.recv().unwrap();
        let found = own().into_iter().find(|thread| thread.name == "waits-here").unwrap();
        assert!(!found.state.is_empty());
        drop(stop);
        waiting.unwrap().join().unwrap();
    }
}
