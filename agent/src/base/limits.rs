//! Every queue, wait and size that a client, an app or a fault could stretch has its number here.

use std::time::Duration;

/// Commands waiting for one feature's task.
pub const COMMANDS: usize = 64;
/// Events a slow subscriber may fall behind before it must read the store.
pub const EVENT_BACKLOG: usize = 1024;
/// Events held in memory while the disk does not take them.
pub const EVENTS_UNWRITTEN: usize = 4096;
/// Events kept in the store; older ones answer 410.
pub const EVENTS_KEPT: u64 = 100_000;

/// A request head must be complete after this long (slow-loris).
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A TLS handshake must be complete after this long.
pub const TLS_TIMEOUT: Duration = Duration::from_secs(5);
/// Header fields in one request.
pub const HEADERS: usize = 64;
/// Bytes of buffer one HTTP connection may hold.
pub const CONNECTION_BUFFER: usize = 64 * 1024;
/// Pause of a listener after an accept that failed (no descriptors left, say).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Open connections on the public listener.
pub const CONNECTIONS: usize = 8192;
/// Largest body that the API takes.
pub const API_BODY: usize = 64 * 1024;
/// Largest answer that stationd reads from an app's own API.
pub const APP_ANSWER: usize = 1024 * 1024;

/// How long a stop may take before what is left is killed.
pub const APP_STOP: Duration = Duration::from_secs(30);
/// How long an app may take until it answers.
pub const APP_START: Duration = Duration::from_secs(60);
/// How long requests in flight may take after SIGTERM.
pub const DRAIN: Duration = Duration::from_secs(2);
/// One write to the store.
pub const STORE_WRITE: Duration = Duration::from_secs(10);

/// How long a change of status waits for its number before it is published without.
pub const STATUS_WRITE: Duration = Duration::from_millis(500);

/// Size at which a log file is rotated, and how many are kept.
pub const LOG_FILE_BYTES: u64 = 10 * 1024 * 1024;
pub const LOG_FILES: u32 = 5;
/// Log lines shown on an error page and by `app logs` without `--lines`.
pub const LOG_TAIL_LINES: usize = 200;
