//! A job type of one's own takes fewer than 20 lines.

const TYPE_AND_HANDLER: &str = include_str!("../src/send_invoice.rs");
const PROGRAM: &str = include_str!("../src/program.rs");

/// Lines of code, with the imports.
fn code(text: &str) -> usize {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    text.lines().filter(is_code).count()
}

#[test]
fn payload_handler_registration_and_enqueue_have_fewer_than_20_lines() {
    let mentions = |call: &str| PROGRAM.lines().filter(|line| line.contains(call)).count();
    let (registration, enqueue) = (mentions(".register::<SendInvoice>()"), mentions(".enqueue("));
    assert_eq!((registration, enqueue), (1, 1));
    let lines = code(TYPE_AND_HANDLER) + registration + enqueue;
    assert!(lines < 20, "{lines} lines");
}
