//! Pure: whether the machine waits for a restart.

use serde::{Deserialize, Serialize};

/// Why it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reboot {
    /// A package asked for it: `/run/reboot-required` of Debian and Ubuntu.
    Packages(Vec<String>),
    /// The modules of the running kernel were removed, and there is a newer kernel.
    Kernel { running: String, installed: String },
}

/// More packages are not named.
const PACKAGES: usize = 20;

/// `packages` is the text of `/run/reboot-required.pkgs`, if there is `/run/reboot-required`; `kernels`
/// are those that have modules.
pub(super) fn of(packages: Option<&str>, running: &str, kernels: &[String]) -> Option<Reboot> {
    if let Some(text) = packages {
        let mut names: Vec<String> =
            text.lines().map(str::trim).filter(|name| !name.is_empty()).map(Into::into).collect();
        names.sort();
        names.dedup();
        names.truncate(PACKAGES);
        return Some(Reboot::Packages(names));
    }
    if running.is_empty() || kernels.iter().any(|kernel| kernel == running) {
        return None;
    }
    let newest = kernels.iter().max_by_key(|kernel| numbers(kernel))?;
    (numbers(newest) > numbers(running))
        .then(|| Reboot::Kernel { running: running.to_owned(), installed: newest.clone() })
}

/// The numbers of a release, in their order: `6.1.0-28-amd64` is 6, 1, 0, 28, 64.
fn numbers(release: &str) -> Vec<u64> {
    release
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_or_a_removed_kernel_asks_for_a_restart() {
        let kernels = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<_>>();
        let debian = "6.1.0-9-amd64";
        assert_eq!(of(None, debian, &kernels(&[debian, "6.1.0-28-amd64"])), None);
        let removed = of(None, debian, &kernels(&["6.1.0-10-amd64", "6.1.0-28-amd64"]));
        let expected =
            Reboot::Kernel { running: debian.into(), installed: "6.1.0-28-amd64".into() };
        assert_eq!(removed, Some(expected));
        // A container with modules of another kernel, and a machine without any.
        assert_eq!(of(None, "6.18.44", &kernels(&["5.15.0-97-generic"])), None);
        assert_eq!(of(None, debian, &[]), None);
        let text = "linux-image-6.8.0-49-generic\nlinux-base\n\nlinux-base\n";
        let packages = of(Some(text), debian, &kernels(&[debian]));
        let names = vec!["linux-base".into(), "linux-image-6.8.0-49-generic".into()];
        assert_eq!(packages, Some(Reboot::Packages(names)));
        assert_eq!(of(Some(""), debian, &[]), Some(Reboot::Packages(Vec::new())));
    }
}
