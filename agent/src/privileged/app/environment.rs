//! What an app may see of stationd's own environment: a list, and nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Passed by name: language, time zone, where the machine keeps its certificates and proxies.
const PASSED: [&str; 20] = [
    "LANG",
    "LANGUAGE",
    "TZ",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "CUDA_HOME",
    "LD_LIBRARY_PATH",
    "NVIDIA_VISIBLE_DEVICES",
    "RSTUDIO_CONFIG_DIR",
];
/// Passed by how they begin: the machine's settings for locale and package tools.
const PASSED_STARTS: [&str; 4] = ["LC_", "PIP_", "UV_", "CONDA_PKGS_"];

/// The variables that apps get, out of all there are.
pub fn passed(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<String, String> {
    variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| {
            PASSED.contains(&name.as_str())
                || PASSED_STARTS.iter().any(|start| name.starts_with(start))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_variables_pass() {
        let all = [
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C"),
            ("PIP_INDEX_URL", "https://packages.example"),
            ("STATIOND_HOME", "/x"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("NOTIFY_SOCKET", "/run/systemd/notify"),
        ];
        let passed = passed(all.map(|(name, value)| (name.into(), value.into())));
        let names: Vec<_> = passed.keys().map(String::as_str).collect();
        assert_eq!(names, ["LANG", "LC_ALL", "PIP_INDEX_URL"]);
    }
}
