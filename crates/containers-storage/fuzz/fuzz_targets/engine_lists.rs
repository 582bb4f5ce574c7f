#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| morsel_containers_storage_fuzz::engine_lists(input));
