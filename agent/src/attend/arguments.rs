//! The attendant's command line: made by the recipe of an app, read by the role. Pure.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::INNER;

/// What an attendant is told. Nothing of it is secret: a command line can be seen by everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// The app's folder: its sockets lie there.
    pub folder: PathBuf,
    /// Where the program begins; absent: in the app's folder.
    pub work: Option<PathBuf>,
    /// Absent: the app listens on `s.sock` by itself.
    pub relay: Option<Target>,
    /// stationd runs as another user and is let in through the folder's group.
    pub shared: bool,
    pub ending: Ending,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// Where an app listens that cannot listen on `s.sock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `i.sock` in the app's folder.
    Inner,
    /// A port of 127.0.0.1.
    Port(u16),
}

/// In which order an app is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// SIGTERM.
    Plain,
    /// R sessions are suspended first, by SIGUSR1 and then SIGUSR2.
    RStudio,
}

const USAGE: [&str; 5] = ["--folder", "--work", "--relay", "--shared", "--rstudio"];

impl Arguments {
    /// The arguments after the program's name, `attend` first.
    pub fn line(&self) -> Vec<String> {
        let text = |path: &PathBuf| path.display().to_string();
        let [folder, work, relay, shared, rstudio] = USAGE.map(str::to_owned);
        let mut line = vec!["attend".to_owned(), folder, text(&self.folder)];
        if let Some(place) = &self.work {
            line.extend([work, text(place)]);
        }
        if let Some(target) = self.relay {
            let to = match target {
                Target::Inner => INNER.to_owned(),
                Target::Port(port) => port.to_string(),
            };
            line.extend([relay, to]);
        }
        line.extend(self.shared.then_some(shared));
        line.extend((self.ending == Ending::RStudio).then_some(rstudio));
        line.push("--".to_owned());
        line.extend(self.command.iter().cloned());
        line
    }

    /// Reads what [`Arguments::line`] makes, without the first word.
    pub(super) fn parse(line: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut words = line.into_iter().map(|word| word.into_string().ok());
        let mut read = Self {
            folder: PathBuf::new(),
            work: None,
            relay: None,
            shared: false,
            ending: Ending::Plain,
            command: Vec::new(),
        };
        loop {
            match words.next()??.as_str() {
                "--folder" => read.folder = words.next()??.into(),
                "--work" => read.work = Some(words.next()??.into()),
                "--relay" => {
                    let to = words.next()??;
                    let port = || to.parse().ok().map(Target::Port);
                    read.relay = Some(if to == INNER { Target::Inner } else { port()? });
                }
                "--shared" => read.shared = true,
                "--rstudio" => read.ending = Ending::RStudio,
                "--" => break,
                _ => return None,
            }
        }
        read.command = words.collect::<Option<_>>()?;
        (read.folder.is_absolute() && !read.command.is_empty()).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_made() {
        let plain = Arguments {
            folder: "/run/apps/a".into(),
            work: None,
            relay: None,
            shared: false,
            ending: Ending::Plain,
            command: vec!["/bin/a".into(), "--folder".into(), "--".into()],
        };
        let full = Arguments {
            work: Some("/mnt/Users/ada".into()),
            relay: Some(Target::Port(8501)),
            shared: true,
            ending: Ending::RStudio,
            ..plain.clone()
        };
        let inner = Arguments { relay: Some(Target::Inner), ..plain.clone() };
        for arguments in [plain, full, inner] {
            let line = arguments.line();
            let (first, rest) = line.split_first().unwrap();
            assert_eq!(first, "attend");
            assert_eq!(Arguments::parse(rest.iter().map(OsString::from)), Some(arguments));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = [
            "",
            "--folder",
            "--folder a -- x",
            "--folder /a --",
            "--folder /a x",
            "--folder /a --relay x -- x",
            "--folder /a --relay 70000 -- x",
        ];
        for line in refused {
            let words = line.split_whitespace().map(OsString::from);
            assert_eq!(Arguments::parse(words), None, "{line}");
        }
    }
}
