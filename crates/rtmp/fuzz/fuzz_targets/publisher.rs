#![no_main]

#[path = "../../tests/support/drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    if let Some(script) = drive::Script::parse(script) {
        script.check();
    }
});
