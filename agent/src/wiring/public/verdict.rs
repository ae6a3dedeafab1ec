//! Which listener is served, the public or the control plane's, and what does not fit with it. Pure.
//!
//! A listener that was passed on is used wherever that is safe: a station at another address than
//! the configured one can be reached and says what is wrong; one that refuses cannot.

use std::net::SocketAddr;

use crate::heartbeat::Mismatch;

/// What there is to decide on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// The address of the configuration, and whether TLS is on; `None` if that part cannot be used.
    pub configured: Option<(SocketAddr, bool)>,
    /// The addresses of the listeners that were passed on.
    pub passed: &'a [SocketAddr],
    /// This process cannot open a listener of its own.
    pub units: bool,
    pub door: Door,
}

/// Whose listener it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Public,
    Control,
}

impl Door {
    fn socket(self) -> &'static str {
        match self {
            Self::Public => "stationd.socket",
            Self::Control => "stationd-control.socket",
        }
    }

    fn section(self) -> &'static str {
        match self {
            Self::Public => "[listen]",
            Self::Control => "[control]",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Public => "listen.address or STATIOND_LISTEN",
            Self::Control => "control.address",
        }
    }

    /// What brings a changed socket into force. Not `restart`: systemd starts no socket whose service
    /// runs, so that fails as often as not.
    fn again(self) -> &'static str {
        match self {
            Self::Public => AGAIN,
            Self::Control => CONTROL_AGAIN,
        }
    }

    /// Without its listener nobody reaches the page and the apps.
    fn keeps_users_out(self) -> bool {
        self == Self::Public
    }

    /// How the socket unit gets one address and no other.
    fn edit(self, address: &str) -> String {
        format!(
            "`systemctl edit {}` with the lines [Socket], ListenStream=, ListenStream={address}",
            self.socket()
        )
    }
}

/// Where the public listener comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Bind(SocketAddr),
    /// The listener of this place among those that were passed on.
    Serve(usize),
    Nothing,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub way: Way,
    pub mismatch: Option<Mismatch>,
}

const AGAIN: &str = "`systemctl stop stationd.socket stationd.service && systemctl start \
                     stationd.socket stationd.service`";
const CONTROL_AGAIN: &str = "`systemctl enable stationd-control.socket && systemctl stop \
                             stationd.socket stationd-control.socket stationd.service && systemctl \
                             start stationd.socket stationd-control.socket stationd.service`";

pub(super) fn judge(question: Question<'_>) -> Verdict {
    let Question { configured, passed, units, door } = question;
    let verdict = |way, mismatch| Verdict { way, mismatch };
    let Some((address, tls)) = configured else {
        // What is wrong with the configuration is told as such.
        return verdict(Way::Nothing, None);
    };
    if passed.is_empty() {
        return if units {
            verdict(Way::Nothing, Some(missing(door, address)))
        } else {
            verdict(Way::Bind(address), None)
        };
    }
    let safe = |at: &&SocketAddr| tls || loopback(**at);
    let fits = passed.iter().filter(safe).position(|at| same(*at, address));
    let chosen = passed.iter().filter(safe).nth(fits.unwrap_or(0)).copied();
    let Some(at) = chosen else {
        return verdict(Way::Nothing, Some(open(door, passed)));
    };
    let place = passed.iter().position(|one| *one == at).unwrap_or(0);
    let others: Vec<SocketAddr> = passed.iter().copied().filter(|one| *one != at).collect();
    let mismatch =
        (fits.is_none() || !others.is_empty()).then(|| differs(door, at, address, &others));
    verdict(Way::Serve(place), mismatch)
}

/// Whether only this machine itself can connect.
pub(super) fn loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Port 0 leaves the port open; a listener on `[::]` takes IPv4 too.
fn same(passed: SocketAddr, configured: SocketAddr) -> bool {
    let (a, b) = (passed.ip().to_canonical(), configured.ip().to_canonical());
    let all = a.is_unspecified() && b.is_unspecified() && (a == b || a.is_ipv6());
    (a == b || all) && (configured.port() == 0 || configured.port() == passed.port())
}

fn missing(door: Door, address: SocketAddr) -> Mismatch {
    let (socket, again) = (door.socket(), door.again());
    let edit = match door {
        Door::Public => String::new(),
        Door::Control => format!(" Its address: {}.", door.edit(&address.to_string())),
    };
    Mismatch {
        reason: "NoSocket",
        message: format!(
            "{socket} passed no listener, and stationd opens none itself: nothing is served at \
             {address}"
        ),
        action: format!(
            "`systemctl status {socket}` says why: its port is taken, or it was not started. Mend \
             that, then {again}.{edit}"
        ),
        unreachable: door.keeps_users_out(),
    }
}

fn open(door: Door, passed: &[SocketAddr]) -> Mismatch {
    Mismatch {
        reason: "NoTls",
        message: format!(
            "{} listens on {}, which other machines reach, and tls is off: nothing is served there",
            door.socket(),
            list(passed)
        ),
        action: format!(
            "set tls = \"self-signed\" or \"files\" in {} and `systemctl restart \
             stationd.service`, or let the socket listen on 127.0.0.1: {}, then {}",
            door.section(),
            door.edit("127.0.0.1:8710"),
            door.again()
        ),
        unreachable: door.keeps_users_out(),
    }
}

