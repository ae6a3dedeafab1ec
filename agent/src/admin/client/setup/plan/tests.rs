//! Situations and the steps that they lead to.

use std::collections::BTreeMap;

use station_proto::time::Time;

use super::super::facts::{Held, Python, Stamp};
use super::super::profile::Tools;
use super::*;

type Breaks = fn(&mut Made);

fn made(tool: Tool, pins: &Pins, suffix: &str) -> Made {
    Made {
        name: format!("{}-{}{suffix}", tool.name(), pins.hash()),
        stamp: Some(Stamp {
            profile: tool.profile().name().to_owned(),
            pins_sha256: pins.sha256.clone(),
            python: "3.11".to_owned(),
            packages: BTreeMap::new(),
            time: Time("2026-01-01T00:00:00Z".parse().unwrap()),
        }),
        python: Version::parse("3.11"),
        complete: true,
        in_use: false,
    }
}

fn python(path: &str, version: &str) -> Python {
    let version = Version::parse(version).unwrap();
    Python { path: path.into(), version, ensurepip: true, at_home: false }
}

/// A machine with apt-get and Python, where nothing is set up and the caller is a user.
fn fresh() -> Facts {
    Facts {
        tools: Tools("/t".into()),
        root: false,
        apt: true,
        pythons: vec![python("/usr/bin/python3", "3.11")],
        installed: ["r-base-core", "r-cran-irkernel", "docker.io", "ca-certificates"]
            .map(str::to_owned)
            .into(),
        in_the_way: Vec::new(),
        jupyterlab: Held::default(),
        ml: Held::default(),
        links_right: false,
        kernel: None,
    }
}

/// The same with a whole JupyterLab.
fn with_lab() -> Facts {
    let lab = made(Tool::Jupyterlab, &Tool::Jupyterlab.pins(), "");
    let jupyterlab = Held { link: Some(lab.name.clone()), venvs: vec![lab] };
    Facts { jupyterlab, links_right: true, ..fresh() }
}

/// And with a whole ml environment.
fn with_ml() -> Facts {
    let ml = made(Tool::Ml, &Tool::Ml.pins(), "");
    let kernel = Some(Path::new("/t/venvs").join(&ml.name).join("bin/python"));
    Facts { ml: Held { link: Some(ml.name.clone()), venvs: vec![ml] }, kernel, ..with_lab() }
}

fn wanted(profile: Profile) -> Wanted {
    Wanted { profile, repair: false, pins: None }
}

/// One word for each step: what it does and on which folder, the digests left out.
fn words(steps: &[Step]) -> Vec<String> {
    let lab = Tool::Jupyterlab.pins();
    let ml = Tool::Ml.pins();
    let short = |path: &Path| {
        let text = path.display().to_string();
        let text = text.replace("/t/venvs/", "").replace("venvs/", "").replace("/t/", "");
        text.replace(lab.hash(), "A").replace(ml.hash(), "M")
    };
    let word = |step: &Step| match step {
        Step::Apt { packages, .. } => format!("apt {}", packages.join(" ")),
        Step::MakeVenv { python, at } => format!("make {} {}", short(at), python.display()),
        Step::PipInstall { venv, .. } => format!("install {}", short(venv)),
        Step::Stamp { venv, .. } => format!("stamp {}", short(venv)),
        Step::Kernelspec { jupyterlab, python } => {
            format!("kernel {} {}", short(jupyterlab), short(python))
        }
        Step::Switch { link, to } => format!("switch {} {}", short(link), short(to)),
        Step::Links { venv } => format!("links {}", short(venv)),
        Step::Sweep { venvs } => {
            format!("sweep {}", venvs.iter().map(|path| short(path)).collect::<Vec<_>>().join(" "))
        }
    };
    steps.iter().map(word).collect()
}

fn check(what: &str, facts: &Facts, wanted: &Wanted, expect: &[&str]) {
    assert_eq!(words(&plan(facts, wanted).unwrap()), expect, "{what}");
}

/// What makes the environment `name`.
fn making(name: &str) -> [String; 3] {
    [format!("make {name} /usr/bin/python3"), format!("install {name}"), format!("stamp {name}")]
}

fn check_new(what: &str, facts: &Facts, wanted: &Wanted, name: &str, rest: &[&str]) {
    let start = making(name);
    let all: Vec<&str> = start.iter().map(String::as_str).chain(rest.iter().copied()).collect();
    check(what, facts, wanted, &all);
}

