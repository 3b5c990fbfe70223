//! Writes the OpenAPI and AsyncAPI documents and the schemas of the messages as the files that `docs/` keeps:
//! `cargo run -p tallyhouse-http --example openapi -- docs`.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let docs = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "docs".into()));
    std::fs::create_dir_all(docs.join("schemas"))?;
    std::fs::write(docs.join("openapi.json"), tallyhouse_http::openapi())?;
    std::fs::write(docs.join("asyncapi.yaml"), tallyhouse_http::asyncapi_yaml())?;
    for (name, text) in tallyhouse_http::message_schemas() {
        std::fs::write(docs.join("schemas").join(name), text)?;
    }
    Ok(())
}
