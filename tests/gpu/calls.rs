//! Every call of the driver with every return code, and every call that does not return.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use station_proto::gpu::Gpu;
use station_tests::gpus::Gpus;
use stationd::probe::gpu::{Said, codes};

/// Every return code of `nvml.h` but success, and one that no header has.
const CODES: [u32; 31] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 999, 4711,
];

/// Calls of one GPU, from the fake's and the child's own words: `name` and `name:what`.
async fn calls() -> BTreeSet<String> {
    let gpus = Gpus::new(1).unwrap();
    let mut asking = gpus.ask().unwrap();
    asking.round().await.unwrap();
    asking.tell("latency").await.unwrap();
    loop {
        if let Said::Latency(calls) = asking.said().await.unwrap() {
            let of_a_gpu =
                |call: &String| call.starts_with("nvmlDeviceGet") && !call.contains("Count");
            return calls.into_iter().map(|one| one.call).filter(of_a_gpu).collect();
        }
    }
}

/// What the library calls it: fields are asked for together.
fn function(call: &str) -> &str {
    call.split(':').next().unwrap_or(call)
}

/// The fields of a GPU that have a value, as `group.field`.
fn present(gpu: &Gpu) -> BTreeSet<String> {
    let value = serde_json::to_value(gpu).unwrap();
    let mut found = BTreeSet::new();
    for (group, value) in value.as_object().unwrap() {
        match value {
            _ if group == "failed_calls" => {}
            Value::Object(fields) => {
                found.extend(fields.keys().map(|key| format!("{group}.{key}")));
            }
            _ => drop(found.insert(group.clone())),
        }
    }
    found
}

/// One child for each function: GPU n gets return code n for it, and the last one works.
#[tokio::test]
async fn a_call_that_fails_takes_its_own_values_and_no_other() {
    let calls = calls().await;
    assert!(calls.len() >= 50, "{calls:?}");
    let functions: BTreeSet<&str> = calls.iter().map(|call| function(call)).collect();
    let mut cases = 0;
    for name in functions {
        let gpus = Gpus::new(CODES.len() + 1).unwrap();
        let fault = |(dev, code): (usize, &u32)| json!({ "fn": name, "dev": dev, "ret": code });
        let faults: Vec<Value> = CODES.iter().enumerate().map(fault).collect();
        let devices = vec![json!({}); CODES.len() + 1];
        gpus.script(&json!({ "devices": devices, "faults": faults })).unwrap();
        let round = gpus.ask().unwrap().round().await.unwrap();
        let well = present(&round.gpus.last().unwrap().gpu);
        assert_eq!(round.gpus.len(), CODES.len() + 1, "{name}");
        let mut lost: BTreeSet<String> = BTreeSet::new();
        for (code, reading) in CODES.iter().zip(&round.gpus) {
            cases += 1;
            let case = format!("{name} = {code}");
            if name == "nvmlDeviceGetHandleByPciBusId_v2" {
                assert_eq!(reading.closed, Some(*code), "{case}");
                continue;
            }
            let failed = &reading.gpu.failed_calls;
            assert!(failed.iter().all(|one| function(&one.call) == name), "{case}: {failed:?}");
            assert!(failed.iter().all(|one| one.code == *code), "{case}: {failed:?}");
            // Another name of the same function is asked where the newer one is missing.
            let replaced = name == "nvmlDeviceGetCurrentClocksEventReasons" && *code == 13;
            let expected = !codes::is_absence(*code);
            assert_eq!(!failed.is_empty(), expected, "{case}: {failed:?}");
            let now = present(&reading.gpu);
            assert!(now.is_subset(&well), "{case}: {:?}", now.difference(&well));
            if !replaced {
                lost.extend(well.difference(&now).cloned());
            }
        }
        // What this function does not fill is there whatever it answers.
        for reading in &round.gpus[..CODES.len()] {
            let gone: BTreeSet<_> = well.difference(&present(&reading.gpu)).cloned().collect();
            let whole = name == "nvmlDeviceGetHandleByPciBusId_v2";
            assert!(whole || gone.is_subset(&lost) && gone.len() <= 16, "{name}: {gone:?}");
        }
    }
    assert!(cases >= 1200, "only {cases} cases");
}

/// Fields come many in one call, each with a return code of its own.
#[tokio::test]
async fn a_field_that_fails_takes_its_own_value_and_no_other() {
    for field in [74, 75, 79, 82, 142, 143, 144, 145, 173, 179, 180, 230] {
        let gpus = Gpus::new(CODES.len() + 1).unwrap();
        let name = format!("field:{field}");
        let fault = |(dev, code): (usize, &u32)| json!({ "fn": name, "dev": dev, "ret": code });
        let faults: Vec<Value> = CODES.iter().enumerate().map(fault).collect();
        let devices = vec![json!({}); CODES.len() + 1];
        gpus.script(&json!({ "devices": devices, "faults": faults })).unwrap();
        let round = gpus.ask().unwrap().round().await.unwrap();
        let well = present(&round.gpus.last().unwrap().gpu);
        for (code, reading) in CODES.iter().zip(&round.gpus) {
            let gone: Vec<_> = well.difference(&present(&reading.gpu)).cloned().collect();
            assert_eq!(gone.len(), 1, "{name} = {code}: {gone:?}");
            let failed = &reading.gpu.failed_calls;
            assert_eq!(failed.len(), usize::from(!codes::is_absence(*code)), "{failed:?}");
        }
    }
}

