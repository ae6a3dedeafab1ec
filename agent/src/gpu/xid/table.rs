//! The catalogue: codes with one meaning share a row.

use super::Remedy::{
    CheckHardware, ContactSupport, Nothing, ResetGpu, RestartApp, RestartMachine, SeeOthers,
    UpdateSoftware,
};
use super::Severity::{Critical, Fatal, Info, Warning};
use super::{Remedy, Severity};

pub(super) struct Row {
    pub codes: &'static [u32],
    pub meaning: &'static str,
    pub severity: Severity,
    pub remedy: Remedy,
    pub app_error: bool,
}

const fn row(
    codes: &'static [u32],
    severity: Severity,
    remedy: Remedy,
    meaning: &'static str,
) -> Row {
    Row { codes, meaning, severity, remedy, app_error: false }
}

/// Of a program, though NVIDIA advises something else than its restart.
const fn app(
    codes: &'static [u32],
    severity: Severity,
    remedy: Remedy,
    meaning: &'static str,
) -> Row {
    Row { codes, meaning, severity, remedy, app_error: true }
}

/// Codes that no driver of today writes.
const UNUSED: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 27, 28, 29, 30, 33,
    34, 35, 36, 42, 47, 49, 50, 51, 52, 53, 55, 56, 57, 58, 59, 61, 65, 73, 81, 87, 90, 91, 111,
    112, 113, 114, 115, 116, 117, 118, 122, 123, 124, 125, 138,
];

const COPY_ENGINES: &[u32] =
    &[39, 40, 41, 70, 71, 72, 75, 76, 77, 85, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135];

