//! Nothing is built here; the file lets Cargo.toml name build-dependencies (see there why).
fn main() {}
