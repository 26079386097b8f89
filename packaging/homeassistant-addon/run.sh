#!/bin/sh
# Starts the agent in a Home Assistant add-on: with /config/mbushat.toml if there is one, else with
# the add-on's options and the broker that the Supervisor knows. Arguments: what to do instead of `run`.
# DATA, CONFIG and SUPERVISOR are changed by the test only.
set -eu
data=${DATA:-/data} own=${CONFIG:-/config}/mbushat.toml
here=$(dirname "$(readlink -f "$0")")
# Docker hides /proc/device-tree, where the Hat's name is; the Supervisor shows it here.
[ ! -e /device-tree ] || export MBUSHAT_DEVICE_TREE=/device-tree
[ $# -gt 0 ] || set -- run

if [ -e "$own" ]; then
  echo "mbushat: $own is used, the add-on's options are not" >&2
  exec mbushat --config "$own" "$@"
fi

# Answers {"result":"ok","data":{host, port, ssl, username, password}}, or an error where no broker is known.
mqtt=$(wget -q -O - --header "Authorization: Bearer ${SUPERVISOR_TOKEN-}" "${SUPERVISOR:-http://supervisor}/services/mqtt" | jq -c .data) || mqtt=null
if [ -z "$mqtt" ] || [ "$mqtt" = null ]; then
  mqtt=null
  jq -e '.mqtt_url // "" | . != ""' "$data/options.json" >/dev/null || {
    echo "mbushat: Home Assistant knows no MQTT broker: install the Mosquitto broker add-on, or set mqtt_url" >&2
    exit 1
  }
fi

umask 077 # it holds a password
jq -r --argjson mqtt "$mqtt" '{options: ., mqtt: $mqtt}' "$data/options.json" | jq -r -f "$here/render.jq" >"$data/mbushat.toml"
exec mbushat --config "$data/mbushat.toml" "$@"