fn differs(door: Door, at: SocketAddr, address: SocketAddr, others: &[SocketAddr]) -> Mismatch {
    let (socket, key, section) = (door.socket(), door.key(), door.section());
    let action = format!(
        "to serve on {address}: {}, then {}; to stay: address = \"{at}\" in {section} and \
         `systemctl restart stationd.service`",
        door.edit(&address.to_string()),
        door.again()
    );
    let (reason, message) = if others.is_empty() {
        let message = format!("served on {at}, where {socket} listens; {key} says {address}");
        ("AddressDiffers", message)
    } else {
        let message = format!(
            "{socket} listens on several addresses: {at} is served, {} is not; {key} says \
             {address}",
            list(others)
        );
        ("SeveralAddresses", message)
    };
    Mismatch { reason, message, action, unreachable: false }
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(configured: Option<(&str, bool)>, passed: &[&str], units: bool) -> Verdict {
        let address = |text: &&str| text.parse::<SocketAddr>().unwrap();
        let passed: Vec<SocketAddr> = passed.iter().map(address).collect();
        let configured = configured.map(|(text, tls)| (address(&text), tls));
        judge(Question { configured, passed: &passed, units, door: Door::Public })
    }

    #[test]
    fn the_control_listener_has_a_unit_and_a_key_of_its_own() {
        let address: SocketAddr = "0.0.0.0:8711".parse().unwrap();
        let other: SocketAddr = "0.0.0.0:9000".parse().unwrap();
        for (passed, reason) in [(&[][..], "NoSocket"), (&[other][..], "AddressDiffers")] {
            let door = Door::Control;
            let question =
                Question { configured: Some((address, true)), passed, units: true, door };
            let mismatch = judge(question).mismatch.unwrap();
            assert_eq!((mismatch.reason, mismatch.unreachable), (reason, false));
            assert!(mismatch.message.contains("stationd-control.socket"), "{mismatch:?}");
            for part in ["systemctl edit stationd-control.socket", "0.0.0.0:8711", CONTROL_AGAIN] {
                assert!(mismatch.action.contains(part), "{mismatch:?}");
            }
            assert!(!mismatch.message.contains("listen.address"), "{mismatch:?}");
        }
    }

    #[test]
    fn what_is_served_and_what_is_said() {
        const HERE: &str = "127.0.0.1:8710";
        const OPEN: &str = "0.0.0.0:443";
        let bind = Way::Bind(HERE.parse().unwrap());
        for (configured, passed, units, way, reason) in [
            // Nothing was passed.
            (Some((HERE, false)), &[][..], false, bind, ""),
            (Some((HERE, false)), &[], true, Way::Nothing, "NoSocket"),
            (None, &[], true, Way::Nothing, ""),
            // One fits.
            (Some((HERE, false)), &[HERE], true, Way::Serve(0), ""),
            (Some((HERE, false)), &[HERE], false, Way::Serve(0), ""),
            (Some(("127.0.0.1:0", false)), &[HERE], true, Way::Serve(0), ""),
            (Some((OPEN, true)), &["[::]:443"], true, Way::Serve(0), ""),
            (Some((OPEN, true)), &["[::ffff:0.0.0.0]:443"], true, Way::Serve(0), ""),
            // Another address.
            (Some(("127.0.0.1:9000", false)), &[HERE], true, Way::Serve(0), "AddressDiffers"),
            (Some(("[::]:443", true)), &[OPEN], true, Way::Serve(0), "AddressDiffers"),
            (Some(("[::1]:8710", false)), &[HERE], true, Way::Serve(0), "AddressDiffers"),
            // Never in plain text to other machines.
            (Some((HERE, false)), &[OPEN], true, Way::Nothing, "NoTls"),
            (Some((HERE, false)), &[OPEN, "[::]:443"], false, Way::Nothing, "NoTls"),
            (Some((HERE, true)), &[OPEN], true, Way::Serve(0), "AddressDiffers"),
            // Several: the right one, else the first that is safe.
            (Some((OPEN, true)), &[HERE, OPEN], true, Way::Serve(1), "SeveralAddresses"),
            (Some(("127.0.0.1:1", false)), &[OPEN, HERE], true, Way::Serve(1), "SeveralAddresses"),
            // A configuration that cannot be used.
            (None, &[HERE], true, Way::Nothing, ""),
        ] {
            let verdict = ask(configured, passed, units);
            let found = verdict.mismatch.as_ref().map_or("", |mismatch| mismatch.reason);
            assert_eq!((verdict.way, found), (way, reason), "{configured:?} {passed:?} {units}");
            let served = verdict.way != Way::Nothing;
            assert!(verdict.mismatch.is_none_or(|mismatch| mismatch.unreachable != served));
        }
    }

    #[test]
    fn both_addresses_and_the_remedy_are_named() {
        let mismatch = ask(Some(("127.0.0.1:9000", false)), &["127.0.0.1:8710"], true).mismatch;
        let mismatch = mismatch.unwrap();
        for part in ["127.0.0.1:9000", "127.0.0.1:8710"] {
            assert!(mismatch.message.contains(part), "{mismatch:?}");
        }
        for part in ["systemctl edit stationd.socket", "ListenStream=127.0.0.1:9000", AGAIN] {
            assert!(mismatch.action.contains(part), "{mismatch:?}");
        }
    }
}
