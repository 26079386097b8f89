//! The integration tests: one binary, one file a topic. rustfmt keeps the order of a block.

// The protocol, in virtual time and without I/O.
mod command; // changing a simulated meter: address, rate, clock
mod endurance; // readouts through every kind of fault; the figures a master is judged by
mod hard_lines; // damaged acknowledgements, late answers, pieces, endless noise
mod link; // one meter's turn
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod mutations; // damaged telegrams never panic, loop or eat memory
mod models; // what the owner of a model with a profile sees
mod normalise; // whole telegrams to readings: keys, units, exact values
mod pitfalls; // what other decoders get wrong
mod records; // what holds of every record, whatever its bytes
mod rules; // what a rule makes of a record, up to Home Assistant
mod search; // finding the meters of a segment
#[expect(clippy::indexing_slicing, reason = "a table of the test")]
mod search_table; // segments that are hard to search
mod telegrams; // the golden files of tests/telegrams

// The bus on real ports.
mod bus; // ptys, sockets, the Hat; what needs no real port is in src/bus/task/tests.rs
mod ser2net; // rate and parity through a real ser2net
mod recovery; // a line that is unplugged, restarted, dead, mute
mod wall_clock; // cycle time over the physical bound, in real time (ignored)

// Home Assistant's side.
mod homeassistant_classes; // class, unit and state class against Home Assistant's rules
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod homeassistant_documents; // documents that a real Home Assistant took

// The link to a real mosquitto, or to a broker made for the test.
mod meter_changes;
mod mqtt; // connect, fall back, publish
mod broken_broker; // one that breaks the protocol
mod brokers; // a list of them
mod scripted; // what mosquitto cannot be made to say
mod tls; // certificates

// The agent as a process, with a mosquitto.
mod adopt; // meters that nobody wrote down
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod chaos; // nothing lost when things break (ignored: half an hour)
mod counting; // what became of readings, in bridge/info
mod demo; // as a stranger starts it
mod identity; // which meter a reading is of
mod life_cycle; // start to end, with something wrong around it
mod messages; // meters in, messages out
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod one_rate; // a gateway that refuses a rate
mod outages; // a broker that is away
mod reconfigured; // what another configuration changes and takes back
mod requests; // read, scan, power, reload over MQTT
mod two_agents; // under one base topic, with one client id
#[cfg(feature = "http")]
mod page; // the page, REST and metrics over HTTP

// What is shipped for other programs.
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod node_red; // the functions of the example flow

// The command line: messages, streams, exit codes.
mod beside_agent; // read and scan where the running agent has the bus
mod bus_commands; // hat, read, send, simulate
mod cli; // arguments and what is said of wrong ones
mod config; // configuration files
mod decode; // decode
mod doctor; // doctor on prepared roots
mod maintenance; // scan and meter
mod packaging; // what the packages bring along
mod picky_broker; // one that takes no will, hangs up at a subscription, or is silent
mod profiles; // profiles

// The sources and pages themselves.
mod circles; // no circle of modules inside a room
mod keys; // docs/src/keys.md is complete
mod manual; // pages of the book that are generated
mod rooms; // the table of src/lib.rs is kept

// Helpers.
mod agent; // `mbushat run`
mod broker; // a mosquitto, a subscriber, a proxy that cuts
mod gateway; // a TCP gateway with meters
mod recorder; // reads along before the broker
mod source; // the sources as text
mod tools; // programs that may be missing: SKIPPED, or a failure where they must be there
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod wire; // a pty or socket with simulated meters
