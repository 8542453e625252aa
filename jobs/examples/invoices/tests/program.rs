//! The example does what its README says, on a real Redis.

use std::process::Command;

#[test]
fn every_invoice_is_sent_once_and_the_layer_saw_every_attempt() {
    // On the Redis of REDIS_URL, or on one of its own.
    let output = Command::new(env!("CARGO_BIN_EXE_invoices")).output().unwrap();
    let (text, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{text}{errors}");
    for tenant in ["acme", "globex"] {
        for invoice in 1..=5 {
            let line = format!("sent {tenant}/{invoice}");
            assert_eq!(text.lines().filter(|printed| **printed == line).count(), 1, "{line}:\n{text}");
        }
        let measured = format!("{tenant}: 6 attempts at invoice.send, 1 of them tried again");
        assert!(text.lines().any(|line| line.starts_with(&measured)), "{measured}:\n{text}");
    }
}
