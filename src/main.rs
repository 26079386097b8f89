//! mbushat: M-Bus meters to MQTT. See the library's first page for how it is built.

fn main() {}
