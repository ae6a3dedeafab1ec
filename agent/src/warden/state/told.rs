//! Pure: what a person and stationd are told of the state.

use std::time::Duration;

use jiff::Timestamp;
use station_proto::mount::{MountPhase, MountSample};
use station_proto::time::Time;

use super::{FAILING, Reach, Stage, State};
use crate::base::moment::Moment;
use crate::warden::files::{Launch, State as Line, Told, Trouble, VERSION};

/// What has waited for so long is stuck, whatever the reason.
const STUCK: Duration = Duration::from_secs(300);
/// With less free space than this the local copies are in danger.
const CACHE_LEAST_MIB: u64 = 512;

impl State {
    /// The line that goes to stationd; `since` is when its phase began.
    pub(in crate::warden) fn told(&self, launch: &Launch, now: Moment, since: Timestamp) -> Line {
        let troubles = self.troubles(launch, now.mono);
        let phase = self.phase(!troubles.is_empty());
        let figures = self.figures.as_deref();
        let sample = MountSample {
            name: launch.name.to_string(),
            at: figures.and_then(|figures| figures.wall).map(Time),
            pending: figures.and_then(|figures| figures.pending.clone()),
            open_files: figures.and_then(|figures| figures.open_files),
            answer_us: self.answer.and_then(|took| u64::try_from(took.as_micros()).ok()),
            waiting: self.waiting(),
            reachable: self.reach.as_ref().map(|reach| !matches!(reach, Reach::Silent(_))),
            cache_mib: figures.and_then(|figures| figures.cache_mib),
            cache_free_mib: figures.and_then(|figures| figures.cache_free_mib),
            rescued_files: self.rescued,
            last_heal_ms: self.last_heal.and_then(|took| u64::try_from(took.as_millis()).ok()),
            stranded: figures.map(|figures| figures.stranded.clone()).unwrap_or_default(),
        };
        Line {
            version: VERSION,
            spec: launch.spec.clone(),
            phase,
            ready: self.is_up(),
            message: self.message(phase, &troubles),
            troubles,
            generation: self.generation,
            since: since.as_millisecond(),
            heals: self.heals,
            last_loss: self.last_loss.clone(),
            sample,
            pending_files: figures.map(|figures| figures.files.clone()).unwrap_or_default(),
            driver_pid: self.pid,
        }
    }

    fn phase(&self, troubled: bool) -> MountPhase {
        let back = self.lost_at.is_some();
        match self.stage {
            Stage::Down => MountPhase::Unmounted,
            Stage::Unmounting => MountPhase::Draining,
            Stage::Up if self.drain.is_some() => MountPhase::Draining,
            Stage::Up if troubled => MountPhase::Degraded,
            Stage::Up => MountPhase::Ready,
            _ if self.attempts >= FAILING => MountPhase::Failing,
            _ if back => MountPhase::Healing,
            Stage::Preparing => MountPhase::Preparing,
            _ => MountPhase::Starting,
        }
    }

    fn message(&self, phase: MountPhase, troubles: &[Told]) -> String {
        if let Some(first) = troubles.first() {
            return first.message.clone();
        }
        let pending = self.figures.as_ref().and_then(|figures| figures.pending.as_ref());
        match phase {
            MountPhase::Ready => "mounted".to_owned(),
            MountPhase::Draining => match pending {
                Some(pending) if pending.files > 0 => {
                    let (files, bytes) = (pending.files, pending.bytes);
                    format!("{files} files with {bytes} bytes are on their way to the share")
                }
                _ => "unmounting".to_owned(),
            },
            MountPhase::Unmounted => "unmounted on purpose: stationctl mount remount".to_owned(),
            MountPhase::Preparing => "saving what an earlier run has left".to_owned(),
            _ => "the driver is starting".to_owned(),
        }
    }

    fn troubles(&self, launch: &Launch, now: Duration) -> Vec<Told> {
        let mut troubles = Vec::new();
        let name = &launch.name;
        let mut add = |trouble, message: String, action: &str| {
            troubles.push(Told { trouble, message, action: action.to_owned() });
        };
        let problem = || self.problem.clone().unwrap_or_else(|| "no reason is known".to_owned());
        if self.attempts >= FAILING && !self.is_up() && self.stage != Stage::Down {
            add(
                Trouble::CannotMount,
                format!("{name} cannot be mounted: {}", problem()),
                "Correct what the message says; it is tried again every half minute.",
            );
        } else if self.lost_at.is_some() && !self.is_up() {
            let why = self.last_loss.clone().unwrap_or_else(problem);
            add(
                Trouble::Lost,
                format!("{name} was lost and is being put back: {why}"),
                "Wait; what was saved is safe.",
            );
        }
        self.storage_troubles(launch, &mut add);
        self.upload_troubles(launch, now, &mut add);
        troubles
    }

    fn storage_troubles(&self, launch: &Launch, add: &mut impl FnMut(Trouble, String, &str)) {
        let name = &launch.name;
        match &self.reach {
            Some(Reach::Silent(why)) => add(
                Trouble::Unreachable,
                format!("the storage behind {name} does not answer: {why}"),
                "Look at the network and the storage account. What is saved meanwhile stays pending.",
            ),
            Some(Reach::Denied(why)) => add(
                Trouble::Denied,
                format!("the storage behind {name} refuses our credential: {why}"),
                "Renew the credential in the file that mount.credential names.",
            ),
            _ => {}
        }
        if self.covered() {
            add(
                Trouble::Covered,
                format!("something else is mounted over {}", launch.place.display()),
                "Unmount it: `findmnt` shows what it is.",
            );
        }
        let free = self.figures.as_ref().and_then(|figures| figures.cache_free_mib);
        if free.is_some_and(|free| free < CACHE_LEAST_MIB) {
            add(
                Trouble::CacheFull,
                format!(
                    "the disk of {} has less than {CACHE_LEAST_MIB} MiB left",
                    launch.cache.display()
                ),
                "Free space there, or move mount.cache_dir: without it nothing can be written.",
            );
        }
    }

    fn upload_troubles(
        &self,
        launch: &Launch,
        now: Duration,
        add: &mut impl FnMut(Trouble, String, &str),
    ) {
        let name = &launch.name;
        let pending = self.figures.as_ref().and_then(|figures| figures.pending.clone());
        let pending = pending.unwrap_or_default();
        let oldest = Duration::from_millis(pending.oldest_ms.unwrap_or_default());
        if pending.errored > 0 || oldest >= STUCK {
            add(
                Trouble::UploadsStuck,
                format!(
                    "files of {name} have not reached the share for more than {} minutes",
                    STUCK.as_secs() / 60
                ),
                "stationctl mount show lists them. Do not delete this machine before they are there.",
            );
        }
        if let Some(drain) = self.drain.filter(|drain| self.is_up() && now >= drain.until) {
            let why = if drain.busy.is_some() {
                "programs still use it".to_owned()
            } else {
                format!("{} files are still pending", pending.files)
            };
            add(
                Trouble::DrainBlocked,
                format!("{name} cannot be unmounted: {why}"),
                "Close what uses it, or wait until the storage can be reached.",
            );
        }
    }
}
