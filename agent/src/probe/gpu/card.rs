//! One GPU, and the one way to ask it something: every `unsafe` of reading values stands here.

use std::ffi::{c_char, c_uint};

use nvml_wrapper_sys::bindings::{NvmlLib, nvmlDevice_t};

use super::{Code, codes};

/// An opened GPU, or a part of one (MIG).
#[derive(Clone, Copy)]
pub(super) struct Card<'l> {
    pub library: &'l NvmlLib,
    pub handle: nvmlDevice_t,
}

/// Calls a function of the library that fills one value: `ask!(card, nvmlDeviceGetIndex => c_uint)`.
/// Further arguments come after the function's name; `from` is the value before the call.
macro_rules! ask {
    ($card:expr, $function:ident $(, $argument:expr)* => $type:ty) => {{
        // SAFETY: structures and numbers of C; all zeros is a value of each of them.
        let zeros: $type = unsafe { std::mem::zeroed() };
        ask!($card, $function $(, $argument)*; from zeros)
    }};
    ($card:expr, $function:ident $(, $argument:expr)*; from $value:expr) => {{
        let mut value = $value;
        match $card.library.$function.as_ref() {
            Err(_missing) => Err($crate::probe::gpu::codes::FUNCTION_NOT_FOUND),
            Ok(function) => {
                // SAFETY: the function is of the library that is loaded as long as `library` is
                // borrowed, the handle came from it, and `value` is what its header asks for.
                let code = unsafe { function($card.handle $(, $argument)*, &raw mut value) };
                $crate::probe::gpu::card::checked(code).map(|()| value)
            }
        }
    }};
}

/// Calls a function that fills two numbers.
macro_rules! ask_two {
    ($card:expr, $function:ident => $type:ty) => {{
        let (mut one, mut two): ($type, $type) = (0, 0);
        match $card.library.$function.as_ref() {
            Err(_missing) => Err($crate::probe::gpu::codes::FUNCTION_NOT_FOUND),
            Ok(function) => {
                // SAFETY: as in `ask!`.
                let code = unsafe { function($card.handle, &raw mut one, &raw mut two) };
                $crate::probe::gpu::card::checked(code).map(|()| (one, two))
            }
        }
    }};
}

/// Calls a function that fills a text of at most `LENGTH` bytes.
macro_rules! ask_text {
    ($card:expr, $function:ident) => {{
        let mut buffer = $crate::probe::gpu::card::Text::default();
        match $card.library.$function.as_ref() {
            Err(_missing) => Err($crate::probe::gpu::codes::FUNCTION_NOT_FOUND),
            Ok(function) => {
                let (start, length) = buffer.parts();
                // SAFETY: as in `ask!`; the function writes `length` bytes at most.
                let code = unsafe { function($card.handle, start, length) };
                $crate::probe::gpu::card::checked(code).and_then(|()| buffer.read())
            }
        }
    }};
}

pub(super) use {ask, ask_text, ask_two};

pub(super) fn checked(code: Code) -> Result<(), Code> {
    if code == 0 { Ok(()) } else { Err(code) }
}

/// The version of the firmware. Its function takes no length: the header promises 64 bytes at most.
pub(super) fn gsp_firmware(card: Card<'_>) -> Result<String, Code> {
    let mut buffer = Text::default();
    let function = card.library.nvmlDeviceGetGspFirmwareVersion.as_ref();
    let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
    // SAFETY: as in `ask!`; the buffer is longer than what the header promises.
    checked(unsafe { function(card.handle, buffer.parts().0) })?;
    buffer.read()
}

/// The longest text that is asked for; the longest of the header has 96 bytes.
const LENGTH: usize = 256;

/// Room for a text of C.
pub(super) struct Text([u8; LENGTH]);

impl Default for Text {
    fn default() -> Self {
        Self([0; LENGTH])
    }
}

impl Text {
    pub(super) fn parts(&mut self) -> (*mut c_char, c_uint) {
        (self.0.as_mut_ptr().cast(), c_uint::try_from(LENGTH).unwrap_or(0))
    }

    /// A text that has no end or is not UTF-8 is one value that cannot be read.
    pub(super) fn read(&self) -> Result<String, Code> {
        text_of(&self.0)
    }
}

/// The text up to the first zero byte.
pub(super) fn text_of(bytes: &[u8]) -> Result<String, Code> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(codes::GARBAGE)?;
    let text = bytes.get(..end).unwrap_or_default();
    std::str::from_utf8(text).map(str::to_owned).map_err(|_error| codes::GARBAGE)
}

/// The version that NVML wants in a structure's first field: its size, and a number.
#[expect(clippy::cast_possible_truncation, reason = "structures of a few hundred bytes")]
pub(super) const fn version<T>(number: u32) -> u32 {
    size_of::<T>() as u32 | number << 24
}

/// Writes a value down, or that there is none.
pub(super) fn keep<T>(slot: &mut Option<T>, value: Result<T, Code>) -> Result<(), Code> {
    match value {
        Ok(value) => {
            *slot = Some(value);
            Ok(())
        }
        Err(code) => {
            *slot = None;
            Err(code)
        }
    }
}

/// `0000:00:06.0`, as the kernel writes it, from the driver's `00000000:00:06.0` or another.
pub(super) fn pci_address(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match lower.split_once(':') {
        Some((domain, rest)) if domain.len() > 4 => {
            let short = domain.trim_start_matches('0');
            format!("{short:0>4}:{rest}")
        }
        _ => lower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_and_are_utf8_or_are_none() {
        assert_eq!(text_of(b"H100\0rest").as_deref(), Ok("H100"));
        assert_eq!(text_of(b"no end"), Err(codes::GARBAGE));
        assert_eq!(text_of(b"\xff\xfe\0"), Err(codes::GARBAGE));
    }

    #[test]
    fn places_on_the_bus_are_written_as_the_kernel_does() {
        for (given, expected) in [
            ("00000000:00:06.0", "0000:00:06.0"),
            ("0000:3B:00.0", "0000:3b:00.0"),
            ("00010000:3B:00.0", "10000:3b:00.0"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(pci_address(given), expected);
        }
    }

    #[test]
    fn a_version_carries_the_size() {
        assert_eq!(version::<[u8; 40]>(2), 0x0200_0028);
    }
}
