#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| morsel_chunked_fuzz::tar_split(input));
