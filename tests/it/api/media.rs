use api_thin::documents::{MEDIA_TYPES, media_type};
use ingest::text::{is_supported, media_type_of, parse};
use worker::compute::Turn;

#[test]
fn the_worker_reads_what_the_api_accepts() {
    for (known, extensions) in MEDIA_TYPES {
        assert!(is_supported(known, "name"), "the worker does not read {known}");
        let parsed = parse(known, "name", b"some text", &Turn::unlimited());
        assert!(parsed.is_ok(), "the worker cannot parse {known}");
        for extension in extensions {
            let name = format!("name.{extension}");
            assert_eq!(media_type_of(&name), Some(known), "{name}");
            assert_eq!(media_type(None, &name), Ok(known), "{name}");
        }
    }
}
