//! Has the crate built anew when a migration is added: the macro that embeds them sees only those it has seen.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
