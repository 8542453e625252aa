//! Documents with the same names but different facts, so that a leak would show.

/// A short text about the same people and products, true for one tenant only: `secret` is in it and nowhere
/// else.
#[must_use]
pub fn short(secret: &str) -> String {
    format!(
        "# Project Heron\n\nAda Okafor leads Project Heron at the Lisbon Laboratory. Project Heron replaces the Kestrel \
         Gateway, which Tomas Varga built in Riga. In March Ada Okafor told the Steering Board that Project Heron is \
         called {secret} inside the company. Tomas Varga disagreed with the Steering Board and moved to Lisbon.\n"
    )
}

/// A text of several chunks.
#[must_use]
pub fn long(secret: &str) -> String {
    let paragraph = |number: u32| {
        format!(
            "\n## Chapter {number}\n\n{}In chapter {number} Mira Halvorsen meets Ada Okafor at Pier {number} in \
             Lisbon, and the Kestrel Gateway is moved to Dock {number}. Nobody at the Harbour Office knew why.\n",
            short(secret)
        )
    };
    (1..=30).map(paragraph).collect()
}
