//! One mistake a line: `text => line field: words of the message`, with ` ; ` for a line
//! break; a row goes on in the next line after a `\`.

use super::*;

fn check_all(table: &str) {
    let table = table.replace("\\\n   ", "");
    for row in table.lines().filter(|row| !row.trim().is_empty()) {
        let (text, rest) = row.trim().split_once(" => ").expect(row);
        let (line, rest) = rest.split_once(' ').expect(row);
        let (field, words) = rest.split_once(": ").expect(row);
        let place = format!("1:{line}");
        expect(&[&lines(text)], &[(&place, field, words)]);
    }
}

fn lines(text: &str) -> String {
    text.replace(" ; ", "\n")
}

#[test]
fn control() {
    let with = |more: &str| {
        let all = "[listen] ; tls = 'self-signed' ; [control] ; address = '0.0.0.0:8711'";
        format!("{all} ; client_ca = '/ca' ; {more}")
    };
    check_all(&format!(
        r"
{} => 6 control.allowed_san: is neither a DNS name nor a URI
{} => 6 control.allowed_san: is empty
{} => 6 control.allowed_san: is neither a DNS name nor a URI
{} => 3 control.allowed_san: is missing
{} => 3 control.tls_key: is missing
",
        with("allowed_san = '10.0.0.1'"),
        with("allowed_san = []"),
        with("allowed_san = ['a.example', '*.example']"),
        with(""),
        with("allowed_san = 'a' ; tls_certificate = '/c'"),
    ));
    check_all(
        r"
[listen] ; tls = 'self-signed' ; [control] ; client_ca = '/ca' ; allowed_san = 'a' \
    => 3 control.address: is missing
[listen] ; tls = 'self-signed' ; [control] ; address = '1.2.3.4:1' ; allowed_san = 'a' \
    => 3 control.client_ca: is missing
[control] ; address = '127.0.0.1:8711' ; client_ca = '/ca' ; allowed_san = 'a' \
    => 2 control.address: there is no certificate for it
[listen] ; tls = 'self-signed' ; [control] ; address = 'x' ; client_ca = '/ca' ; allowed_san = 'a' \
    => 4 control.address: is not an address and a port
",
    );
}

#[test]
fn instance() {
    check_all(
        r#"
[instance] ; name = 'a b' => 2 instance.name: is not a name
[instance] ; name = '' => 2 instance.name: is not a name
[instance] ; name = '-a' => 2 instance.name: is not a name
[instance] ; name = 1 => 2 instance.name: is a number; it must be text in quotes
[instance] ; local_user = 'zed' => 2 instance.local_user: there is no user "zed"
[instance] ; local_user = '' => 2 instance.local_user: there is no user
[instance] ; local_user = 'bob' => 2 instance.local_user: runs as ann and cannot start apps as bob
[instance] ; root_access = 'yes' => 2 instance.root_access: is text
[instance] ; user_folder = '../x' => 2 instance.user_folder: leaves the workspace with ..
[instance] ; user_folder = 'a/../../x' => 2 instance.user_folder: leaves the workspace with ..
[instance] ; user_folder = '/x' => 2 instance.user_folder: is absolute
[instance] ; user_folder = '{name}' => 2 instance.user_folder: other than {user}
[instance] ; user_folder = "a\u0000b" => 2 instance.user_folder: control character
"#,
    );
    let root = config("[instance]\nuser_folder = ''");
    assert_eq!(root.instance.folder_of("ann"), Path::new(""));
}

#[test]
fn listen_address() {
    for bad in ["", "localhost:8710", ":8710", "8710", "127.0.0.1", "127.0.0.1:x", "1.2.3.4:65536"]
    {
        check_all(&format!(
            "[listen] ; address = '{bad}' => 2 listen.address: is not an address and a port; write"
        ));
    }
    for open in ["0.0.0.0:1", "[::]:1", "10.0.0.7:1", "[::ffff:10.0.0.7]:1", "[fe80::1]:1"] {
        check_all(&format!(
            "[listen] ; address = '{open}' => 2 listen.address: and tls is off; set tls ="
        ));
        let text = format!("[listen]\ntls = 'self-signed'\naddress = '{open}'");
        assert!(!config(&text).listen.loopback());
    }
    for own in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        let text = format!("[listen]\naddress = '{own}'");
        assert!(config(&text).listen.loopback());
    }
    check_all(
        "
[listen] ; address = '127.0.0.1:0' => 2 listen.address: port 0
[listen] ; address = true => 2 listen.address: is true or false
",
    );
}

