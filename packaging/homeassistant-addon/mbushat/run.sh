#!/bin/sh
# Starts the agent in a Home Assistant add-on: with /config/mbushat.toml if there is one, else with
# the add-on's options and the broker that the Supervisor knows. Arguments: what to do instead of `run`.
# DATA, CONFIG, SUPERVISOR and DEVICE_TREE are changed by the tests only.
set -eu
data=${DATA:-/data} own=${CONFIG:-/config}/mbushat.toml tree=${DEVICE_TREE:-/device-tree}
here=$(dirname "$(readlink -f "$0")")
die() { echo "mbushat: $*" >&2; exit 1; }
# start ARGUMENT...: the agent, and again where it was asked to restart: exit code 75. The Supervisor starts an
# add-on again only where its owner chose so. The signal to stop goes on to the agent.
start() {
  stop=
  trap 'stop=1; kill -TERM "$agent"' TERM INT
  while :; do
    mbushat "$@" &
    agent=$!
    while wait "$agent" && code=0 || code=$?; kill -0 "$agent" 2>/dev/null; do :; done
    [ "$code" = 75 ] && [ -z "$stop" ] || exit "$code"
  done
}
# option NAME: whether it is set
option() { jq -e --arg name "$1" '.[$name] // "" | . != ""' "$data/options.json" >/dev/null; }

# Docker hides /proc/device-tree, where the Hat's name is; the Supervisor shows it here.
[ ! -e "$tree" ] || export MBUSHAT_DEVICE_TREE="$tree"
[ $# -gt 0 ] || set -- run

if [ -e "$own" ]; then
  echo "mbushat: $own is used, the add-on's options are not" >&2
  start --config "$own" "$@"
fi

[ -e "$tree" ] || option port || option gateway ||
  die "where are the meters? Set the option port (a USB adapter) or gateway (tcp://host:port)"

# Answers {"result":"ok","data":{host, port, ssl, username, password}}, or an error where no broker is known.
mqtt=$(wget -q -O - --header "Authorization: Bearer ${SUPERVISOR_TOKEN-}" "${SUPERVISOR:-http://supervisor}/services/mqtt" | jq -c .data) || mqtt=null
[ -n "$mqtt" ] || mqtt=null
[ "$mqtt" != null ] || option mqtt_url ||
  die "Home Assistant knows no MQTT broker: install the Mosquitto broker add-on, or set the option mqtt_url"

umask 077 # it holds a password
jq --argjson mqtt "$mqtt" '{options: ., mqtt: $mqtt}' "$data/options.json" | jq -r -f "$here/render.jq" >"$data/mbushat.toml"
start --config "$data/mbushat.toml" "$@"
