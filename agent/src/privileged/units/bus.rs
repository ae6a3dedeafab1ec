//! PID 1 over D-Bus: `org.freedesktop.systemd1`, as org.freedesktop.systemd1(5) describes it.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use serde::Deserialize;
use zbus::{Connection, Message, OwnedObjectPath, OwnedVariant, Variant};

use super::judge::{ActiveState, Seen};
use super::properties::{Properties, Value};
use crate::base::limits;
use crate::os::clock;
use crate::privileged::Refusal;

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE_UNIT: &str = "org.freedesktop.systemd1.Service";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const NOT_LOADED: &str = "org.freedesktop.systemd1.NoSuchProcess";

/// How often a unit that changes is looked at, the first time and at most.
const STEP: Duration = Duration::from_millis(2);
const STEP_MAX: Duration = Duration::from_millis(50);

/// One connection, for one verb: dbus may have been restarted since the last.
pub(super) struct Bus(Connection);

/// A unit whose program has been started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) invocation: String,
}

impl Bus {
    pub(super) async fn connect() -> Result<Self, Refusal> {
        if cfg!(test) {
            // A test as root would steer the machine that it runs on.
            return Err(Refusal::Unreachable("no D-Bus in tests".to_owned()));
        }
        let connection = limited(Connection::system()).await?;
        let unreachable = |error| Refusal::Unreachable(format!("no D-Bus: {error}"));
        Ok(Self(connection.map_err(unreachable)?))
    }

