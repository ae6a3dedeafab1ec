//! A stand-in for `libnvidia-ml.so.1`: the functions that stationd calls, with their real names,
//! structures and return codes (and a few of `libcuda.so.1`), steered by the JSON file that `STATIOND_FAKE_NVML` names.
//!
//! ```json
//! {"driver": "580.159.04", "cuda": 13000,
//!  "devices": [{"pci": "0000:01:00.0", "set": {"nvmlDeviceGetPowerUsage": [70000]},
//!               "fields": {"230": 1}, "processes": [[4711, 1073741824]], "mig": 0}],
//!  "faults": [{"fn": "nvmlDeviceGetPowerUsage", "dev": 0, "ret": 15},
//!             {"fn": "*", "hang": true}, {"fn": "nvmlInit_v2", "delay_ms": 500}],
//!  "events": [{"dev": 0, "type": 8, "data": 79}]}
//! ```
//!
//! The file is read again when it changes. Without a value of its own a function answers as an idle
//! H100 did (driver 580). The first fault that fits a call wins; `hang` lasts as long as the file
//! says so. A caller's mistake is an error here as it is there: a wrong version of a structure is 25,
//! too little room is 7, an unknown index is 2.

#![expect(unsafe_code, reason = "the interface is C's")]
#![expect(clippy::missing_safety_doc, reason = "the header of NVML is the contract")]
#![expect(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "every pointer is the caller's, as the header promises"
)]
#![expect(clippy::indexing_slicing, reason = "a value that JSON lacks is null")]
#![expect(clippy::cast_possible_truncation, reason = "a test's file says the numbers")]

mod answers;
mod script;

pub use answers::*;
