//! Pure: what is said to a kernel, and what it answers.
//! <https://jupyter-client.readthedocs.io/en/stable/messaging.html>

use serde_json::{Value, json};

const ID: &str = "canary-1";

/// The order to run a cell, which leaves nothing in the kernel's history.
pub(super) fn execute(code: &str) -> Value {
    json!({
        "header": {
            "msg_id": ID, "msg_type": "execute_request", "username": "stationctl",
            "session": "canary", "date": "1970-01-01T00:00:00Z", "version": "5.3",
        },
        "parent_header": {}, "metadata": {}, "buffers": [], "channel": "shell",
        "content": {
            "code": code, "silent": false, "store_history": false, "user_expressions": {},
            "allow_stdin": false, "stop_on_error": true,
        },
    })
}

/// What of the cell has come: its reply and its value come on two ways, in any order.
#[derive(Debug, Default)]
pub(super) struct Progress {
    value: Option<String>,
    replied: bool,
    idle: bool,
}

impl Progress {
    /// Takes a message; the value, or the error, once everything has come.
    pub(super) fn take(&mut self, message: &Value) -> Option<String> {
        let text = |place: &str| message.pointer(place).and_then(Value::as_str).unwrap_or_default();
        if text("/parent_header/msg_id") != ID {
            return None;
        }
        match text("/msg_type") {
            "execute_result" => self.value = Some(text("/content/data/text~1plain").to_owned()),
            "error" => {
                let (name, said) = (text("/content/ename"), text("/content/evalue"));
                self.value = Some(format!("{name}: {said}"));
            }
            "execute_reply" => self.replied = true,
            "status" => self.idle |= text("/content/execution_state") == "idle",
            _ => {}
        }
        (self.replied && self.idle).then(|| self.value.clone().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, content: &Value) -> Value {
        json!({ "parent_header": { "msg_id": ID }, "msg_type": kind, "content": content })
    }

    #[test]
    fn the_value_counts_when_the_cell_has_ended() {
        let result = message("execute_result", &json!({ "data": { "text/plain": "2" } }));
        let reply = message("execute_reply", &json!({ "status": "ok" }));
        let idle = message("status", &json!({ "execution_state": "idle" }));
        let other = json!({ "parent_header": { "msg_id": "x" }, "msg_type": "execute_reply" });
        for order in [[&result, &reply, &idle], [&reply, &result, &idle], [&result, &idle, &reply]]
        {
            let mut progress = Progress::default();
            assert_eq!(progress.take(&other), None);
            let said: Vec<_> = order.into_iter().map(|one| progress.take(one)).collect();
            assert_eq!(said, [None, None, Some("2".to_owned())]);
        }
        let mut progress = Progress::default();
        let error = json!({ "ename": "MemoryError", "evalue": "no room" });
        assert_eq!(progress.take(&message("error", &error)), None);
        assert_eq!(progress.take(&reply), None);
        assert_eq!(progress.take(&idle), Some("MemoryError: no room".to_owned()));
    }
}
