#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| morsel_registry_fuzz::mirror_list(input));
