# {"options": the add-on's, "mqtt": the Supervisor's MQTT service or null} -> mbushat.toml.
# A JSON number, text or truth value is one in TOML too; what is not set is left to its default.
def set($key): select(. != null and . != "") | "\($key) = \(@json)";

.options as $o
| (if $o.mqtt_url then { url: $o.mqtt_url, username: $o.mqtt_username, password: $o.mqtt_password }
   else .mqtt | { url: "\(if .ssl then "mqtts" else "mqtt" end)://\(.host):\(.port)", username, password } end) as $mqtt
| [ "[mqtt]",
    ($mqtt.url | set("url")),
    ($mqtt.username | set("username")),
    ($mqtt.password | set("password")),
    ($o.base_topic | set("base_topic")),
    "[store]",
    ("/data" | set("directory")),
    "[log]",
    ($o.log_level | set("level")),
    "[[bus]]",
    (if $o.gateway then "gateway" elif $o.hat == false then "bus" else "hat" end | set("name")),
    ($o.gateway // $o.port | set("port")),
    ($o.baud | set("baud")),
    ($o.hat | set("hat")),
    ($o.meters[]? | "[[meter]]",
      (.name | set("name")),
      (.title | set("title")),
      (.address | set("address")),
      (.secondary | set("secondary")),
      (.baud | set("baud")),
      (.interval | set("interval")),
      (.key | set("key")))
  ] | join("\n")
