//! `stationctl setup` against an index of two tiny packages that the test writes: what it leaves
//! when it succeeds, when it fails, and when it is ended in the middle.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use station_tests::process::{self, Output};
use stationd::os::process::signal;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Python makes an environment and fills it.
const LIMIT: Duration = Duration::from_secs(120);
const ONE: &str = "jupyterlab==1.0\n";
const TWO: &str = "jupyterlab==2.0\n";

/// A home, and wheels beside it.
struct Setup {
    folder: TempDir,
}

impl Setup {
    async fn new() -> Result<Self> {
        let setup = Self { folder: tempfile::tempdir()? };
        for version in ["1.0", "2.0"] {
            let script = "jupyter-lab = jupyterlab:main\njupyter = jupyterlab:main";
            let code = format!("def main():\n    print('lab {version}')\n");
            setup.wheel("jupyterlab", version, (script, &code)).await?;
        }
        setup.wheel("ipykernel", "1.0", ("", "")).await?;
        setup.pins(ONE)?;
        Ok(setup)
    }

    /// Writes a package of one module with scripts; ipykernel has its kernel.json too.
    async fn wheel(&self, name: &str, version: &str, content: (&str, &str)) -> Result<()> {
        let (scripts, code) = content;
        let wheels = self.path("wheels");
        let parts = tempfile::tempdir()?;
        let info = format!("{name}-{version}.dist-info");
        let kernel =
            format!("{name}-{version}.data/data/share/jupyter/kernels/python3/kernel.json");
        for (file, text) in [
            (format!("{name}.py"), code.to_owned()),
            (format!("{info}/METADATA"), metadata(name, version)),
            (format!("{info}/WHEEL"), wheel_tags()),
            (format!("{info}/RECORD"), String::new()),
            (format!("{info}/entry_points.txt"), format!("[console_scripts]\n{scripts}\n")),
            (kernel, "{}".to_owned()),
        ] {
            let path = parts.path().join(file);
            std::fs::create_dir_all(path.parent().context("no parent")?)?;
            stationd::os::file::write_atomic(&path, text.as_bytes(), 0o644)?;
        }
        std::fs::create_dir_all(&wheels)?;
        let mut zip = process::command(Path::new("/usr/bin/env"));
        zip.current_dir(parts.path()).args(["python3", "-m", "zipfile", "-c"]);
        zip.arg(wheels.join(format!("{name}-{version}-py3-none-any.whl")))
            .arg(format!("{name}.py"));
        zip.args([info, format!("{name}-{version}.data")]);
        let done = process::run(zip, LIMIT).await?;
        ensure!(done.status.success(), "{}", done.all());
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tools(&self) -> PathBuf {
        self.path("home/tools")
    }

    fn pins(&self, text: &str) -> Result<()> {
        Ok(stationd::os::file::write_atomic(&self.path("pins.txt"), text.as_bytes(), 0o600)?)
    }

    /// The command; a hostile environment shows that none of it gets through.
    fn command(&self, arguments: &[&str]) -> Result<tokio::process::Command> {
        let mut command = process::command(&process::binary("stationctl")?);
        command.arg("--home").arg(self.path("home")).arg("setup").args(arguments);
        command.arg("--pins").arg(self.path("pins.txt"));
        command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", self.path("wheels"));
        for name in ["PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "VIRTUAL_ENV", "PIP_PREFIX"] {
            command.env(name, self.path("elsewhere"));
        }
        command.env("PIP_USER", "1");
        Ok(command)
    }

    async fn run(&self, arguments: &[&str]) -> Result<Output> {
        process::run(self.command(arguments)?, LIMIT).await
    }

    async fn must(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments).await?;
        ensure!(output.status.success(), "{}", output.all());
        Ok(output.stdout)
    }

    /// What the program says to which the link in `bin` leads.
    async fn lab(&self) -> Result<String> {
        let program = process::command(&self.tools().join("bin/jupyter-lab"));
        let output = process::run(program, LIMIT).await?;
        ensure!(output.status.success(), "{}", output.all());
        Ok(output.stdout.trim().to_owned())
    }