#[test]
fn listen_tls() {
    check_all(
        r#"
[listen] ; tls = 'on' => 2 listen.tls: use one of "off", "self-signed", "files"
[listen] ; tls = true => 2 listen.tls: is true or false; it must be text
[listen] ; tls = 'files' ; tls_key = '/k' => 1 listen.tls_certificate: is missing; name the PEM file
[listen] ; tls = 'files' ; tls_certificate = '/k' => 1 listen.tls_key: is missing
[listen] ; tls = 'files' ; tls_certificate = '/c' ; tls_key = 'k' \
    => 4 listen.tls_key: is not an absolute path
[listen] ; tls = 'files' ; tls_certificate = '/c' ; tls_key = '/k/../l' \
    => 4 listen.tls_key: holds ..
[listen] ; tls = 'files' ; tls_key = '/k' ; tls_certificate = '/missing/c' \
    => 4 listen.tls_certificate: there is no file /missing/c
[listen] ; tls = 'self-signed' ; tls_key = '/k' \
    => 3 listen.tls_key: has no effect without tls = "files"
[listen] ; tls_certificate = '/k' => 2 listen.tls_certificate: has no effect without tls = "files"
[listen] ; address = '0.0.0.0:1' ; tls = 'files' ; tls_key = '/k' \
    => 1 listen.tls_certificate: is missing
[listen] ; address = '0.0.0.0:1' ; tls = 'filse' => 3 listen.tls: is not a known word
"#,
    );
    let both =
        [("1:2", "listen.tls_certificate", "is missing"), ("1:2", "listen.tls_key", "is missing")];
    expect(&["\n[listen]\ntls = 'files'"], &both);
}

#[test]
fn listen_names() {
    check_all(
        r#"
[listen] ; hosts = 'a' => 2 listen.hosts: is text; it must be a list of texts
[listen] ; hosts = [ ; 'ok', ; '*.x', ] => 4 listen.hosts: name every host in full
[listen] ; hosts = [ ; 'ok', ; 5, ] => 4 listen.hosts: is a number
[listen] ; hosts = [ 'a:1' ] => 2 listen.hosts: leave the port out
[listen] ; allowed_origins = ['*'] => 2 listen.allowed_origins: does not begin with
[listen] ; allowed_origins = ['http://a/'] => 2 listen.allowed_origins: holds more than
[listen] ; public_url = 'box.example' => 2 listen.public_url: write it as "https://host"
[listen] ; public_url = 'ftp://box' => 2 listen.public_url: does not begin with http
[listen] ; public_url = 'https://' => 2 listen.public_url: has no valid host
[listen] ; public_url = 'https://box/path' => 2 listen.public_url: without a path
[listen] ; public_url = 'https://u:p@box' => 2 listen.public_url: holds a user name
[listen] ; tls = 'self-signed' ; public_url = 'http://box' \
    => 3 listen.public_url: begin it with https://
"#,
    );
    let many = "'h',".repeat(65);
    check_all(&format!("[listen] ; hosts = [{many}] => 2 listen.hosts: more than 64"));
    let public_host = |url| {
        let text = format!("[listen]\npublic_url = '{url}'");
        config(&text).listen.public_host().unwrap().to_owned()
    };
    assert_eq!(public_host("https://box:8443"), "box");
    assert_eq!(public_host("http://[::1]:80/"), "::1");
}

#[test]
fn identity_and_log() {
    for bad in ["0", "169", "-1", "99999999999999999999"] {
        check_all(&format!(
            "[identity] ; session_hours = {bad} => 2 identity.session_hours: from 1 to 168"
        ));
    }
    check_all(
        r#"
[identity] ; session_hours = 1.5 => 2 identity.session_hours: is a decimal number
[identity] ; session_hours = 2026-01-01 => 2 identity.session_hours: is a date
[identity] ; session_hours = '1' => 2 identity.session_hours: is text
[log] ; level = 'verbose' => 2 log.level: use one of "off", "error"
[log] ; format = 'xml' => 2 log.format: use one of "text", "json"
"#,
    );
}

