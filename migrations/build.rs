//! Rebuilds the crate when a migration is added: the macro that embeds them tracks only the files it has read.

fn main() {
    println!("cargo:rerun-if-changed=postgres");
    println!("cargo:rerun-if-changed=sqlite");
}
