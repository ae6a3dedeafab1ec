//! The steps of `agent/docs/cloud-init.yaml`, in the order in which cloud-init takes them.
//!
//! The file is read as what it is made of here, three lists; any other line fails the test. The
//! machine has no internet: what is fetched comes from elsewhere, and is named in [`run`].

use anyhow::{Context, Result, bail};
use station_tests::jupyter;
use station_tests::machine::Machine;

use crate::setup::{VERSION, bring, write};

const EXAMPLE: &str = include_str!("../../../agent/docs/cloud-init.yaml");

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) users: Vec<String>,
    /// Path and text.
    pub(super) files: Vec<(String, String)>,
    pub(super) commands: Vec<String>,
}

fn read(text: &str) -> Result<Steps> {
    let mut steps = Steps::default();
    let mut list = "";
    for line in text.lines() {
        let item = line.trim_start();
        let content = line.strip_prefix("      ").filter(|_| list == "write_files:");
        match (list, item) {
            _ if content.is_some() || (list == "write_files:" && line.is_empty()) => {
                if let (Some((_, text)), Some(content)) =
                    (steps.files.last_mut(), content.or(Some("")))
                {
                    text.push_str(content);
                    text.push('\n');
                }
            }
            (_, "") => {}
            _ if item.starts_with('#') => {}
            _ if !line.starts_with(' ') => list = line,
            ("users:", "- default") | ("write_files:", "content: |") => {}
            ("users:", _) if item.starts_with("shell: ") => {}
            ("users:", _) => {
                steps
                    .users
                    .push(item.strip_prefix("- name: ").context(item.to_owned())?.to_owned());
            }
            ("write_files:", _) => {
                let path = item.strip_prefix("- path: ").context(item.to_owned())?;
                steps.files.push((path.to_owned(), String::new()));
            }
            ("runcmd:", _) => {
                steps.commands.push(item.strip_prefix("- ").context(item.to_owned())?.to_owned());
            }
            _ => bail!("the test does not know this line: {line}"),
        }
    }
    Ok(steps)
}

/// Takes every step; nobody is there to answer a question.
pub(super) async fn run(machine: &Machine) -> Result<Steps> {
    let steps = read(EXAMPLE)?;
    for user in &steps.users {
        machine.must(&format!("useradd --create-home --shell /bin/bash {user}")).await?;
    }
    for (path, text) in &steps.files {
        write(machine, path, text)?;
    }
    let package = bring(machine, VERSION)?;
    let lab = jupyter::lab().context(jupyter::MISSING)?.canonicalize()?;
    let lab = lab.ancestors().nth(2).context("JupyterLab lies in no environment")?;
    for command in &steps.commands {
        let command = match command.as_str() {
            // No internet: the package and JupyterLab are here already, Debian's lists as they are.
            _ if command.starts_with("curl ") => format!("cp {package} /var/tmp/stationd.deb"),
            "apt-get update" => continue,
            // It is asked what it would do; what it would fetch is linked.
            "stationctl setup jupyter" => format!(
                "{command} --dry-run && mkdir -p /opt/stationd/tools/bin && cd /opt/stationd && \
                 ln -s {} tools/jupyterlab && ln -s ../jupyterlab/bin/jupyter-lab tools/bin/",
                lab.display()
            ),
            // The packages that the example names beside ours.
            _ => command.replace(" python3-venv", ""),
        };
        machine.must(&format!("exec </dev/null; {command}")).await?;
    }
    Ok(steps)
}

#[test]
fn the_example_is_read_as_three_lists() {
    let steps = read(EXAMPLE).unwrap();
    assert_eq!(steps.users, ["ada"]);
    assert_eq!(steps.files.len(), 1);
    let (path, text) = &steps.files[0];
    assert_eq!(path, "/etc/stationd/stationd.toml");
    assert!(text.starts_with("[instance]\nlocal_user = \"ada\"\n"), "{text}");
    assert!(text.parse::<toml::Table>().is_ok(), "{text}");
    assert_eq!(steps.commands.len(), 5);
    assert!(read("bootcmd:\n  - x\n").is_err());
}
