//! The migrations are compiled in, and a new one changes no source file.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
