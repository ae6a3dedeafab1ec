//! Pure: whether the machine's network leads anywhere; from `/proc/1/net/route`, `ipv6_route`
//! (`proc_net(5)`) and `/sys/class/net`.

use serde::{Deserialize, Serialize};

/// What the tables say.
#[derive(Debug, Clone, std::default::Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub defaults: Vec<Default>,
    /// Routes of any kind, but those of the loopback interface.
    pub routes: usize,
    /// Network cards, whether they have a route or not.
    pub cards: Vec<String>,
}

/// A route to everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Default {
    pub device: String,
    /// Whether the device has a link; absent where that cannot be seen.
    pub carrier: Option<bool>,
}

/// `RTF_UP` and `RTF_REJECT`: see `route(8)` and `linux/route.h`.
const UP: u32 = 1;
const REJECT: u32 = 0x200;

/// `carrier` says whether a device has a link.
pub(super) fn of(
    route: &str,
    route6: &str,
    dev: &str,
    carrier: impl Fn(&str) -> Option<bool>,
) -> Network {
    let all: Vec<(String, bool)> = route
        .lines()
        .filter_map(four)
        .chain(route6.lines().filter_map(six))
        .filter(|(device, _)| device != "lo")
        .collect();
    let mut devices: Vec<String> =
        all.iter().filter(|(_, default)| *default).map(|(device, _)| device.clone()).collect();
    devices.sort();
    devices.dedup();
    let with_carrier = |device: String| Default { carrier: carrier(&device), device };
    Network {
        routes: all.len(),
        defaults: devices.into_iter().map(with_carrier).collect(),
        cards: dev.lines().filter_map(card).collect(),
    }
}

/// `eth0 00000000 010200C0 0003 0 0 0 00000000 …`: device, destination, gateway, flags, …, mask.
fn four(line: &str) -> Option<(String, bool)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
    let default = *fields.get(1)? == "00000000" && *fields.get(7)? == "00000000";
    let usable = flags & UP != 0 && flags & REJECT == 0;
    usable.then(|| (fields.first().copied().unwrap_or_default().to_owned(), default))
}

/// Destination, its length, source, its length, next hop, metric, references, use, flags, device.
fn six(line: &str) -> Option<(String, bool)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let flags = u32::from_str_radix(fields.get(8)?, 16).ok()?;
    let destination = *fields.first()?;
    let default = destination.bytes().all(|digit| digit == b'0') && *fields.get(1)? == "00";
    // Link-local and multicast addresses lead nowhere; every card has them.
    let local = destination.starts_with("fe80") || destination.starts_with("ff");
    let usable = flags & UP != 0 && flags & REJECT == 0 && !local;
    usable.then(|| ((*fields.get(9).unwrap_or(&"")).to_owned(), default))
}

/// A card by the names that the kernel and systemd give to them (`systemd.net-naming-scheme(7)`):
/// bridges, tunnels and the like have others.
fn card(line: &str) -> Option<String> {
    let name = line.split_once(':')?.0.trim();
    let known = ["eth", "en", "wl", "ib"].iter().any(|start| name.starts_with(start));
    known.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
    const ROUTE6: &str = "\
        fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";
    const DEV: &str = "Inter-|   Receive\n face |bytes\n    lo: 1 2\n  eth0: 3 4\ndocker0: 0 0\n";

    #[test]
    fn a_default_route_and_its_link_are_seen() {
        let network = of(ROUTE, ROUTE6, DEV, |device| (device == "eth0").then_some(true));
        let default = Default { device: "eth0".into(), carrier: Some(true) };
        assert_eq!(network.defaults, [default]);
        assert_eq!((network.routes, network.cards.as_slice()), (2, &["eth0".to_owned()][..]));
    }

    #[test]
    fn what_leads_nowhere_is_no_default_route() {
        let down = ROUTE.replace("0003", "0002");
        let reject = ROUTE.replace("0003", "0203");
        for text in [down.as_str(), reject.as_str(), "Iface\n", "", "x y z\n\0\n"] {
            assert!(of(text, ROUTE6, DEV, |_| None).defaults.is_empty(), "{text}");
        }
        let six = ROUTE6.replace("00200200 lo", "00000003 ens5");
        assert_eq!(of("", &six, DEV, |_| None).defaults[0].device, "ens5");
        let only_local = of("", ROUTE6, DEV, |_| None);
        assert_eq!(only_local.routes, 0);
    }
}
