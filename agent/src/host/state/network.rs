//! Whether the network leads anywhere. Pure.
//!
//! A machine may be meant to have no way out; so its absence is a fault only where there was one
//! since stationd started, or where a card has no route at all.

use crate::probe::host::Network;

/// Looks in a row before it is said: a route may be replaced.
const LOOKS: u32 = 2;

#[derive(Debug, Clone, Default)]
pub(in crate::host) struct Way {
    had_default: bool,
    fault: Option<(&'static str, String)>,
    looks: u32,
}

impl Way {
    /// `None`: the machine's network cannot be seen.
    pub(in crate::host) fn looked(&mut self, network: Option<Network>) {
        let fault = network.and_then(|network| {
            self.had_default |= !network.defaults.is_empty();
            self.judge(&network)
        });
        let same = |one: &(&'static str, String)| self.fault.as_ref() == Some(one);
        self.looks = if fault.as_ref().is_some_and(same) { self.looks + 1 } else { 1 };
        self.fault = fault;
    }

    fn judge(&self, network: &Network) -> Option<(&'static str, String)> {
        let without = network.defaults.iter().filter(|one| one.carrier == Some(false));
        let without: Vec<&str> = without.map(|one| one.device.as_str()).collect();
        if !network.defaults.is_empty() {
            let all = without.len() == network.defaults.len();
            return all.then(|| ("NoLink", format!("no link on {}", without.join(", "))));
        }
        if self.had_default {
            return Some(("NoDefaultRoute", "the default route is gone".to_owned()));
        }
        let cards = network.cards.join(", ");
        (network.routes == 0 && !cards.is_empty())
            .then(|| ("NoRoute", format!("{cards} has no address and no route")))
    }

    /// Reason and message.
    pub(in crate::host) fn fault(&self) -> Option<&(&'static str, String)> {
        self.fault.as_ref().filter(|_| self.looks >= LOOKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::host::Default as Route;

    fn network(routes: usize, defaults: &[(&str, Option<bool>)], cards: &[&str]) -> Network {
        let route =
            |&(device, carrier): &(&str, Option<bool>)| Route { device: device.into(), carrier };
        Network {
            routes,
            defaults: defaults.iter().map(route).collect(),
            cards: cards.iter().map(|&card| card.to_owned()).collect(),
        }
    }

    #[test]
    fn a_fault_is_told_from_a_machine_that_is_meant_to_be_alone() {
        let eth = [("eth0", Some(true))];
        let good = network(2, &eth, &["eth0"]);
        let table = [
            (vec![Some(good.clone())], None),
            // Never a way out, and that may be meant.
            (vec![Some(network(1, &[], &["eth0"]))], None),
            (vec![Some(network(0, &[], &[]))], None),
            (vec![None], None),
            (vec![Some(network(0, &[], &["eth0"]))], Some("NoRoute")),
            (vec![Some(good.clone()), Some(network(1, &[], &["eth0"]))], Some("NoDefaultRoute")),
            (vec![Some(good.clone()), None], None),
            (vec![Some(network(2, &[("eth0", Some(false))], &["eth0"]))], Some("NoLink")),
            (vec![Some(network(2, &[("eth0", None)], &["eth0"]))], None),
            (
                vec![Some(network(3, &[("eth0", Some(false)), ("eth1", Some(true))], &["eth0"]))],
                None,
            ),
        ];
        for (looks, expected) in table {
            let mut way = Way::default();
            for look in &looks {
                way.looked(look.clone());
            }
            assert_eq!(way.fault(), None, "once may be a moment: {looks:?}");
            way.looked(looks.last().unwrap().clone());
            assert_eq!(way.fault().map(|fault| fault.0), expected, "{looks:?}");
            way.looked(Some(good.clone()));
            assert_eq!(way.fault(), None, "{looks:?}");
        }
    }
}