#[test]
fn fresh_and_done() {
    let jupyter = wanted(Profile::Jupyter);
    let rest = ["switch jupyterlab jupyterlab-A", "links jupyterlab-A"];
    check_new("fresh", &fresh(), &jupyter, "jupyterlab-A", &rest);
    check("done", &with_lab(), &jupyter, &[]);
    check(
        "no link in bin",
        &Facts { links_right: false, ..with_lab() },
        &jupyter,
        &["links jupyterlab-A"],
    );
    let rest = ["kernel jupyterlab-A ml-M/bin/python", "switch ml ml-M"];
    check_new("ml beside JupyterLab", &with_lab(), &wanted(Profile::Ml), "ml-M", &rest);
    check("ml done", &with_ml(), &wanted(Profile::Ml), &[]);
    check("jupyter with ml done", &with_ml(), &jupyter, &[]);
    let no_kernel = Facts { kernel: None, ..with_ml() };
    for profile in [Profile::Ml, Profile::Jupyter] {
        let kernel = ["kernel jupyterlab-A ml-M/bin/python"];
        check("the kernel is gone", &no_kernel, &wanted(profile), &kernel);
    }
    let steps = words(&plan(&fresh(), &wanted(Profile::Ml)).unwrap());
    let place = |word: &str| steps.iter().position(|step| step == word).unwrap();
    assert!(place("switch jupyterlab jupyterlab-A") < place("make ml-M /usr/bin/python3"));
}

#[test]
fn other_pins_and_repair_make_a_new_one_and_sweep_the_old() {
    let pins = Pins::of("jupyterlab==9");
    let other = Wanted { pins: Some(pins.clone()), ..wanted(Profile::Jupyter) };
    let new = format!("jupyterlab-{}", pins.hash());
    let switch = format!("switch jupyterlab {new}");
    let links = format!("links {new}");
    let rest = [&*switch, &*links, "sweep jupyterlab-A"];
    check_new("other pins", &with_lab(), &other, &new, &rest);
    let mut used = with_lab();
    used.jupyterlab.venvs[0].in_use = true;
    check_new("the old one is in use", &used, &other, &new, &[&*switch, &*links]);

    let repair = Wanted { repair: true, ..wanted(Profile::Jupyter) };
    let two = ["switch jupyterlab jupyterlab-A-2", "links jupyterlab-A-2", "sweep jupyterlab-A"];
    check_new("repair", &with_lab(), &repair, "jupyterlab-A-2", &two);
    let kernel = "kernel jupyterlab-A-2 ml-M/bin/python";
    let with_kernel = [&[kernel], &two[..]].concat();
    check_new("repair under ml", &with_ml(), &repair, "jupyterlab-A-2", &with_kernel);
    let repair_ml = Wanted { repair: true, ..wanted(Profile::Ml) };
    let rest = ["kernel jupyterlab-A ml-M-2/bin/python", "switch ml ml-M-2", "sweep ml-M"];
    check_new("repair of ml leaves JupyterLab", &with_ml(), &repair_ml, "ml-M-2", &rest);
}

#[test]
fn what_does_not_work_is_made_anew_without_being_asked() {
    let jupyter = wanted(Profile::Jupyter);
    let two = ["switch jupyterlab jupyterlab-A-2", "links jupyterlab-A-2", "sweep jupyterlab-A"];
    let broken: [(&str, Breaks); 4] = [
        ("its python is gone", |made| made.python = None),
        ("its python is another", |made| made.python = Version::parse("3.13")),
        ("jupyter-lab is gone", |made| made.complete = false),
        ("it was never finished", |made| made.stamp = None),
    ];
    for (what, breaks) in broken {
        let mut facts = with_lab();
        breaks(&mut facts.jupyterlab.venvs[0]);
        check_new(what, &facts, &jupyter, "jupyterlab-A-2", &two);
    }
    let mut facts = with_lab();
    facts.jupyterlab.link = None;
    let rest = ["switch jupyterlab jupyterlab-A", "links jupyterlab-A"];
    check("killed before the switch", &facts, &jupyter, &rest);
    let mut facts = with_lab();
    facts
        .jupyterlab
        .venvs
        .push(Made { stamp: None, ..made(Tool::Jupyterlab, &Tool::Jupyterlab.pins(), "-2") });
    check("killed while it was made", &facts, &jupyter, &["sweep jupyterlab-A-2"]);
    facts.jupyterlab.venvs[1].in_use = true;
    check("and something works on it still", &facts, &jupyter, &[]);
    facts.jupyterlab.venvs[0].python = None;
    let three = ["switch jupyterlab jupyterlab-A-3", "links jupyterlab-A-3", "sweep jupyterlab-A"];
    check_new("and the old one is broken", &facts, &jupyter, "jupyterlab-A-3", &three);
    let mut facts = with_lab();
    facts.jupyterlab.venvs[0].stamp.as_mut().unwrap().pins_sha256 = "other".to_owned();
    let steps = words(&plan(&facts, &wanted(Profile::Ml)).unwrap());
    assert_eq!(steps[0], "make ml-M /usr/bin/python3", "a JupyterLab of other pins will do for ml");
}