/// All at once: each child waits for its own call.
#[tokio::test]
async fn a_call_that_does_not_return_is_named() {
    let calls = calls().await;
    let waits = calls.iter().map(|call| async move {
        let gpus = Gpus::new(2).unwrap();
        let fault = json!({ "fn": function(call), "dev": 1, "hang": true });
        gpus.script(&json!({ "devices": [{}, {}], "faults": [fault] })).unwrap();
        let mut asking = gpus.ask().unwrap();
        loop {
            match asking.said().await.unwrap() {
                Said::Slow { call: named, pci, for_ms } => {
                    assert_eq!(function(&named), function(call));
                    assert_eq!(pci, Some(Gpus::pci(1)), "{call}");
                    assert!(for_ms < 5000, "{call} was named after {for_ms} ms");
                    break;
                }
                Said::Round(round) => panic!("{call} returned: {round:?}"),
                _ => {}
            }
        }
        gpus.script(&json!({ "devices": [{}, {}] })).unwrap();
        loop {
            if let Said::Returned = asking.said().await.unwrap() {
                return;
            }
        }
    });
    let all = futures_util::future::join_all(waits);
    tokio::time::timeout(Duration::from_secs(120), all).await.unwrap();
}

#[tokio::test]
async fn the_child_ends_with_whoever_asked_though_a_call_hangs() {
    let gpus = Gpus::new(1).unwrap();
    let hang = json!({ "fn": "nvmlDeviceGetPowerUsage", "hang": true });
    gpus.script(&json!({ "devices": [{}], "faults": [hang] })).unwrap();
    let mut asking = gpus.ask().unwrap();
    while !matches!(asking.said().await.unwrap(), Said::Slow { .. }) {}
    let mut child = asking.into_child();
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await;
    assert!(ended.unwrap().unwrap().success());
}

#[tokio::test]
async fn a_driver_that_is_not_there_is_said_and_not_touched() {
    let gpus = Gpus::new(1).unwrap();
    for (code, call) in [(9, "nvmlInit_v2"), (18, "nvmlInit_v2"), (999, "nvmlInit_v2")] {
        let fault = json!({ "fn": call, "ret": code });
        gpus.script(&json!({ "devices": [{}], "faults": [fault] })).unwrap();
        let said = gpus.ask().unwrap().said().await.unwrap();
        let expected = Said::Failed { call: call.to_owned(), code, why: String::new() };
        assert_eq!(said, expected);
    }
}

/// Means need two samples: the parts of a GPU are told from the second slow round on.
#[tokio::test]
async fn parts_of_a_gpu_are_counted_between_two_samples() {
    let gpus = Gpus::new(2).unwrap();
    let set = json!({ "nvmlGpmMetricsGet": [973, 412, 5001] });
    let script = |faults: Value| json!({ "devices": [{ "set": set }, {}], "faults": faults });
    gpus.script(&script(json!([]))).unwrap();
    let mut asking = gpus.ask().unwrap();
    let parts = |gpu: &Gpu| (gpu.load.sm_percent, gpu.load.tensor_percent, gpu.load.dram_percent);
    let first = asking.round().await.unwrap();
    assert_eq!(parts(&first.gpus[0].gpu), (None, None, None));
    let slow = async |asking: &mut station_tests::gpus::Asking| {
        let mut last = None;
        for _ in 0..6 {
            asking.tell("round").await.unwrap();
            last = Some(asking.round().await.unwrap());
        }
        last.unwrap()
    };
    let second = slow(&mut asking).await;
    // More than all of the memory's bandwidth is no value.
    assert_eq!(parts(&second.gpus[0].gpu), (Some(97.3), Some(41.2), None));
    assert_eq!(parts(&second.gpus[1].gpu), (Some(0.0), Some(0.0), Some(0.0)));
    gpus.script(&script(json!([{ "fn": "nvmlGpmSampleGet", "dev": 0, "ret": 999 }]))).unwrap();
    let third = slow(&mut asking).await;
    assert_eq!(parts(&third.gpus[0].gpu), (None, None, None), "an old value is none");
    assert_eq!(third.gpus[0].gpu.failed_calls[0].call, "nvmlGpm");
    assert_eq!(parts(&third.gpus[1].gpu), (Some(0.0), Some(0.0), Some(0.0)));
}