    /// Everything below the tools folder, with what links lead to and when files were changed.
    fn picture(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![self.tools()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let (path, about) = entry.map(|entry| (entry.path(), entry.metadata()))?;
                let about = about?;
                if about.is_dir() {
                    folders.push(path.clone());
                }
                let to = std::fs::read_link(&path).unwrap_or_default();
                found.push(format!("{} {} {:?}", path.display(), to.display(), about.modified()?));
            }
        }
        found.sort();
        Ok(found)
    }

    fn venvs(&self) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.tools().join("venvs"))?;
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            Ok(entry?.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect()
    }

    /// Starts a setup that asks an index which never answers; comes back when pip has asked.
    async fn hanging(&self) -> Result<(tokio::process::Child, tokio::net::TcpStream)> {
        let index = TcpListener::bind("127.0.0.1:0").await?;
        let mut command = self.command(&["jupyter"])?;
        command.env_remove("PIP_NO_INDEX").env_remove("PIP_FIND_LINKS");
        command.env("PIP_INDEX_URL", format!("http://{}/simple", index.local_addr()?));
        // It would end by itself before long otherwise.
        command.env("PIP_DEFAULT_TIMEOUT", "600");
        let piped = std::process::Stdio::piped;
        let child = command.stdout(piped()).stderr(piped()).kill_on_drop(true).spawn()?;
        let (asked, _) = tokio::time::timeout(LIMIT, index.accept()).await??;
        Ok((child, asked))
    }

    /// Waits until no process of the tools folder is left.
    async fn alone(&self) -> Result<()> {
        let none = || process::of_home(&self.tools()).is_empty().then_some(());
        process::eventually("pip has ended", LIMIT, none).await
    }
}

fn metadata(name: &str, version: &str) -> String {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
}

fn wheel_tags() -> String {
    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned()
}

#[tokio::test]
async fn it_installs_once_and_other_pins_replace_it() {
    let setup = Setup::new().await.unwrap();
    let plan = setup.must(&["jupyter", "--dry-run"]).await.unwrap();
    assert!(plan.contains("installs 1 package into jupyterlab-"), "{plan}");
    assert!(!setup.path("home").exists(), "a dry run changes nothing");

    let said = setup.must(&["jupyter"]).await.unwrap();
    assert!(said.contains("[1/5] ") && said.contains("[5/5] "), "{said}");
    assert_eq!(setup.lab().await.unwrap(), "lab 1.0");
    assert!(!setup.path("elsewhere").exists());
    let venv = std::fs::read_link(setup.tools().join("jupyterlab")).unwrap();
    assert!(venv.starts_with("venvs"), "{}", venv.display());
    let stamp = std::fs::read(setup.tools().join(&venv).join("stationd-setup.json")).unwrap();
    let stamp: serde_json::Value = serde_json::from_slice(&stamp).unwrap();
    assert_eq!(
        (&stamp["profile"], &stamp["packages"]["jupyterlab"]),
        (&"jupyter".into(), &"1.0".into())
    );
    let log = std::fs::read_to_string(setup.tools().join("setup-jupyter.log")).unwrap();
    assert!(log.contains("Successfully installed jupyterlab-1.0"), "{log}");

    let before = setup.picture().unwrap();
    let again = setup.must(&["jupyter"]).await.unwrap();
    assert!(again.contains("nothing to do"), "{again}");
    setup.pins(TWO).unwrap();
    let plan = setup.must(&["jupyter", "--dry-run"]).await.unwrap();
    assert!(plan.contains("switches tools/jupyterlab") && plan.contains("removes "), "{plan}");
    let without_lock = |picture: Vec<String>| -> Vec<String> {
        picture.into_iter().filter(|line| !line.contains("setup.lock")).collect()
    };
    assert_eq!(without_lock(setup.picture().unwrap()), without_lock(before));

    let done = setup.must(&["jupyter", "--json"]).await.unwrap();
    let done: serde_json::Value = serde_json::from_str(&done).unwrap();
    assert_eq!(
        (&done["done"], done["steps"].as_array().unwrap().len()),
        (&true.into(), 6),
        "{done}"
    );
    assert_eq!(setup.lab().await.unwrap(), "lab 2.0");
    assert_eq!(setup.venvs().unwrap().len(), 1, "the old one is swept");
}

