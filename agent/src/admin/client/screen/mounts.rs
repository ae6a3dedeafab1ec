//! Pure: shares as text for a person.

use station_proto::mount::{Mount, MountDetail, Pending, PendingFile};
use station_proto::time::Time;

use crate::admin::client::words::{ago, gib, printable, word};

/// Files that are shown by name.
const SHOWN: usize = 10;

/// One line for each.
pub(in crate::admin::client) fn list(mounts: &[Mount], now: Time) -> String {
    let width = mounts.iter().map(|mount| mount.name.len()).max().unwrap_or_default();
    let line = |mount: &Mount| {
        let since = mount.since.map(|since| format!(" since {}", ago(since, now)));
        let heals = if mount.heals > 0 {
            format!("   came back {} times", mount.heals)
        } else {
            String::new()
        };
        format!(
            "  {:<width$}   {:<9}   {}{}   {}   {}{heals}\n",
            mount.name,
            mount.driver,
            word(mount.phase),
            since.unwrap_or_default(),
            mount.path,
            printable(&mount.message),
        )
    };
    mounts.iter().map(line).collect::<Vec<String>>().concat()
}

/// Everything that is known of one.
pub(in crate::admin::client) fn detail(detail: &MountDetail, now: Time) -> String {
    let MountDetail { mount, sample, pending_files } = detail;
    let mut lines = vec![list(std::slice::from_ref(mount), now)];
    let mut say = |what: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("  {what:<12}{value}\n")));
    };
    say("pending", sample.pending.as_ref().map(pending));
    say("open", sample.open_files.map(|count| format!("{count} files are being written")));
    say("answers in", sample.answer_us.map(|us| format!("{}.{} ms", us / 1000, us % 1000 / 100)));
    say(
        "storage",
        sample.reachable.map(|yes| {
            if yes { "can be reached".to_owned() } else { "does not answer".to_owned() }
        }),
    );
    say(
        "copies",
        sample.cache_free_mib.map(|free| format!("{} are free where they lie", gib(free))),
    );
    say("last loss", mount.last_loss.as_deref().map(printable));
    say("came back in", sample.last_heal_ms.map(|ms| format!(" {ms} ms")));
    say("rescued", (sample.rescued_files > 0).then(|| format!("{} files", sample.rescued_files)));
    for one in &sample.stranded {
        say("stranded", Some(format!("process {} ({})", one.pid, printable(&one.command))));
    }
    lines.push(files(pending_files));
    lines.concat()
}

/// What is mounted at one place, the lowest first: kind and source of each.
pub(in crate::admin::client) fn layers(layers: &[(&str, &str)]) -> String {
    let line = |(kind, source): &(&str, &str)| {
        format!("  {:<12}{} of {}\n", "mounted", printable(kind), printable(source))
    };
    match layers {
        [] => format!("  {:<12}nothing is mounted at this place\n", "mounted"),
        layers => layers.iter().map(line).collect::<Vec<String>>().concat(),
    }
}

/// `3 files, 12.4 MiB, the oldest for 7 s`
pub(in crate::admin::client) fn pending(pending: &Pending) -> String {
    if pending.files == 0 {
        return "nothing: everything is at the share".to_owned();
    }
    let oldest = pending.oldest_ms.map(|ms| format!(", the oldest for {} s", ms / 1000));
    let errored = if pending.errored > 0 {
        format!(", {} have failed", pending.errored)
    } else {
        String::new()
    };
    format!(
        "{} files, {}{}{errored}",
        pending.files,
        size(pending.bytes),
        oldest.unwrap_or_default()
    )
}

/// What has not reached the share, by name.
pub(in crate::admin::client) fn files(files: &[PendingFile]) -> String {
    let line =
        |file: &PendingFile| format!("    {}  {}\n", size(file.bytes), printable(&file.path));
    let mut lines: Vec<String> = files.iter().take(SHOWN).map(line).collect();
    if files.len() > SHOWN {
        lines.push(format!("    and {} more\n", files.len() - SHOWN));
    }
    lines.concat()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_is_said_in_a_line() {
        let some = Pending { files: 3, bytes: 13_000_000, oldest_ms: Some(7_900), errored: 1 };
        assert_eq!(pending(&some), "3 files, 12.3 MiB, the oldest for 7 s, 1 have failed");
        assert!(pending(&Pending::default()).starts_with("nothing"));
    }

    #[test]
    fn what_lies_at_a_place_is_told_from_the_bottom() {
        assert!(layers(&[]).contains("nothing"));
        let two = layers(&[("fuse.rclone", "az:work"), ("tmpfs", "other")]);
        assert_eq!(two.lines().count(), 2);
        assert!(two.lines().last().unwrap().ends_with("tmpfs of other"), "{two}");
    }

    #[test]
    fn a_long_list_is_cut_and_names_cannot_rewrite_the_terminal() {
        let file = |path: &str| PendingFile {
            path: path.to_owned(),
            bytes: 1,
            at: Time::from_ms(0).unwrap(),
        };
        let all: Vec<PendingFile> = (0..12).map(|n| file(&format!("a\x1b{n}"))).collect();
        let shown = files(&all);
        assert!(shown.ends_with("    and 2 more\n") && !shown.contains('\x1b'), "{shown}");
    }
}
