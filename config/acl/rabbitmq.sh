#!/bin/sh
# Access rules for RabbitMQ with its plugin rabbitmq_mqtt: every agent has a user of its own, who may use its own
# topics and no others. Run it on a node of the broker, once for each new user:
#     rabbitmqctl add_user house7 && sh rabbitmq.sh house7
#     rabbitmqctl add_user homeassistant && sh rabbitmq.sh --reader homeassistant
#
# The agent of user house7 has `base_topic = "mbushat/house7"`, `username = "house7"` and no `client_id` of its own.
# Names of letters, digits and hyphens only. --reader is for Home Assistant, and others who read all meters and may
# ask the agents. VHOST and RABBITMQCTL in the environment choose another vhost than / and another program.
set -eu
vhost=${VHOST:-/} ctl=${RABBITMQCTL:-rabbitmqctl}

# allow USER QUEUES WRITE READ: queues by the client's id; topics as patterns, with . for /
allow() {
  $ctl -q set_permissions -p "$vhost" "$1" "^mqtt-(subscription|will)-$2" "^(amq\.topic$|mqtt-(subscription|will)-$2)" \
    "^(amq\.topic$|mqtt-(subscription|will)-$2)"
  $ctl -q set_topic_permissions -p "$vhost" "$1" amq.topic "$3" "$4"
}

reader=
[ "${1-}" != --reader ] || { reader=yes; shift; }
[ $# -gt 0 ] || { echo "usage: $0 [--reader] USER..." >&2; exit 64; }
for user; do
  case $user in *[!A-Za-z0-9-]*) echo "$0: letters, digits and hyphens only: $user" >&2; exit 64 ;; esac
  own="mbushat\.$user\." announced="homeassistant\.device\.mbushat_$user\."
  if [ "$reader" ]; then
    allow "$user" '' '^(homeassistant\.|mbushat\.[^.]+\.(bridge\.request\.[^.]+|[^.]+\.read)$)' '^(mbushat|homeassistant)\.'
  else
    # the agent's own id, and those of `mbushat doctor` and `mbushat resend`
    allow "$user" "mbushat-($user-|(doctor|resend)-[0-9]+qos)" \
      "^($own|$announced|homeassistant\.sensor\.mbushat_$user\.doctor\.config$)" "^($own|$announced|homeassistant\.status$)"
  fi
done
