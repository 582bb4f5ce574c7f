#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| morsel_link_fuzz::link(input));
