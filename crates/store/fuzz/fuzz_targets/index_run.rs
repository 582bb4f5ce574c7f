#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| morsel_store_fuzz::index_run(input));