#[test]
fn packages_of_the_distribution() {
    let r = wanted(Profile::R);
    check("all there", &fresh(), &r, &[]);
    let none = Facts { installed: [].into(), ..fresh() };
    let root = Facts { root: true, ..none.clone() };
    check("root", &root, &r, &["apt r-base-core r-cran-irkernel"]);
    check("docker", &root, &wanted(Profile::Docker), &["apt docker.io ca-certificates"]);
    let half = Facts { installed: ["r-base-core".to_owned()].into(), ..root.clone() };
    check("half", &half, &r, &["apt r-cran-irkernel"]);
    let again = Facts { root: true, ..fresh() };
    let repair = Wanted { repair: true, ..wanted(Profile::Docker) };
    check("repair", &again, &repair, &["apt docker.io ca-certificates"]);
    let refused = plan(&none, &r).unwrap_err().to_string();
    assert!(
        refused.contains("sudo apt-get install --yes r-base-core r-cran-irkernel"),
        "{refused}"
    );
    let refused = plan(&Facts { apt: false, ..root }, &r).unwrap_err().to_string();
    assert!(refused.contains("no apt-get"), "{refused}");
}

#[test]
fn which_python_it_is() {
    let jupyter = wanted(Profile::Jupyter);
    let with = |root, pythons: &[Python]| Facts { root, pythons: pythons.to_vec(), ..fresh() };
    let first = |facts: &Facts| {
        let steps = words(&plan(facts, &jupyter).unwrap());
        steps.into_iter().take(2).collect::<Vec<_>>().join(", ")
    };
    let refused = |facts: &Facts| plan(facts, &jupyter).unwrap_err().to_string();

    let none = "apt python3 python3-venv, make jupyterlab-A /usr/bin/python3";
    assert_eq!(first(&with(true, &[])), none);
    let user = refused(&with(false, &[]));
    assert!(user.contains("sudo apt-get install --yes python3 python3-venv"), "{user}");

    let bare = Python { ensurepip: false, ..python("/usr/bin/python3", "3.11") };
    let venv = "apt python3.11-venv, make jupyterlab-A /usr/bin/python3";
    assert_eq!(first(&with(true, std::slice::from_ref(&bare))), venv);
    let user = refused(&with(false, std::slice::from_ref(&bare)));
    assert!(user.contains("sudo apt-get install --yes python3.11-venv"), "{user}");
    let conda = python("/home/ada/conda/bin/python3", "3.12");
    assert!(first(&with(false, &[bare, conda.clone()])).starts_with("make jupyterlab-A /home/ada"));
    let bare_conda = Python { ensurepip: false, ..conda.clone() };
    assert!(refused(&with(false, &[bare_conda])).contains("/home/ada/conda/bin/python3"));

    let old = python("/usr/bin/python3", "3.10");
    let newer = python("/usr/bin/python3.12", "3.12");
    assert!(first(&with(false, &[old.clone(), newer])).contains(" /usr/bin/python3.12,"));
    let too_old = refused(&with(true, std::slice::from_ref(&old)));
    assert!(too_old.contains("3.11 or newer") && too_old.contains("3.10"), "{too_old}");
    let newest = with(true, &[python("/usr/bin/python3", "3.14")]);
    assert!(first(&newest).starts_with("make jupyterlab-A"));
    let too_new = plan(&newest, &wanted(Profile::Ml)).unwrap_err().to_string();
    assert!(too_new.contains("3.11 to 3.13") && too_new.contains("python3.13-venv"), "{too_new}");
    let pins = Some(Pins::of("jupyterlab==1"));
    assert!(plan(&with(false, &[old]), &Wanted { pins, ..jupyter.clone() }).is_ok());

    // Nobody but root reaches what lies in root's home.
    let own = Python { at_home: true, ..conda };
    let both = [own.clone(), python("/usr/bin/python3", "3.11")];
    assert!(first(&with(true, &both)).starts_with("make jupyterlab-A /usr/bin/python3"));
    assert!(first(&with(false, &both)).starts_with("make jupyterlab-A /home/ada"));
    assert!(first(&with(true, &[own])).starts_with("make jupyterlab-A /home/ada"));
}

#[test]
fn what_others_made_is_left_alone() {
    let facts = Facts { in_the_way: vec!["/t/bin/jupyter-lab".into()], ..fresh() };
    let refused = plan(&facts, &wanted(Profile::Jupyter)).unwrap_err().to_string();
    assert!(refused.contains("/t/bin/jupyter-lab"), "{refused}");
    check("docker has nothing to do with it", &facts, &wanted(Profile::Docker), &[]);
}