pub(super) const ROWS: &[Row] = &[
    row(UNUSED, Warning, ContactSupport, "NVIDIA lists this code as unused."),
    row(&[8], Warning, RestartApp, "The GPU stopped working on a program's commands."),
    row(
        &[11, 25, 32],
        Warning,
        RestartApp,
        "A program's stream of commands was invalid or damaged.",
    ),
    row(
        &[13],
        Warning,
        RestartApp,
        "A kernel of a program failed: most often an array index out of bounds.",
    ),
    row(&[14], Info, Nothing, "NVIDIA lists this code as unused, and to be ignored."),
    row(
        &[31],
        Warning,
        RestartApp,
        "A program touched an address of GPU memory that it does not have.",
    ),
    row(&[37, 38], Info, Nothing, "The firmware of the driver reported an error of its own."),
    row(COPY_ENGINES, Warning, RestartApp, "A copy to, from or within the GPU failed."),
    app(
        &[43],
        Warning,
        Nothing,
        "A program made the GPU stop; that program is ended, the GPU goes on.",
    ),
    row(&[44], Info, Nothing, "The GPU met a fault while it changed from one program to another."),
    app(
        &[45],
        Warning,
        SeeOthers,
        "The work of a program was removed, since it ended or because of an earlier error.",
    ),
    row(&[46, 62, 169], Fatal, ResetGpu, "The GPU, or a controller inside it, has stopped."),
    row(
        &[48],
        Critical,
        ResetGpu,
        "A memory error of two bits, which cannot be corrected: data were lost.",
    ),
    row(&[54], Fatal, CheckHardware, "The card's own power is not connected."),
    row(&[60], Warning, RestartApp, "The security processor met an error in a program's work."),
    row(
        &[63],
        Info,
        Nothing,
        "A bad page or row of memory was noted, and is replaced at the next reset.",
    ),
    row(
        &[64],
        Critical,
        ResetGpu,
        "A bad page or row of memory could not be noted for its replacement.",
    ),
    row(&[66, 67], Info, Nothing, "The driver made an illegal access, which was refused."),
    row(&[68, 83, 84, 88, 89, 96, 97, 98], Warning, RestartApp, "A video decoder met an error."),
    row(&[69], Warning, RestartApp, "A program used a function of the GPU that it does not have."),
    row(&[74], Critical, ResetGpu, "A link to another GPU failed."),
    row(&[78], Critical, UpdateSoftware, "The virtual GPU could not be started."),
    row(
        &[79],
        Fatal,
        RestartMachine,
        "The GPU has fallen off the bus: the machine cannot reach it.",
    ),
    row(&[80], Warning, RestartApp, "Data on the way to the GPU were damaged."),
    row(
        &[82, 99, 100, 101, 102, 103, 104, 105],
        Warning,
        RestartApp,
        "A JPEG decoder met an error.",
    ),
    row(&[86, 139], Warning, RestartApp, "The engine of optical flow met an error."),
    row(&[92], Warning, ContactSupport, "Correctable memory errors come often."),
    row(&[93], Info, Nothing, "The GPU's own storage has been written more often than planned."),
    row(
        &[94],
        Warning,
        RestartApp,
        "A memory error hit one program only, which has to be restarted.",
    ),
    row(&[95], Fatal, ResetGpu, "A memory error may have hit every program on the GPU."),
    row(&[106, 107], Info, Nothing, "A test message of the management bus."),
    row(&[108, 137], Warning, Nothing, "A link to another GPU refused an access of a program."),
    row(
        &[109],
        Critical,
        ResetGpu,
        "The GPU could not change from one program to another in time.",
    ),
    row(&[110], Fatal, ResetGpu, "The GPU reported a fault of its security."),
    row(
        &[119, 120],
        Fatal,
        ResetGpu,
        "The GPU's own system processor (GSP) does not answer or has failed.",
    ),
    row(&[121], Warning, Nothing, "The link between GPU and CPU met an error that it mended."),
    row(&[136], Critical, ResetGpu, "A link to another GPU could not be brought up."),
    row(&[140], Fatal, ResetGpu, "A memory error that cannot be corrected was found late."),
    app(&[141], Warning, Nothing, "A fast path of CUDA met an error in a program's work."),
    row(&[142], Warning, ContactSupport, "A video encoder met an error."),
    row(&[143], Fatal, ResetGpu, "The GPU could not be initialised."),
    row(
        &[144, 145, 146, 147, 148, 149, 150],
        Critical,
        ResetGpu,
        "A link to other GPUs (NVLink 5) met an error; its sub-code stands in the message.",
    ),
    row(&[151], Fatal, RestartMachine, "The keys of confidential computing could not be changed."),
    row(&[152, 153], Info, Nothing, "The accelerator for deep learning (DLA) met an error."),
    row(&[154], Warning, SeeOthers, "What the driver asks for has changed; the message names it."),
    row(&[155], Critical, ResetGpu, "Software of the links between GPUs reported an error."),
    row(&[156], Critical, ResetGpu, "A part of the GPU is taken out of use at the next reset."),
    row(&[157], Warning, ContactSupport, "A part of the GPU could not be taken out of use."),
    row(&[158], Fatal, ResetGpu, "The GPU did not answer in time."),
    row(&[159], Warning, SeeOthers, "An access over the link between GPU and CPU failed."),
    row(
        &[160, 161],
        Info,
        Nothing,
        "A channel of memory was taken out of use, or should have been.",
    ),
    row(&[162, 163], Info, Nothing, "The smoothing of power was switched on or off."),
    row(
        &[164],
        Warning,
        ContactSupport,
        "The circuit that smooths power is near the end of its life.",
    ),
    row(
        &[165],
        Critical,
        ContactSupport,
        "The circuit that smooths power is at the end of its life.",
    ),
    row(
        &[166, 170],
        Critical,
        ContactSupport,
        "A protected link between GPUs met an error of its encryption.",
    ),
    row(
        &[167],
        Fatal,
        RestartMachine,
        "The connection to the machine (PCIe) did not answer in time.",
    ),
    row(
        &[168],
        Critical,
        ContactSupport,
        "A part of the memory is bad: the GPU has less than it should.",
    ),
    row(
        &[171],
        Critical,
        ResetGpu,
        "The memory error that cannot be corrected is in the GPU's main memory.",
    ),
    row(
        &[172],
        Critical,
        ResetGpu,
        "The memory error that cannot be corrected is inside the chip.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::lookup;
    use super::*;

    #[test]
    fn all_172_codes_are_there_and_each_once() {
        let mut codes: Vec<u32> = ROWS.iter().flat_map(|row| row.codes).copied().collect();
        codes.sort_unstable();
        assert_eq!(codes, (1..=172).collect::<Vec<u32>>());
        assert_eq!((lookup(0), lookup(173)), (None, None));
    }

    #[test]
    fn the_advice_is_that_of_the_catalogue() {
        let advised: [(Remedy, &[u32]); 8] = [
            (
                RestartApp,
                &[8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 80, 82, 86, 94, 135, 139],
            ),
            (Nothing, &[14, 37, 43, 44, 63, 66, 93, 106, 108, 121, 137, 141, 152, 160]),
            (ResetGpu, &[46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158]),
            (RestartMachine, &[79, 151]),
            (CheckHardware, &[54]),
            (UpdateSoftware, &[78]),
            (ContactSupport, &[1, 65, 142]),
            (SeeOthers, &[45, 154]),
        ];
        for (remedy, codes) in advised {
            for code in codes {
                assert_eq!(lookup(*code).unwrap().remedy, remedy, "{code}");
            }
        }
        // What Kubernetes' device plugin takes for errors of a program.
        for code in [13, 31, 43, 45, 68] {
            assert!(lookup(code).unwrap().app_error, "{code}");
        }
    }

    #[test]
    fn the_words_are_one_short_sentence() {
        for row in ROWS {
            let text = row.meaning;
            assert!(text.ends_with('.') && text.len() <= 140, "{text}");
        }
    }
}
