//! The arguments and the keys that stationd gives to blobfuse2.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) at: PathBuf,
    pub(crate) cache: PathBuf,
    /// Where the storage and the orders lie.
    pub(crate) folder: PathBuf,
    pub(crate) allow_other: bool,
    pub(crate) read_only: bool,
    pub(crate) owner: (u32, u32),
}

impl Settings {
    pub(crate) fn of(arguments: &[String]) -> Result<Self> {
        let [program, command, at, flags @ ..] = arguments else { bail!("missing command") };
        if command != "mount" {
            bail!("unknown command \"{command}\" for \"blobfuse2\"");
        }
        let flag =
            |name: &str| flags.iter().find_map(|flag| flag.strip_prefix(name)?.strip_prefix('='));
        if !flags.iter().any(|flag| flag == "--foreground") {
            bail!("this stand-in runs in the foreground only");
        }
        let config = flag("--config-file").context("no --config-file")?;
        if Path::new(config).extension().is_none_or(|format| format != "yaml") {
            bail!("invalid config file [Unsupported Config Type]");
        }
        let config: Value = serde_json::from_str(&fs::read_to_string(config)?)?;
        let key = |path: &str| config.pointer(path).unwrap_or(&Value::Null);
        let components = key("/components");
        if *components != serde_json::json!(["libfuse", "file_cache", "attr_cache", "azstorage"]) {
            bail!("config error in pipeline [{components}]");
        }
        if key("/azstorage/account-name").as_str().is_none_or(str::is_empty) {
            bail!(
                "failed to initialize new pipeline [config error in azstorage [account name not provided]]"
            );
        }
        let cache = key("/file_cache/path").as_str();
        let cache = cache.context("config error in file_cache [tmp-path not set]")?;
        let options = flags.iter().skip_while(|flag| *flag != "-o").nth(1);
        let option = |name: &str| {
            let all = options?.split(',');
            all.filter_map(|one| one.split_once('=')).find(|(key, _)| *key == name)?.1.parse().ok()
        };
        let program = PathBuf::from(program);
        Ok(Self {
            at: at.into(),
            cache: cache.into(),
            folder: program.parent().context("it must be called by its whole path")?.to_owned(),
            allow_other: key("/allow-other").as_bool().unwrap_or_default(),
            read_only: key("/read-only").as_bool().unwrap_or_default(),
            owner: (option("uid").unwrap_or_default(), option("gid").unwrap_or_default()),
        })
    }
}
