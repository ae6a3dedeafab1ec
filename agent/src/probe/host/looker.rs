//! Asks the process that looks at the machine, and remembers those that hang.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Child;

use super::{Ask, Disk, Looked, Said};
use crate::probe::lasting::{Answer, Lasting};

/// Processes that hang at one time, each on disks of its own; more are not risked.
const HANGING: usize = 8;

#[derive(Debug)]
pub(in crate::probe) struct HostLooker {
    process: Lasting,
    hangs: Vec<Hanging>,
}

impl Default for HostLooker {
    fn default() -> Self {
        Self { process: Lasting::new("host"), hangs: Vec::new() }
    }
}

/// A process that did not end, and the disks that hold it.
#[derive(Debug)]
struct Hanging {
    child: Child,
    disks: Vec<PathBuf>,
}

impl HostLooker {
    /// `None` if no look is possible.
    pub(in crate::probe) async fn look(
        &mut self,
        program: &Path,
        ask: &Ask,
        limit: Duration,
    ) -> Option<Looked> {
        self.hangs.retain_mut(|one| matches!(one.child.try_wait(), Ok(None)));
        if self.hangs.len() >= HANGING {
            return None;
        }
        let hangs = |path: &PathBuf| self.hangs.iter().any(|one| one.disks.contains(path));
        let disks = ask.disks.iter().filter(|path| !hangs(path)).cloned().collect();
        let asked = Ask { disks, ..ask.clone() };
        let text = serde_json::to_string(&asked).ok()?;
        let (lines, child) = match self.process.ask(program, &text, limit).await {
            Answer::Whole(lines) => (lines, None),
            Answer::Part(lines, hangs) => (lines, hangs),
            Answer::Nobody => return None,
        };
        let looked = gather(ask, &asked, &lines);
        if let Some(child) = child {
            let silent = looked.disks.iter().filter(|(_, disk)| *disk == Disk::Silent);
            let disks = silent.map(|(path, _)| path.clone());
            let disks = disks.filter(|path| asked.disks.contains(path)).collect();
            self.hangs.push(Hanging { child, disks });
        }
        Some(looked)
    }
}

/// Joins the lines; a disk without one is silent. The mounts are those of `asked`'s disks, which
/// may be fewer than `ask`'s.
fn gather(ask: &Ask, asked: &Ask, lines: &[String]) -> Looked {
    let mut looked = Looked::default();
    let mut disks: Vec<(PathBuf, Disk)> =
        ask.disks.iter().map(|path| (path.clone(), Disk::Silent)).collect();
    for line in lines {
        match serde_json::from_str(line) {
            Ok(Said::Disk { path, disk }) => {
                if let Some(place) = disks.iter_mut().find(|(name, _)| *name == path) {
                    place.1 = disk;
                }
            }
            Ok(Said::Files(mut files)) => {
                let of = |path| asked.disks.iter().position(|one| one == path);
                let mounted = |path| files.mounts.get(of(path)?)?.clone();
                files.mounts = ask.disks.iter().map(mounted).collect();
                looked.files = Some(files);
            }
            Ok(Said::Units(units)) => looked.units = Some(units),
            Ok(Said::Clock(kept)) => looked.clock = kept,
            Ok(Said::Node(node)) => looked.node = Some(node),
            Ok(Said::Cuda(cuda)) => looked.cuda = Some(cuda),
            Err(error) => tracing::warn!(%error, "a look at the machine is not understood"),
        }
    }
    looked.disks = disks;
    looked
}

#[cfg(test)]
mod tests {
    use super::super::{Files, Mounted};
    use super::*;

    #[test]
    fn a_disk_without_an_answer_is_silent_and_mounts_keep_their_places() {
        let paths = ["/", "/dead", "/data"].map(PathBuf::from);
        let ask = Ask { disks: paths.to_vec(), ..Ask::default() };
        let asked = Ask { disks: vec![paths[0].clone(), paths[2].clone()], ..Ask::default() };
        let mounted = |at: &str| Some(Mounted { at: at.into(), ..Mounted::default() });
        let files = Files { mounts: vec![mounted("/"), mounted("/data")], ..Files::default() };
        let failed = Disk::Failed("no".to_owned());
        let said = [
            Said::Disk { path: paths[2].clone(), disk: failed.clone() },
            Said::Files(Box::new(files)),
        ];
        let mut lines: Vec<String> =
            said.iter().map(|one| serde_json::to_string(one).unwrap()).collect();
        lines.push("{\"half".to_owned());
        let looked = gather(&ask, &asked, &lines);
        let disks: Vec<&Disk> = looked.disks.iter().map(|(_, disk)| disk).collect();
        assert_eq!(disks, [&Disk::Silent, &Disk::Silent, &failed]);
        assert_eq!(looked.files.unwrap().mounts, [mounted("/"), None, mounted("/data")]);
    }
}
