//! Reads the processes below one.

use std::fs;

use super::sight::Process;
use crate::os::process::{self, Stat};

/// Processes that are looked at; a fork bomb has more.
const PROCESSES: usize = 512;
const TICK_MS: u64 = 10;
const PAGE: u64 = 4096;

/// The process and everything below it, by the chain of parents.
pub(super) fn below(root: i32) -> Vec<Process> {
    let mut pids = vec![root];
    let mut at = 0;
    while let Some(&parent) = pids.get(at).filter(|_| pids.len() < PROCESSES) {
        pids.extend(process::children(parent));
        at += 1;
    }
    pids.into_iter().filter_map(read).collect()
}

fn read(pid: i32) -> Option<Process> {
    let stat = Stat::read(pid).filter(|stat| stat.state != 'Z')?;
    Some(Process {
        pid,
        parent: stat.parent,
        group: stat.group,
        session: stat.session,
        terminal: stat.terminal,
        foreground: stat.foreground,
        cpu_ms: stat.cpu_ticks.saturating_mul(TICK_MS),
        memory_bytes: stat.resident_pages.saturating_mul(PAGE),
        command: process::command_line(pid),
    })
}

/// Whether a user's process, and nobody else's, listens on this port of 127.0.0.1; `None` if nobody
/// does. See `/proc/net/tcp` in proc(5).
pub(super) fn listens(port: u16, uid: u32) -> Option<bool> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let lines: String = tables.into_iter().flatten().collect();
    let found = listeners(&lines, port);
    (!found.is_empty()).then(|| found.iter().all(|found| *found == uid))
}

/// The users of the listeners that a connection to 127.0.0.1 may reach, in the kernel's tables.
fn listeners(table: &str, port: u16) -> Vec<u32> {
    const LISTEN: &str = "0A";
    // 127.0.0.1 and all addresses, in both families.
    const HERE: [&str; 4] = [
        "0100007F",
        "00000000",
        "00000000000000000000000000000000",
        "0000000000000000FFFF00000100007F",
    ];
    let user = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?;
        let state = fields.nth(1)?;
        let uid = fields.nth(3)?;
        let (address, digits) = local.rsplit_once(':')?;
        let here = u16::from_str_radix(digits, 16) == Ok(port) && state == LISTEN;
        if here && HERE.contains(&address) { uid.parse().ok() } else { None }
    };
    table.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_of_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:2206 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 5\n\
            1: 0100007F:2206 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0 0 6\n";
        assert_eq!(listeners(table, 0x2206), [1000]);
        assert!(listeners(table, 0x2207).is_empty());
        // Another address of this machine takes no connection to 127.0.0.1.
        let other = table.replace("0100007F:2206 00000000", "0200007F:2206 00000000");
        assert!(listeners(&other, 0x2206).is_empty());
    }

    #[test]
    fn our_own_listener_is_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = nix::unistd::geteuid().as_raw();
        assert_eq!(listens(port, own), Some(true));
        assert_eq!(listens(port, own + 1), Some(false));
        drop(listener);
        assert_eq!(listens(port, own), None);
    }

    #[test]
    fn this_process_is_below_itself() {
        let own = nix::unistd::getpid().as_raw();
        let found = below(own);
        assert!(found.iter().any(|process| process.pid == own && process.memory_bytes > 0));
    }
}
