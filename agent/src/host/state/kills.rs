//! Processes that the kernel killed for want of memory: by its log, which says who, and by its
//! counter, which says how many. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::moment::Moment;
use crate::host::kernel::{Kill, Victim, place};

/// How long a kill is news.
const RECENT: Duration = Duration::from_secs(3600);
/// Kills that are remembered by name; further ones are counted.
const NAMED: usize = 64;
/// How long the log may take to tell what the counter tells.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct Told {
    pub at: Moment,
    pub victim: Victim,
    /// The app, unit or container.
    pub place: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(in crate::host) struct Kills {
    told: VecDeque<Told>,
    /// Control groups that a line has named, until the line that names the process.
    groups: VecDeque<(i32, String)>,
    /// The first reading of the counter, and what of the counter is accounted for: what was there
    /// before, what the log has told since, and what it has not.
    started: Option<Moment>,
    accounted: u64,
    /// Kills that the counter has and the log has not: when that was found, how many.
    untold: VecDeque<(Moment, u64)>,
    behind_since: Option<Moment>,
    /// When the log lost lines last, and how many since the start.
    lost: Option<(Moment, u64)>,
}

/// What there is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::host) struct Recent {
    pub count: u64,
    pub last: Option<Told>,
    /// Of `count`, those of which the log says nothing.
    pub untold: u64,
    /// Lines of the log that were lost, if some were.
    pub lost: u64,
}

impl Kills {
    pub(in crate::host) fn heard(&mut self, at: Moment, kill: Option<Kill>) {
        match kill {
            Some(Kill::Group { pid, group }) => {
                self.groups.push_back((pid, group));
                if self.groups.len() > NAMED {
                    self.groups.pop_front();
                }
            }
            Some(Kill::Killed(victim)) => {
                let group = self.groups.iter().position(|(pid, _)| *pid == victim.pid);
                let group = group.and_then(|group| self.groups.remove(group));
                let place = group.and_then(|(_, group)| place(&group));
                if self.started.is_some_and(|started| at.mono > started.mono) {
                    self.accounted = self.accounted.saturating_add(1);
                }
                self.told.push_back(Told { at, victim, place });
                if self.told.len() > NAMED {
                    self.told.pop_front();
                }
            }
            None => {}
        }
    }

    pub(in crate::host) fn lost(&mut self, now: Moment, records: u64) {
        let before = self.lost.map_or(0, |(_, count)| count);
        self.lost = Some((now, before.saturating_add(records)));
    }

    /// The kernel's counter since it was started; absent where it has none (before Linux 4.13).
    pub(in crate::host) fn counted(&mut self, now: Moment, counter: Option<u64>) {
        self.told.retain(|one| now.since(one.at) < RECENT);
        self.untold.retain(|(at, _)| now.since(*at) < RECENT);
        let Some(counter) = counter else { return };
        if self.started.is_none() {
            (self.started, self.accounted) = (Some(now), counter);
        }
        let behind = counter.saturating_sub(self.accounted);
        if behind == 0 {
            self.behind_since = None;
            return;
        }
        let since = *self.behind_since.get_or_insert(now);
        if now.since(since) >= PATIENCE {
            self.untold.push_back((now, behind));
            (self.accounted, self.behind_since) = (counter, None);
        }
    }

    pub(in crate::host) fn recent(&self, now: Moment) -> Option<Recent> {
        let told = self.told.iter().filter(|one| now.since(one.at) < RECENT);
        let untold: u64 = self.untold.iter().map(|(_, count)| count).sum();
        let latest = told.clone().max_by_key(|one| one.at).cloned();
        let count = u64::try_from(told.count()).unwrap_or(u64::MAX).saturating_add(untold);
        let gap = self.lost.filter(|(at, _)| now.since(*at) < RECENT);
        let lost = gap.map_or(0, |(_, records)| records);
        (count > 0).then_some(Recent { count, last: latest, untold, lost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn victim(pid: i32) -> Kill {
        let name = "python3".to_owned();
        Kill::Killed(Victim { pid, name, resident_mib: Some(4096), by_limit: true })
    }

    fn at(seconds: u64) -> Moment {
        Moment::at_ms(seconds * 1000)
    }

    #[test]
    fn the_log_says_who_and_the_counter_how_many() {
        let mut kills = Kills::default();
        kills.counted(at(100), Some(8));
        assert_eq!(kills.recent(at(100)), None);
        let group = "/system.slice/stationd-app-lab.service".to_owned();
        kills.heard(at(110), Some(Kill::Group { pid: 7, group }));
        kills.heard(at(110), Some(victim(7)));
        kills.counted(at(111), Some(9));
        kills.counted(at(200), Some(9));
        let recent = kills.recent(at(200)).unwrap();
        assert_eq!((recent.count, recent.untold), (1, 0));
        assert_eq!(recent.last.unwrap().place.as_deref(), Some("app lab"));
        assert_eq!(kills.recent(at(110 + 3600)), None);
    }

    #[test]
    fn what_the_log_does_not_tell_is_told_by_the_counter_after_a_while() {
        let mut kills = Kills::default();
        kills.counted(at(100), Some(0));
        kills.lost(at(101), 90_000);
        kills.counted(at(105), Some(3));
        assert_eq!(kills.recent(at(105)), None);
        // One of the three is told late.
        kills.heard(at(104), Some(victim(7)));
        kills.counted(at(115), Some(3));
        let recent = kills.recent(at(115)).unwrap();
        assert_eq!((recent.count, recent.untold, recent.lost), (3, 2, 90_000));
        // It is counted once, for an hour.
        kills.counted(at(300), Some(3));
        assert_eq!(kills.recent(at(300)).unwrap().count, 3);
        kills.counted(at(4000), Some(3));
        assert_eq!(kills.recent(at(4000)), None);
    }

    #[test]
    fn kills_from_before_stationd_are_news_too_and_a_flood_is_bounded() {
        let mut kills = Kills::default();
        kills.counted(at(1000), Some(5));
        kills.heard(at(900), Some(victim(1)));
        kills.counted(at(1100), Some(5));
        assert_eq!(kills.recent(at(1100)).unwrap().count, 1);
        for pid in 0..100_000 {
            kills.heard(at(1200), Some(victim(pid)));
            kills.heard(at(1200), Some(Kill::Group { pid, group: "/".into() }));
        }
        assert_eq!(kills.told.len() + kills.groups.len(), 2 * NAMED);
    }
}
