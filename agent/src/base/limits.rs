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

/// Polls that may wait for a change at one time; further ones are told to come again.
pub const WAITING_POLLS: usize = 256;
/// The most seconds after which who was sent away is to come again. Each is told another number, so that
/// not all come at once.
pub const COME_AGAIN: u32 = 10;

/// Keys of entries that went from the status, remembered for pollers that ask what changed. Older
/// ones answer 410.
pub const GONE_KEYS: usize = 256;

/// A request head must be complete after this long (slow-loris).
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A TLS handshake must be complete after this long.
pub const TLS_TIMEOUT: Duration = Duration::from_secs(5);
/// An open connection may wait this long for its next request.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// A request body may take for ever, but its next byte must come within this time. The same holds
/// for a client that does not take what it is sent.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(300);
/// Header fields in one request.
pub const HEADERS: usize = 64;
/// Bytes of buffer one HTTP connection may hold.
pub const CONNECTION_BUFFER: usize = 64 * 1024;
/// Pause of a listener after an accept that failed (no descriptors left, say).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Open connections on the public listener, if there are descriptors enough: see [`connections`].
pub const CONNECTIONS: usize = 8192;
/// Descriptors of one of them: its own, and that of the app's socket behind it.
pub const CONNECTION_DESCRIPTORS: u64 = 2;
/// Descriptors that the public listener leaves to everything else: some 40 of the daemon itself (event
/// loops, database, listeners), 32 idle connections to an app, 64 of the admin socket, 32 of kernels'
/// websockets, and room for keepers, probes, files that are read.
pub const DESCRIPTORS_RESERVED: u64 = 192;
/// Connections of the control plane, one descriptor each.
pub const CONTROL_CONNECTIONS: usize = 64;
/// Public connections that there are in any case.
pub const CONNECTIONS_LEAST: usize = 16;
/// How long an accepted connection that has sent nothing yet may take to send its request after the
/// stop began: closing it at once would lose the one that is on its way.
pub const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// How long an app may take to close a websocket when it is asked to at a stop.
pub const APP_CLOSES: Duration = Duration::from_millis(200);
/// How long a client may take to answer the Close of its websocket at a stop.
pub const CLOSE_ANSWER: Duration = Duration::from_millis(300);
/// Connections that are told at once that nothing is served here; further ones are just closed.
pub const TURNED_AWAY: usize = 32;
/// How long telling one of them may take.
pub const TURN_AWAY: Duration = Duration::from_secs(2);
/// Open connections on the admin socket: of each user who may do something, and of all others
/// together.
pub const ADMIN_CONNECTIONS: usize = 64;
/// Threads that serve the public listener's connections.
pub const LANES: usize = 2;
/// How long a connection to an app's socket may take.
pub const APP_CONNECT: Duration = Duration::from_secs(5);
/// How long a person who opens a page waits for an app that answers no probe.
pub const APP_PATIENCE: Duration = Duration::from_secs(5);
/// How long the supervision may take to begin the start that a request asked for.
pub const APP_WAKE: Duration = Duration::from_secs(5);
/// Idle connections kept to one app, and for how long.
pub const APP_IDLE_CONNECTIONS: usize = 32;
pub const APP_IDLE: Duration = Duration::from_secs(30);
/// Buffers of 64 KiB that all tunnels may hold at once; more get small ones.
pub const TUNNEL_BUFFERS: usize = 256;
/// How often a tunnel asks whether its session still holds.
pub const TUNNEL_CHECK: Duration = Duration::from_secs(60);
/// How often a stream of events asks whether its session still holds.
pub const STREAM_CHECK: Duration = Duration::from_secs(30);
/// Largest message that a reader of events may send; nothing of it is used.
pub const EVENT_MESSAGE: usize = 4 * 1024;
/// App tokens at one time, and the bytes of the note of one.
pub const TOKENS: usize = 256;
pub const TOKEN_NOTE: usize = 200;
/// How long an app token may live, and how long it does where nobody says.
pub const TOKEN_LIFE_LEAST: Duration = Duration::from_secs(60);
pub const TOKEN_LIFE_MOST: Duration = Duration::from_secs(90 * 24 * 3600);
pub const TOKEN_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Largest body that the API takes.
pub const API_BODY: usize = 64 * 1024;
/// Largest answer of the API that is compressed.
pub const GZIP_ANSWER: usize = 4 * 1024 * 1024;
/// Largest answer that stationd reads from an app's own API.
pub const APP_ANSWER: usize = 1024 * 1024;

