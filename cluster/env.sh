# Environment of every shell that starts or uses a cluster: `source cluster/env.sh`.
# A value that is already set stays.

# The environment made by `uv sync`, where the shell has not activated one.
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -z "${VIRTUAL_ENV:-}" ] && [ -d "$repo/.venv/bin" ]; then
  export PATH="$repo/.venv/bin:$PATH"
fi
unset repo

# Both sides must agree: a Ray that ran here before leaves a token, after which `ray start` demands
# one, and `ray job submit` sends it only when it is told to.
export RAY_AUTH_MODE="${RAY_AUTH_MODE:-token}"

# Under `uv run` Ray would start each worker by another `uv run`, which is slow and fails.
export RAY_ENABLE_UV_RUN_RUNTIME_ENV="${RAY_ENABLE_UV_RUN_RUNTIME_ENV:-0}"

# A node gives up when its agent takes longer than this to start, 30 s by default: too short for
# cores that are busy.
export RAY_agent_register_timeout_ms="${RAY_agent_register_timeout_ms:-180000}"

# Ray runs one process per core; threads on top make torch on two cores forty times slower.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"
export MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"

# Ray takes the address of a network card for 127.0.0.1, unless told that this is one machine.
export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="${RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER:-0}"

# Nothing leaves the machine unasked.
export RAY_USAGE_STATS_ENABLED="${RAY_USAGE_STATS_ENABLED:-0}"

# Where `ray job submit` finds the dashboard: on loopback, until a cluster says otherwise.
export RAY_API_SERVER_ADDRESS="${RAY_API_SERVER_ADDRESS:-http://127.0.0.1:8265}"
