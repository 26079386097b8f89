# {"options": the add-on's, "mqtt": the Supervisor's MQTT service or null} -> mbushat.toml.
# A JSON number, text, list or truth value is one in TOML too; what is not set is left to its default.
def set($key): select(. != null and . != "" and . != []) | "\($key) = \(@json)";
# A rate is a text here, as it is chosen from a list.
def sets($keys): . as $table | $keys[] as $key | $table[$key] | if $key == "baud" and . then tonumber else . end | set($key);
# `labels` are texts such as "flat=3 left"; a table in TOML.
def labels: [.[]? | index("=") as $at | "\(.[:$at]) = \(.[$at + 1:] | @json)"] | select(. != []) | "labels = { \(join(", ")) }";

(.options | with_entries(select(.value != ""))) as $o
| ($o.port // "/dev/ttyAMA0" | IN("/dev/ttyAMA0", "/dev/serial0")) as $pi
| (if $o.mqtt_url then { url: $o.mqtt_url, username: $o.mqtt_username, password: $o.mqtt_password }
   else .mqtt | { url: "\(if .ssl then "mqtts" else "mqtt" end)://\(.host):\(.port)", username, password } end) as $mqtt
| [ "[mqtt]",
    ($mqtt | sets(["url", "username", "password"])),
    ($o.mqtt_ca_file | set("ca_file")),
    ($o | sets(["base_topic", "value_topics"])),
    "[store]",
    ("/data" | set("directory")),
    # only Home Assistant's ingress reaches it, and has asked for the password
    "[http]",
    ("0.0.0.0:6287" | set("listen")),
    (["172.30.32.2"] | set("trusted")),
    "[log]",
    ($o.log_level | set("level")),
    "[[bus]]",
    (if $o.gateway then "gateway" elif $o.hat // $pi then "hat" else "bus" end | set("name")),
    ($o.gateway // $o.port | set("port")),
    ($o | sets(["baud", "parity", "hat", "power_gpio", "response_timeout", "retries"])),
    ($o.meters[]? | "[[meter]]",
      sets(["name", "title", "address", "secondary", "bus", "interval", "offset", "baud", "parity", "timeout", "profile",
        "key", "requests", "application_select", "reset", "expose", "offline_after", "enabled"]),
      (.labels | labels)),
    ($o.extra_toml // empty)
  ] | join("\n")
