#!/usr/bin/env bash
# A Ray head on this machine, reachable from this machine only.
#
#     cluster/local.sh start [FLAGS OF ray start]    for example --num-cpus 4, --dashboard-port 8266
#     cluster/local.sh stop
#
# `ray stop` ends every Ray of the user; `stop` here ends only the head that `start` began.
# POSEACT_CLUSTER_DIR holds its logs and process id; give another one to run a second head. Keep
# it short: Ray puts sockets below it, whose paths may have 107 characters.
set -euo pipefail
# shellcheck source=cluster/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

folder=${POSEACT_CLUSTER_DIR:-/tmp/poseact-ray-$(id -u)}
ray_folder=$folder/ray # Ray opens its own folder to everybody; the one above stays closed
pid_file=$folder/head.pid
log=$folder/head.log
token_file=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
start_timeout_s=180 # a minute and a half was seen on two busy cores
stop_timeout_s=20

# A process id may belong to somebody else by now; its command line names the folder.
running() { [ -f "$pid_file" ] && ps -ww -o args= -p "$(cat "$pid_file")" | grep -qF -e "--temp-dir=$ray_folder"; }

# shellcheck disable=SC2009 # pgrep counts those, too
# Dead ones whom nobody has asked after yet stay in the list, as Z.
in_session() { ps -o stat= -s "$1" | grep -qv '^Z'; }

# End what is left of the head's session, and wait until it is gone. Some of Ray's services leave
# the group, but not the session; those that leave it too name the folder.
sweep() {
  local session
  session=$(cat "$pid_file")
  for ((waited = 0; waited < stop_timeout_s; waited++)); do
    pkill -KILL -s "$session" || true
    pkill -KILL -f -- "$ray_folder/" || in_session "$session" || break
    sleep 1
  done
  rm -f "$pid_file"
}

fail() {
  echo "error: $1" >&2
  exit 2
}

start() {
  command -v ray >/dev/null || fail "no ray command; run 'uv sync' first."
  running && fail "a head already runs (process $(cat "$pid_file")); '$0 stop' ends it."
  # shellcheck disable=SC2174 # only the last folder is ours to close
  mkdir -p -m 700 "$folder"
  # Whoever made it first under /tmp could make `start` write, and `stop` kill, what they like.
  [ -O "$folder" ] || fail "$folder belongs to somebody else; set POSEACT_CLUSTER_DIR."
  if [ "$RAY_AUTH_MODE" = token ]; then
    ray get-auth-token --generate >/dev/null 2>"$log" || fail "no token could be made; see $log."
    # Ray leaves it open to every user of the machine.
    [ ! -O "$token_file" ] || chmod go= "$token_file"
  fi
  # In a session of its own, so that `stop` can end the head with all it started. With --block the
  # head's services end with it. Jobs are submitted to the dashboard: without one, no head.
  RAY_DASHBOARD_STARTUP_TIMEOUT_S=$start_timeout_s \
    setsid ray start --head --block --include-dashboard=true --node-ip-address=127.0.0.1 \
    --dashboard-host=127.0.0.1 --temp-dir="$ray_folder" "$@" >"$log" 2>&1 </dev/null &
  echo $! >"$pid_file"
  for ((waited = 0; waited < start_timeout_s; waited++)); do
    sleep 1
    if ! running; then
      tail -n 5 "$log" >&2
      sweep
      fail "the head ended while it started; see $log."
    fi
    if grep -q 'Ray runtime started' "$log"; then
      echo "Ray runs; its log is $log. '$0 stop' ends it."
      return
    fi
  done
  stop
  fail "no head after $start_timeout_s s; see $log."
}

stop() {
  if ! running; then
    rm -f "$pid_file"
    echo "no head runs."
    return
  fi
  # The head ends its services in order; all at once they would wait for each other.
  kill -TERM "$(cat "$pid_file")"
  for ((waited = 0; waited < stop_timeout_s; waited++)); do
    running || break
    sleep 1
  done
  sweep
  echo "the head has ended."
}

case "${1:-}" in
  start) start "${@:2}" ;;
  stop) stop ;;
  *) fail "usage: $0 start [FLAGS OF ray start] | stop" ;;
esac
