//! What a load can be sent to: the stand-in app directly, or nginx or configurable-http-proxy in
//! front of it. Each as their own documents advise for websockets and large bodies.

use std::path::{Path, PathBuf};

use super::process::{self, Running};

/// One address that answers below `/apps/jupyterlab/`.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// The session, where one is needed.
    pub(super) cookie: Option<String>,
    /// Whose CPU time and memory count. Empty: not measured.
    pub(super) pids: Vec<i32>,
}

impl Target {
    pub(super) fn http_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

/// The path of the app, the same for all.
pub(super) const BASE: &str = "/apps/jupyterlab/";

/// The stand-in app on a Unix socket and on a loopback port.
#[derive(Debug)]
pub(super) struct App {
    running: Running,
    pub(super) socket: PathBuf,
    port: u16,
}

impl App {
    pub(super) fn start(folder: &Path) -> anyhow::Result<Self> {
        let socket = folder.join("app.sock");
        let port = process::free_port()?;
        let mut command = process::command(process::binaries()?.join("fake-jupyter"));
        command
            .arg(format!("--ServerApp.sock={}", socket.display()))
            .arg(format!("--ServerApp.base_url={BASE}"))
            .arg(format!("--bench-port={port}"));
        let running = Running::start(&mut command, &folder.join("app.log"))?;
        answers("the stand-in app", port)?;
        Ok(Self { running, socket, port })
    }

    pub(super) fn direct(&self) -> Target {
        Target {
            name: "direct",
            port: self.port,
            tls: false,
            cookie: None,
            pids: vec![self.running.pid()],
        }
    }
}

/// A proxy with a plain and a TLS port.
#[derive(Debug)]
pub(super) struct Peer {
    name: &'static str,
    running: Vec<Running>,
    port: u16,
    tls_port: u16,
}

impl Peer {
    pub(super) fn clear(&self) -> Target {
        self.target(self.port, false)
    }

    pub(super) fn tls(&self) -> Target {
        self.target(self.tls_port, true)
    }

    fn target(&self, port: u16, tls: bool) -> Target {
        // The node program is one process for each port: only the one that is loaded works.
        let pids = self.running.iter().flat_map(Running::tree).collect();
        Target { name: self.name, port, tls, cookie: None, pids }
    }
}

/// Two workers, keep-alive to the Unix socket, 64 KiB buffers, no access log.
pub(super) fn nginx(folder: &Path, app: &App) -> anyhow::Result<Peer> {
    let (port, tls_port) = (process::free_port()?, process::free_port()?);
    let (certificate, key) = certificate(folder)?;
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let folder_name = folder.display();
    let config = format!(
        "daemon off; {user} worker_processes 2; worker_rlimit_nofile 16384;
pid {folder_name}/nginx.pid; error_log {folder_name}/nginx.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder_name}/t1; proxy_temp_path {folder_name}/t2;
  fastcgi_temp_path {folder_name}/t3; uwsgi_temp_path {folder_name}/t4; scgi_temp_path {folder_name}/t5;
  upstream app {{ server unix:{socket}; keepalive 64; keepalive_requests 1000000; }}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
    keepalive_requests 1000000; client_max_body_size 0; tcp_nodelay on;
    location / {{
      proxy_pass http://app; proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;
      proxy_max_temp_file_size 0; proxy_request_buffering off; proxy_read_timeout 1d;
    }}
  }}
}}
",
        socket = app.socket.display(),
        certificate = certificate.display(),
        key = key.display(),
    );
    let file = folder.join("nginx.conf");
    stationd::os::file::write_atomic(&file, config.as_bytes(), 0o600)?;
    let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    let mut command = process::command(program);
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    let running = Running::start(&mut command, &folder.join("nginx.out"))?;
    answers("nginx", port)?;
    Ok(Peer { name: "nginx", running: vec![running], port, tls_port })
}

/// The proxy of `JupyterHub`, from `.cache/peers`; one process for each port. It reaches the app by
/// TCP, as it does there: to a Unix socket it opens a new connection for every request.
pub(super) fn configurable_http_proxy(folder: &Path, app: &App) -> anyhow::Result<Peer> {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../.cache/peers/node_modules/.bin/configurable-http-proxy");
    let (certificate, key) = certificate(folder)?;
    let start = |port: u16, tls: bool| -> anyhow::Result<Running> {
        let mut command = process::command(&program);
        command
            .args(["--ip", "127.0.0.1", "--log-level", "error"])
            .args(["--port", &port.to_string()])
            .args(["--api-ip", "127.0.0.1"])
            .args(["--api-port", &process::free_port()?.to_string()])
            .args(["--default-target", &format!("http://127.0.0.1:{}", app.port)])
            .env("NODE_ENV", "production");
        if tls {
            command.arg("--ssl-cert").arg(&certificate);
            command.arg("--ssl-key").arg(&key);
        }
        Running::start(&mut command, &folder.join("chp.log"))
    };
    let (port, tls_port) = (process::free_port()?, process::free_port()?);
    let running = vec![start(port, false)?, start(tls_port, true)?];
    answers("configurable-http-proxy", port)?;
    listens("configurable-http-proxy with TLS", tls_port)?;
    Ok(Peer { name: "configurable-http-proxy", running, port, tls_port })
}

/// A self-signed certificate and its key (P-256), made once in each folder.
pub(super) fn certificate(folder: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    if !certificate.exists() {
        let mut command = process::command("openssl");
        command
            .args(["req", "-x509", "-nodes", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .arg("-out")
            .arg(&certificate)
            .arg("-keyout")
            .arg(&key);
        process::output(&mut command)?;
    }
    Ok((certificate, key))
}

fn listens(what: &str, port: u16) -> anyhow::Result<()> {
    process::wait_until(what, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
}

/// Waits until `small` is answered with its 128 bytes.
fn answers(what: &str, port: u16) -> anyhow::Result<()> {
    let url = format!("http://127.0.0.1:{port}{BASE}small");
    process::wait_until(what, || {
        let mut command = process::command("curl");
        command.args(["--silent", "--fail", "--max-time", "2", &url]);
        process::output(&mut command).is_ok_and(|body| body.len() == 128)
    })
}
