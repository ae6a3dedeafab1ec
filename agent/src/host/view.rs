//! Pure: what is shown of the state.

use std::path::Path;

use station_proto::node::{Cuda, Disk, Node, Samples};

use super::state::State;
use crate::probe::host::Space;

const MIB: u64 = 1024 * 1024;

/// The figures with what the last look said of the disks, and how stationd does.
pub(super) fn samples(state: &State, cheap: Samples) -> Samples {
    Samples {
        os_disk: state.disks.of_state().map(|(path, space)| disk(path, space)),
        disks: state.disks.local().iter().map(|(path, space)| disk(path, *space)).collect(),
        agent: state.pace.clone(),
        ..cheap
    }
}

fn disk(path: &Path, space: Space) -> Disk {
    Disk {
        path: path.display().to_string(),
        total_mib: space.total_bytes / MIB,
        available_mib: space.available_bytes / MIB,
        inodes_total: space.inodes_total,
        inodes_free: space.inodes_free,
    }
}

/// `None` before it was read for the first time.
pub(super) fn node(state: &State) -> Option<Node> {
    let cuda = state
        .cuda
        .clone()
        .map(|cuda| Cuda { driver_cuda_version: state.driver_cuda.clone(), ..cuda });
    state.node.clone().map(|node| Node { cuda, ..node })
}