/// How long a stop may take before what is left is killed.
pub const APP_STOP: Duration = Duration::from_secs(30);
/// How long an app may take until it answers.
pub const APP_START: Duration = Duration::from_secs(60);
/// Threads in the trace of an aborted daemon, and the bytes of it that are read again.
pub const TRACE_THREADS: usize = 200;
pub const TRACE_BYTES: u64 = 256 * 1024;
/// Lines of it that its event shows.
pub const TRACE_LINES: usize = 12;
/// How long a loop has for a sign before the trace is written, and how long the writing may take.
pub const TRACE_SIGN: Duration = Duration::from_millis(300);
pub const TRACE_WRITE: Duration = Duration::from_secs(2);

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
/// Log lines kept with the cause of an end.
pub const CAUSE_LINES: usize = 20;
/// Bytes read from the end of a log to find its last lines, and of one line.
pub const LOG_TAIL_BYTES: u64 = 1024 * 1024;
pub const LOG_LINE_BYTES: usize = 4096;

/// Programs that may listen to one keeper, and the bytes of a line that one may send.
pub const KEEPER_CLIENTS: usize = 8;
pub const KEEPER_LINE: usize = 4096;
/// How long a keeper may take to start its app.
pub const KEEPER_START: Duration = Duration::from_secs(20);
/// How long killed processes may take to disappear.
pub const KILL_WAIT: Duration = Duration::from_secs(5);
/// Bytes that a program may print on each output when it is run for what it says.
pub const COMMAND_OUTPUT: usize = 64 * 1024;
/// How long a step done under the user's account may take (a dead mount hangs).
pub const USER_STEP: Duration = Duration::from_secs(10);
/// Starts of one app in a minute, whoever asked for them.
pub const APP_STARTS_PER_MINUTE: usize = 8;
/// One question to an app's own API.
pub const APP_PROBE: Duration = Duration::from_secs(5);

/// One question to another part of the station: how many at once, its bytes, those of its answer,
/// and how long reading or writing one may take.
pub const CALLS: usize = 64;
pub const CALL_QUESTION: u64 = 16 * 1024;
pub const CALL_ANSWER: u64 = 1024 * 1024;
pub const CALL_READ: Duration = Duration::from_secs(5);
/// A part that starts with the first question ends when none came for so long.
pub const PART_IDLE: Duration = Duration::from_secs(60);
/// Connections that one relay carries at once.
pub const RELAY_CONNECTIONS: usize = 1024;
/// One call to PID 1.
pub const BUS: Duration = Duration::from_secs(10);
/// Kernel websockets whose output is kept until the client has it, in stationd: each takes one
/// descriptor more, of those that are reserved.
pub const KEPT_TUNNELS: usize = 32;
/// Sessions whose output an attendant keeps while nobody is connected; the oldest is forgotten.
pub const KEPT_SESSIONS: usize = 64;
/// Bytes of one session: a message that is larger is passed on and not kept.
pub const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// How much a kernel may say to an absent client, and how long that one may be absent, before its
/// websocket is closed: from then on Jupyter itself keeps what comes.
pub const ABSENT_BYTES: usize = 1024 * 1024;
pub const ABSENT: Duration = Duration::from_secs(60);
/// How long Jupyter may take to close a websocket when it is asked to.
pub const JUPYTER_CLOSES: Duration = Duration::from_secs(5);
/// Everything before an app's program is started: finding it, and making its folders.
pub const START_STEPS: Duration = Duration::from_secs(60);

/// How many public connections there may be with so many descriptors.
pub fn connections(descriptors: u64) -> usize {
    let left = descriptors.saturating_sub(DESCRIPTORS_RESERVED) / CONNECTION_DESCRIPTORS;
    usize::try_from(left).map_or(CONNECTIONS, |left| left.clamp(CONNECTIONS_LEAST, CONNECTIONS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_make_few_connections() {
        let of = [0, 256, 1024, 20_000, u64::MAX].map(connections);
        assert_eq!(of, [CONNECTIONS_LEAST, 32, 416, CONNECTIONS, CONNECTIONS]);
    }
}