    async fn manager<B>(&self, method: &str, body: &B) -> Result<Message, zbus::Error>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let called = self.0.call_method(Some(SERVICE), MANAGER_PATH, Some(MANAGER), method, body);
        match limited(called).await {
            Ok(answer) => answer,
            Err(refusal) => Err(zbus::Error::Failure(refusal.to_string())),
        }
    }

    /// Starts a transient unit and waits until its program has been executed, or could not be.
    pub(super) async fn start(
        &self,
        unit: &str,
        properties: &Properties,
    ) -> Result<Started, Refusal> {
        let mut all: Vec<(&str, Variant<'_>)> =
            properties.iter().map(|(name, value)| (*name, variant(value))).collect();
        // Its end can be looked at as long as this connection lives, however early it comes.
        all.push(("AddRef", Variant::from(true)));
        let none: [(&str, Vec<(&str, Variant<'_>)>); 0] = [];
        self.manager("StartTransientUnit", &(unit, "fail", all, &none[..]))
            .await
            .map_err(|error| refused(&format!("{unit} is not started"), &error))?;
        let deadline = clock::since_boot() + limits::KEEPER_START;
        let mut step = STEP;
        loop {
            let seen = self.unit(unit).await?;
            let settled = seen.as_ref().is_none_or(|seen| seen.state != ActiveState::Activating);
            if settled || clock::since_boot() > deadline {
                let path = self.path(unit).await?;
                return self.started(unit, path).await;
            }
            tokio::time::sleep(step).await;
            step = (step * 2).min(STEP_MAX);
        }
    }

    async fn started(&self, unit: &str, path: Option<OwnedObjectPath>) -> Result<Started, Refusal> {
        let gone = || Refusal::Systemd(format!("{unit} was gone at once"));
        let path = path.ok_or_else(gone)?;
        let of_unit = self.properties(&path, UNIT).await?;
        let of_service = self.properties(&path, SERVICE_UNIT).await?;
        let pid: u32 = number(&of_service, "ExecMainPID");
        // systemd.exec(5), "Process Exit Codes": from 200 on the program was never reached.
        let status: i32 = number(&of_service, "ExecMainStatus");
        let state = text(&of_unit, "ActiveState");
        let runs = matches!(state.as_str(), "activating" | "active");
        if pid == 0 || (!runs && (200..=243).contains(&status)) {
            let result = text(&of_service, "Result");
            return Err(Refusal::StartFailed(format!(
                "systemd could not start its program (result {result}, status {status}): \
                 see `journalctl -u {unit}`"
            )));
        }
        Ok(Started {
            pid: i32::try_from(pid).unwrap_or_default(),
            invocation: invocation(&of_unit),
        })
    }

    /// What PID 1 says of a unit; `None` if it knows of none.
    pub(super) async fn unit(&self, unit: &str) -> Result<Option<Seen>, Refusal> {
        let Some(path) = self.path(unit).await? else { return Ok(None) };
        let properties = self.properties(&path, UNIT).await?;
        let state = ActiveState::parse(&text(&properties, "ActiveState"));
        Ok(Some(Seen { state, invocation: invocation(&properties) }))
    }

    async fn path(&self, unit: &str) -> Result<Option<OwnedObjectPath>, Refusal> {
        match self.manager("GetUnit", &unit).await {
            Ok(answer) => decoded(&answer).map(Some),
            Err(error) if is(&error, NO_SUCH_UNIT) => Ok(None),
            Err(error) => Err(refused(&format!("{unit} is not known"), &error)),
        }
    }

    /// Whether the unit is gone within `limit`.
    pub(super) async fn gone(&self, unit: &str, limit: Duration) -> Result<bool, Refusal> {
        let deadline = clock::since_boot() + limit;
        let mut step = STEP;
        loop {
            if !self.unit(unit).await?.is_some_and(|seen| seen.state.exists()) {
                return Ok(true);
            }
            if clock::since_boot() > deadline {
                return Ok(false);
            }
            tokio::time::sleep(step).await;
            step = (step * 2).min(STEP_MAX);
        }
    }

    /// Asks for the end of a unit; one that does not run is no error.
    pub(super) async fn stop(&self, unit: &str) -> Result<(), Refusal> {
        match self.manager("StopUnit", &(unit, "replace")).await {
            Err(error) if !is(&error, NO_SUCH_UNIT) => {
                Err(refused(&format!("{unit} does not stop"), &error))
            }
            _ => Ok(()),
        }
    }

    /// SIGKILL to everything in the unit.
    pub(super) async fn kill(&self, unit: &str) -> Result<(), Refusal> {
        match self.manager("KillUnit", &(unit, "all", 9_i32)).await {
            Err(error) if !is(&error, NO_SUCH_UNIT) && !is(&error, NOT_LOADED) => {
                Err(refused(&format!("{unit} cannot be killed"), &error))
            }
            _ => Ok(()),
        }
    }

    /// The names of units that run or are about to, of those that `pattern` matches.
    pub(super) async fn running(&self, pattern: &str) -> Result<Vec<String>, Refusal> {
        // The rest of each entry is not asked for.
        type Unit = (
            String,
            String,
            String,
            String,
            String,
            String,
            OwnedObjectPath,
            u32,
            String,
            OwnedObjectPath,
        );
        let states = ["active", "activating", "reloading", "deactivating"];
        let answer = self
            .manager("ListUnitsByPatterns", &(&states[..], &[pattern][..]))
            .await
            .map_err(|error| refused("the units are not listed", &error))?;
        let units: Vec<Unit> = decoded(&answer)?;
        Ok(units.into_iter().map(|unit| unit.0).collect())
    }

    async fn properties(
        &self,
        path: &OwnedObjectPath,
        interface: &str,
    ) -> Result<HashMap<String, OwnedVariant>, Refusal> {
        let called = self.0.call_method(
            Some(SERVICE),
            path,
            Some("org.freedesktop.DBus.Properties"),
            "GetAll",
            &interface,
        );
        let answer = limited(called).await?;
        decoded(&answer.map_err(|error| refused(&format!("{path} does not tell"), &error))?)
    }
}

async fn limited<T>(call: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::time::timeout(limits::BUS, call).await.map_err(|_elapsed| {
        Refusal::Unreachable(format!("PID 1 did not answer within {} s", limits::BUS.as_secs()))
    })
}

fn refused(what: &str, error: &zbus::Error) -> Refusal {
    Refusal::Systemd(format!("{what}: {error}"))
}

fn is(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(found, ..) if found.as_str() == name)
}

fn decoded<T>(answer: &Message) -> Result<T, Refusal>
where
    T: for<'a> Deserialize<'a> + zbus::Type,
{
    answer
        .body()
        .deserialize()
        .map_err(|error| refused("an answer of PID 1 is not understood", &error))
}

fn variant(value: &Value) -> Variant<'_> {
    match value {
        Value::Text(text) => Variant::from(text.as_str()),
        Value::Texts(texts) => Variant::from(texts.clone()),
        Value::Number(number) => Variant::from(*number),
        // The last word says whether a failure counts: it does.
        Value::Run(program, line) => Variant::from(vec![(program.as_str(), line.clone(), false)]),
    }
}

fn text(properties: &HashMap<String, OwnedVariant>, name: &str) -> String {
    let found = properties.get(name).and_then(|value| value.downcast_ref::<&str>().ok());
    found.unwrap_or_default().to_owned()
}

fn number<'a, T>(properties: &'a HashMap<String, OwnedVariant>, name: &str) -> T
where
    T: TryFrom<&'a Variant<'a>, Error = zbus::wire::Error> + Default,
{
    properties.get(name).and_then(|value| value.downcast_ref::<T>().ok()).unwrap_or_default()
}

/// systemd.exec(5), `$INVOCATION_ID`: 32 hexadecimal digits.
fn invocation(properties: &HashMap<String, OwnedVariant>) -> String {
    let bytes: Option<Vec<u8>> =
        properties.get("InvocationID").and_then(|value| value.try_clone().ok()?.try_into().ok());
    data_encoding::HEXLOWER.encode(&bytes.unwrap_or_default())
}