#[tokio::test]
async fn a_kill_in_the_middle_leaves_the_old_one_and_the_next_run_finishes() {
    let setup = Setup::new().await.unwrap();
    setup.must(&["jupyter"]).await.unwrap();
    setup.pins(TWO).unwrap();
    let (mut child, _asked) = setup.hanging().await.unwrap();
    // Meanwhile nobody else may begin.
    let second = setup.run(&["jupyter"]).await.unwrap();
    let holder = format!("process {}", child.id().unwrap());
    assert_eq!(second.status.code(), Some(1));
    assert!(second.stderr.contains(&holder) && second.stderr.contains("wait"), "{}", second.all());
    child.kill().await.unwrap();
    assert_eq!(setup.lab().await.unwrap(), "lab 1.0");
    setup.alone().await.unwrap();
    assert_eq!(setup.venvs().unwrap().len(), 2, "the half-made one is there");
    setup.must(&["jupyter"]).await.unwrap();
    assert_eq!(setup.lab().await.unwrap(), "lab 2.0");
    assert_eq!(setup.venvs().unwrap().len(), 1);
}

#[tokio::test]
async fn an_interrupt_ends_pip_too_and_says_so() {
    let setup = Setup::new().await.unwrap();
    let (child, _asked) = setup.hanging().await.unwrap();
    signal(i32::try_from(child.id().unwrap()).unwrap(), Signal::SIGINT).unwrap();
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    assert!(process::of_home(&setup.tools()).is_empty(), "pip is killed before stationctl ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("SIGINT"), "{said}");
}

#[tokio::test]
async fn a_pin_that_does_not_exist_is_named_and_the_old_one_stays() {
    let setup = Setup::new().await.unwrap();
    setup.must(&["jupyter"]).await.unwrap();
    setup.pins("jupyterlab==2.0\nnot-there==3.0\n").unwrap();
    let failed = setup.run(&["jupyter"]).await.unwrap();
    assert_eq!(failed.status.code(), Some(1));
    for part in ["the index has no not-there==3.0", "setup-jupyter.log", "    ERROR:"] {
        assert!(failed.stderr.contains(part), "{part}: {}", failed.all());
    }
    assert!(
        failed.stdout.contains("[2/6]") && failed.stdout.contains("failed"),
        "{}",
        failed.all()
    );
    assert_eq!(setup.lab().await.unwrap(), "lab 1.0");
    setup.pins("ipykernel==1.0\n").unwrap();
    let failed = setup.run(&["jupyter", "--json"]).await.unwrap();
    assert!(failed.stderr.contains("no jupyterlab"), "{}", failed.all());
    let answer: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(answer["done"], false);
    assert_eq!(setup.lab().await.unwrap(), "lab 1.0");
    setup.pins(ONE).unwrap();
    let plan = setup.must(&["jupyter"]).await.unwrap();
    assert!(plan.contains("[1/1] removes"), "{plan}");
    assert_eq!(setup.venvs().unwrap().len(), 1);
}

#[tokio::test]
async fn repair_brings_back_what_was_deleted() {
    let setup = Setup::new().await.unwrap();
    setup.must(&["jupyter"]).await.unwrap();
    let lab = setup.tools().join("jupyterlab").canonicalize().unwrap();
    // One that shows is mended without being asked, one that does not with --repair.
    std::fs::remove_file(lab.join("bin/jupyter-lab")).unwrap();
    setup.must(&["jupyter"]).await.unwrap();
    assert_eq!(setup.lab().await.unwrap(), "lab 1.0");
    let lib = setup.tools().join("jupyterlab/lib");
    let python = std::fs::read_dir(lib).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(python.join("site-packages/jupyterlab.py")).unwrap();
    let caches = python.join("site-packages/__pycache__");
    std::fs::remove_dir_all(caches).unwrap_or_default();
    assert!(setup.lab().await.is_err());
    assert!(setup.must(&["jupyter"]).await.unwrap().contains("nothing to do"));
    setup.must(&["jupyter", "--repair"]).await.unwrap();
    assert_eq!(setup.lab().await.unwrap(), "lab 1.0");
    assert_eq!(setup.venvs().unwrap().len(), 1);
    // A Python that was upgraded away.
    let link = setup.tools().join("jupyterlab/bin/python3");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/none/python3", &link).unwrap();
    let python = setup.tools().join("jupyterlab/bin/python");
    std::fs::remove_file(&python).unwrap();
    std::os::unix::fs::symlink("python3", &python).unwrap();
    setup.must(&["jupyter"]).await.unwrap();
    assert_eq!(setup.lab().await.unwrap(), "lab 1.0");
}

#[tokio::test]
async fn ml_is_a_kernel_of_jupyterlab_and_stays_one() {
    let setup = Setup::new().await.unwrap();
    setup.must(&["jupyter"]).await.unwrap();
    setup.pins("ipykernel==1.0\n").unwrap();
    setup.must(&["ml"]).await.unwrap();
    let spec = setup.tools().join("jupyterlab/share/jupyter/kernels/ml/kernel.json");
    let kernel =
        || -> serde_json::Value { serde_json::from_slice(&std::fs::read(&spec).unwrap()).unwrap() };
    assert_eq!(kernel()["display_name"], "Python (ml)");
    let python = PathBuf::from(kernel()["argv"][0].as_str().unwrap());
    assert_eq!(python, setup.tools().join("ml").canonicalize().unwrap().join("bin/python"));
    assert!(python.exists());
    assert!(setup.must(&["ml"]).await.unwrap().contains("nothing to do"));
    setup.pins(TWO).unwrap();
    setup.must(&["jupyter"]).await.unwrap();
    assert_eq!(kernel()["argv"][0], python.to_str().unwrap());
    assert_eq!(setup.lab().await.unwrap(), "lab 2.0");
}

#[tokio::test]
async fn wrong_words_and_things_in_the_way_are_told() {
    let setup = Setup::new().await.unwrap();
    let check = async |arguments: &[&str], code, part: &str| {
        let output = setup.run(arguments).await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", output.all());
        assert!(output.stderr.contains(part), "{part}: {}", output.all());
    };
    check(&["docker"], 2, "--pins is for jupyter and ml").await;
    check(&["nonsense"], 2, "jupyter").await;
    std::fs::create_dir_all(setup.tools().join("jupyterlab")).unwrap();
    check(&["jupyter"], 1, "tools/jupyterlab was not made by setup").await;
    setup.pins("# nothing\n").unwrap();
    check(&["jupyter"], 2, "names no package").await;
    std::fs::remove_file(setup.path("pins.txt")).unwrap();
    check(&["jupyter"], 2, "pins.txt").await;
}

/// The machine's own apt-get is not asked: stand-ins write down what they were told.
#[tokio::test]
async fn packages_of_the_distribution_need_root_and_are_asked_of_apt() {
    let setup = Setup::new().await.unwrap();
    let bin = setup.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let said = setup.path("said");
    let script = |name: &str, text: &str| {
        let text = format!("#!/bin/sh\n{text}\n");
        stationd::os::file::write_atomic(&bin.join(name), text.as_bytes(), 0o755).unwrap();
    };
    script("apt-get", &format!("echo \"$@\" >>{0}; [ ! -e {0}.bad ] || exit 100", said.display()));
    script(
        "dpkg",
        &format!("[ $1 = --audit ] && echo half; echo dpkg \"$@\" >>{}", said.display()),
    );
    script("dpkg-query", &format!("[ -e {}.done ] && printf installed", said.display()));
    let run = async |arguments: &[&str]| {
        let mut command = process::command(&process::binary("stationctl").unwrap());
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        command.arg("--home").arg(setup.path("home")).arg("setup").args(arguments);
        process::run(command, LIMIT).await.unwrap()
    };
    let first = run(&["r"]).await;
    if nix::unistd::geteuid().is_root() {
        assert!(first.status.success(), "{}", first.all());
        let told = std::fs::read_to_string(&said).unwrap();
        let told: Vec<&str> = told.lines().collect();
        assert_eq!(told[..2], ["dpkg --audit", "dpkg --configure -a"]);
        assert!(told[2].ends_with(" update"), "{told:?}");
        assert!(told[3].ends_with(" install --yes --reinstall -- r-base-core r-cran-irkernel"));
        let docker = run(&["docker"]).await;
        assert!(docker.status.success(), "{}", docker.all());
        let told = std::fs::read_to_string(&said).unwrap();
        let last = told.lines().last().unwrap();
        let expected =
            " install --yes --reinstall --no-install-recommends -- docker.io ca-certificates";
        assert!(last.ends_with(expected), "{last}");
        std::fs::File::create(said.with_added_extension("bad")).unwrap();
        let failed = run(&["docker"]).await;
        assert_eq!(failed.status.code(), Some(1), "{}", failed.all());
        assert!(failed.stderr.contains("apt-get update failed"), "{}", failed.all());
    } else {
        assert_eq!(first.status.code(), Some(4), "{}", first.all());
        let remedy = "sudo apt-get install --yes r-base-core r-cran-irkernel";
        assert!(first.stderr.contains(remedy), "{}", first.all());
    }
    std::fs::File::create(said.with_added_extension("done")).unwrap();
    let done = run(&["r"]).await;
    assert!(done.status.success() && done.stdout.contains("nothing to do"), "{}", done.all());
}