#[test]
fn apps() {
    const CUSTOM: &str = "[[app]]\nname = 'b'\nkind = 'custom'\ncommand = 'x'\nports = [8000]\n";
    const APP: &str = "[[app]]\nname = 'a'\nkind = 'jupyterlab'\n";
    assert!(config("app = []").apps.is_empty());
    check_all(
        r#"
[app] ; name = 'a' => 1 app: is a table; it must be a list of tables: write [[app]]
app = [1] => 1 app: is a number; it must be a table
# ; [[app]] ; kind = 'jupyterlab' => 2 app.name: is missing
[[app]] ; name = 'a' => 1 app.kind: is missing; add kind = "jupyterlab"
[[app]] ; name = 'A' ; kind = 'jupyterlab' => 2 app.name: is not a name
[[app]] ; name = 'jupyter' ; kind = 'jupyterlab' \
    => 2 app.name: is kept for the classic view of JupyterLab, at /apps/jupyter/; give the app
[[app]] ; name = 'a' ; kind = 'jupyter' ; server = 'shared' \
    => 4 app.server: no app of kind "jupyterlab" whose server could be shared
[[app]] ; name = 'a' ; kind = 'custom' => 1 app.command: is missing; add command = ["PROGRAM"
[[app]] ; name = 'a' ; kind = 'custom' ; command = ['x'] \
    => 4 app.command: not said where the app listens; add ports = [PORT], or let it listen on {socket}
[[app]] ; name = 'a' ; kind = 'custom' ; command = ['x', '{prot}', '{socket}'] \
    => 4 app.command: {prot} is not known; write one of {port}, {socket}, {prefix}, {base_url}, {folder}, or {{prot}}
[[app]] ; name = 'a' ; kind = 'custom' ; command = ['x', '{port}', '{socket}'] \
    => 4 app.command: stands for the one port in ports
[[app]] ; name = 'a' ; kind = 'custom' ; command = ['./x', '{socket}'] => 4 app.command: not an absolute
[[app]] ; name = 'a' ; kind = 'custom' ; command = ['x'] ; ports = [1, 2] => 5 app.ports: from 1024
[[app]] ; name = 'a' ; kind = 'custom' ; command = ['x'] ; ports = [8000, 8001] \
    => 5 app.ports: an app is reached at one port; name exactly one
[[app]] ; name = 'a' ; kind = 'custom' ; command = ['x'] ; ports = [8000] ; health = 'up' \
    => 6 app.health: is not a path
[[app]] ; name = 'a' ; kind = 'rstudio' ; memory_max = '8' => 4 app.memory_max: is not a size; write
[[app]] ; name = 'a' ; kind = 'rstudio' ; memory_max = '1MiB' => 4 app.memory_max: cannot be a limit
[[app]] ; name = 'a' ; kind = 'rstudio' ; idle_stop_minutes = 0 \
    => 4 app.idle_stop_minutes: is out of range
[[app]] ; name = 'a' ; kind = 'x' => 3 app.kind: is not a kind of app
[[app]] ; name = 'a' ; kind = 'jupyterlab' ; start = 'never' => 4 app.start: "boot", "on-demand"
[[app]] ; name = 'a' ; kind = 'jupyterlab' ; command = 'x' => 4 app.command: is not an absolute path
[[app]] ; name = 'a' ; kind = 'jupyterlab' ; command = '~/x' => 4 app.command: without ~
[[app]] ; name = 'a' ; kind = 'jupyterlab' ; ports = [8000] \
    => 4 app.ports: is a key of apps of kind "custom"; remove it
[[app]] ; name = 'a' ; kind = 'jupyterlab' ; server = 'own' \
    => 4 app.server: is a key of apps of kind "jupyter"
"#,
    );
    let twice = [("1:5", "app.name", "named twice, first in 1.toml line 2")];
    expect(&[&format!("{APP}{APP}")], &twice);
    expect(&[APP, APP], &[("2:2", "app.name", "first in 1.toml line 2")]);
    let both = format!("{CUSTOM}{}", CUSTOM.replace("'b'", "'c'"));
    expect(&[&both], &[("1:10", "app.ports", "8000 is named twice, first in 1.toml line 5")]);
    let many: Vec<_> = (0..33).map(|n| APP.replace("'a'", &format!("'a{n}'"))).collect();
    expect(&[&many.concat()], &[("1:98", "app.name", "more than 32 apps")]);
}

#[test]
fn mounts() {
    const MOUNT: &str = "[[mount]]\nname = 'workspace'\ndriver = 'directory'\n";
    check_all(
        r#"
[[mount]] ; name = 'data' ; driver = 'directory' => 2 mount.name: a local folder needs no mount
[[mount]] ; name = 'Data' ; driver = 'nfs' ; export = 's:/e' => 2 mount.name: is not a name
[[mount]] ; name = 'workspace' ; driver = 'blobfuse2' ; container = 'work' ; credential = '/k' \
    => 1 mount.account: is missing; add account
[[mount]] ; name = 'workspace' ; driver = 'rclone' ; account = 'acme' ; container = 'work' \
    => 1 mount.credential: a file with the account's key, readable for root alone
[[mount]] ; name = 'workspace' ; driver = 'rclone' ; account = 'Acme' ; container = 'work' ; credential = '/k' \
    => 4 mount.account: no such name; use 3 to 24 lower-case letters and digits
[[mount]] ; name = 'workspace' ; driver = 'rclone' ; account = 'acme' ; container = 'w' ; credential = '/k' \
    => 5 mount.container: 3 to 63 lower-case letters, digits and '-'
[[mount]] ; name = 'workspace' ; driver = 'rclone' ; account = 'acme' ; container = 'work' ; credential = 'k' \
    => 6 mount.credential: is not an absolute path
[[mount]] ; name = 'a' ; driver = 'rclone' ; account = 'acme' ; container = 'work' ; credential = '/k' ; endpoint = 'acme' \
    => 7 mount.endpoint: is no address
[[mount]] ; name = 'a' ; driver = 'rclone' ; account = 'acme' ; container = 'work' ; credential = '/k' ; subdirectory = 'a/../b' \
    => 7 mount.subdirectory: is no folder
[[mount]] ; name = 'a' ; driver = 'rclone' ; account = 'acme' ; container = 'work' ; authentication = 'msi' ; credential = '/k' \
    => 7 mount.credential: is no key of authentication "msi"
[[mount]] ; name = 'a' ; driver = 'rclone' ; account = 'acme' ; container = 'work' ; authentication = 'x' \
    => 6 mount.authentication: use one of "key", "sas"
[[mount]] ; name = 'a' ; driver = 'rclone' ; account = 'acme' ; container = 'work' ; credential = '/k' ; client_id = 'c' \
    => 7 mount.client_id: belongs to another authentication
[[mount]] ; name = 'a' ; driver = 'rclone' ; remote = 'nas' ; credential = '/c' => 4 mount.remote: is no remote
[[mount]] ; name = 'a' ; driver = 'rclone' ; remote = 'nas:' ; credential = '/c' ; account = 'acme' \
    => 6 mount.account: does not go together with remote
[[mount]] ; name = 'a' ; driver = 'cifs' ; share = '//s' ; credential = '/c' => 4 mount.share: is no share
[[mount]] ; name = 'a' ; driver = 'nfs' ; export = 's' => 4 mount.export: is no export
[[mount]] ; name = 'a' ; driver = 'nfs' ; export = 's:/e' ; cache_max = '1GiB' \
    => 5 mount.cache_max: is no key of driver "nfs"; remove it; it belongs to "blobfuse2" and "rclone"
[[mount]] ; name = 'workspace' ; driver = 'x' => 3 mount.driver: is not a driver; use one of "directory"
[[mount]] ; name = 'workspace' ; driver = 'directory' ; path = 'x' \
    => 4 mount.path: is not an absolute path
[[mount]] ; name = 'workspace' ; driver = 'directory' ; read_only = true \
    => 4 mount.read_only: is no key of driver "directory"
"#,
    );
    expect(&[MOUNT, MOUNT], &[("2:2", "mount.name", "named twice")]);
    let missing = [("1:1", "mount.driver", "is missing"), ("1:1", "mount.name", "is missing")];
    expect(&["[[mount]]\npath = '/x'"], &missing);
}

#[test]
fn keys_that_nobody_takes() {
    check_all(
        r"
[jobs] ; engine = 'docker' => 1 jobs: not supported by this release; remove [jobs]
[[schedule]] ; cron = 'x' => 1 schedule: not supported by this release
[identity] ; issuers = [] => 2 identity.issuers: not supported by this release
[instance.assigned_user] ; x = 1 => 1 instance.assigned_user: remove instance.assigned_user
[listen] ; adress = 'x' => 2 listen.adress: unknown key; did you mean address?
[lisen] ; address = 'x' => 1 lisen: did you mean listen?
address = 'x' => 1 address: address belongs to [listen]
listen.zzz = 1 => 1 listen.zzz: remove it; [listen] takes address, hosts,
listen = 5 => 1 listen: is a number; it must be a table: write [listen]
",
    );
}
