//! Pure: the operating system, the CPU and the memory, from their files.

use std::time::Duration;

use station_proto::node::Os;

/// `os-release(5)`: lines of a shell's assignments. `None` if it names no system.
pub(super) fn os(text: &str) -> Option<Os> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        line.map(unquoted).filter(|value| !value.is_empty())
    };
    let name = value("PRETTY_NAME").or_else(|| value("NAME")).or_else(|| value("ID"))?;
    Some(Os { name, id: value("ID"), version: value("VERSION_ID") })
}

/// A value in single, double or no quotes; a backslash stands before what would mean something.
fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner =
        ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    let mut out = String::new();
    let mut characters = inner.unwrap_or(text).chars();
    while let Some(character) = characters.next() {
        out.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    out
}

/// The first CPU's name; ARM has none.
pub(super) fn cpu(cpuinfo: &str) -> Option<String> {
    value(cpuinfo, "model name").map(str::to_owned)
}

/// The flag that a hypervisor sets; `None` where the CPU has no such flag, as on ARM.
pub(super) fn has_hypervisor(cpuinfo: &str) -> Option<bool> {
    value(cpuinfo, "flags").map(|flags| flags.split(' ').any(|flag| flag == "hypervisor"))
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then_some(value.trim())
    })
}

/// `btime` of `proc_stat(5)`, since the epoch.
pub(super) fn boot_time(stat: &str) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok().map(Duration::from_secs)
}

/// `0-3,8`: how many are online.
pub(super) fn cores(online: &str) -> Option<u32> {
    online.trim().split(',').map(range).sum()
}

fn range(text: &str) -> Option<u32> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
    last.checked_sub(first)?.checked_add(1)
}

/// `MemTotal` of `proc_meminfo(5)`.
pub(super) fn memory_mib(meminfo: &str) -> Option<u64> {
    let value = value(meminfo, "MemTotal")?.strip_suffix(" kB")?;
    value.parse::<u64>().ok().map(|kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_name_themselves() {
        let table = [
            (
                "PRETTY_NAME=\"Ubuntu 22.04.5 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\nID=ubuntu\n",
                Some(("Ubuntu 22.04.5 LTS", Some("ubuntu"), Some("22.04"))),
            ),
            (
                "NAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\nID=debian\n",
                Some(("Debian GNU/Linux", Some("debian"), Some("12"))),
            ),
            (
                "NAME=\"Arch Linux\"\nPRETTY_NAME=\"Arch Linux\"\nID=arch\nBUILD_ID=rolling\n",
                Some(("Arch Linux", Some("arch"), None)),
            ),
            (
                "PRETTY_NAME=\"A \\\"B\\\" \\$C\"\nID=\"rhel\"\n",
                Some(("A \"B\" $C", Some("rhel"), None)),
            ),
            ("# nothing\nPRETTY_NAME=\nBROKEN", None),
            ("", None),
        ];
        for (text, expected) in table {
            let found = os(text);
            let found = found
                .as_ref()
                .map(|os| (os.name.as_str(), os.id.as_deref(), os.version.as_deref()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn the_cpu_tells_of_its_hypervisor() {
        let x86 =
            "processor\t: 0\nmodel name\t: AMD EPYC 7V13\nflags\t\t: fpu vme hypervisor lahf\n";
        assert_eq!(cpu(x86).as_deref(), Some("AMD EPYC 7V13"));
        assert_eq!(has_hypervisor(x86), Some(true));
        assert_eq!(has_hypervisor("flags\t\t: fpu hypervisorx\n"), Some(false));
        assert_eq!(has_hypervisor("processor\t: 0\nFeatures\t: fp asimd\n"), None);
    }

    #[test]
    fn sizes_are_read_and_nonsense_is_not() {
        assert_eq!(cores("0-3,8\n"), Some(5));
        assert_eq!(cores("0\n"), Some(1));
        for bad in ["", "x", "3-0", "0-4294967295"] {
            assert_eq!(cores(bad), None, "{bad}");
        }
        assert_eq!(memory_mib("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), Some(16_000));
        assert_eq!(memory_mib("MemTotal: lots\n"), None);
        assert_eq!(
            boot_time("cpu 1 2\nbtime 1764000000\n"),
            Some(Duration::from_secs(1_764_000_000))
        );
    }
}
