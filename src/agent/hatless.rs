//! A configuration that names no bus, on a machine without a Hat: there is no bus at all, and that is said.

use crate::bus::Machine;
use crate::bus::device_tree::mbus_master_hat;
use crate::config::Config;

/// The configuration without the bus of a Hat that is not there, where nobody wrote it nor a meter on it.
pub(crate) fn without_missing_hat(mut config: Config) -> Config {
    if !config.assumed_bus || config.all_meters().next().is_some() {
        return config;
    }
    if mbus_master_hat(&Machine::here().device_tree).is_err() {
        tracing::warn!(
            "no meter is looked for: there is no [[bus]], and no M-Bus Master Hat was found here; write one, such as \
             [[bus]] name = \"usb\" port = \"/dev/ttyUSB0\""
        );
        config.buses.clear();
    }
    config
}
