#!/usr/bin/env bash
# A search on the nodes of one Slurm job: the Ray head on the first node and a Ray worker on each other one; all nodes
# train. Options after the script's name go to nas.search:
#   sbatch cluster/slurm.sh experiment=spinenet data.root=/shared/coco task.cache_dir=/shared/cache executor.cpus_per_trial=4
# The same line again resumes the run. Slurm ends the search two minutes before the time is up: for a longer search,
# submit the line several times with --dependency=singleton.
# Trials that share a GPU run at the same time under NVIDIA's MPS, and in turns without: MPS=1 starts it on each node.
#   MPS=1 sbatch cluster/slurm.sh experiment=spinenet data.root=/shared/coco task.cache_dir=/shared/cache \
#     executor.cpus_per_trial=2 executor.gpus_per_trial=0.5
# Submit from the project's folder. All nodes must see it, the home folder, the data and the cache. The environment is
# the folder's .venv, or else the one active at sbatch. Lines with #SBATCH can be overridden: sbatch --nodes=4 ...
#SBATCH --job-name=spinenet-search
#SBATCH --output=slurm-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --no-kill
#SBATCH --requeue
set -euo pipefail

cd "${SLURM_SUBMIT_DIR:?start this with sbatch}"
if [[ -f .venv/bin/activate ]]; then
  source .venv/bin/activate
fi

# Anyone who reaches Ray's ports could run code as you, and on a Slurm cluster many can: the token keeps them out.
export RAY_AUTH_MODE=token
if [[ ! -f ~/.ray/auth_token ]]; then
  (umask 077 && ray get-auth-token --generate >/dev/null)
fi
chmod go= ~/.ray/auth_token

# Nodes stop only after the search, so there is nothing left for them to wait for.
export RAY_USAGE_STATS_ENABLED=0 RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0

# Nodes may be shared with other jobs. The ports are this job's own, below those that the system gives out; the path of
# the folder is short enough for sockets.
gcs_port=$((20000 + SLURM_JOB_ID % 2500 * 4))
temp_dir=/tmp/ray-$SLURM_JOB_ID
cpus=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}

# This script runs on the first node. Some systems resolve their own name to 127.0.1.1, which other nodes cannot use.
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
named=$(getent ahostsv4 "${nodes[0]}" | awk '$1 !~ /^127\./ {print $1}' | head -n 1 || true)
own=$(hostname -I | awk '{print $1}')
head_address=${HEAD_ADDRESS:-${named:-$own}}
if [[ -z $head_address || $head_address == 127.* ]]; then
  echo "no address of ${nodes[0]} that other nodes reach; set HEAD_ADDRESS" >&2
  exit 1
fi

steps=()
end() {
  kill "$@" 2>/dev/null || return 0
  for _ in {1..160}; do
    sleep 0.25
    kill -0 "$@" 2>/dev/null || return 0
  done
  kill -KILL "$@" 2>/dev/null || true
}
# The head ends last: the other nodes sign off with it, and would wait a minute for a head that is gone.
end_steps() {
  end "${steps[@]:1}"
  end "${steps[@]:0:1}"
}
trap end_steps EXIT

# The daemon of MPS ends with the step that it is started in, as Ray does. Processes find it by the name of a folder.
before_ray=()
if [[ ${MPS:-} ]]; then
  export CUDA_MPS_PIPE_DIRECTORY=/tmp/mps-$SLURM_JOB_ID CUDA_MPS_LOG_DIRECTORY=/tmp/mps-log-$SLURM_JOB_ID
  # shellcheck disable=SC2016  # the step's shell is to read them
  with_mps='mkdir -p "$CUDA_MPS_PIPE_DIRECTORY" "$CUDA_MPS_LOG_DIRECTORY" && nvidia-cuda-mps-control -d && exec "$@"'
  before_ray=(bash -c "$with_mps" mps)
fi

# A step for each node, so that losing one node does not end the others.
start_ray() {
  local node=$1
  shift
  srun --nodes=1 --ntasks=1 --nodelist="$node" --cpus-per-task="$cpus" "${before_ray[@]}" \
    ray start --block --num-cpus="$cpus" --temp-dir="$temp_dir" "$@" &
  steps+=($!)
}

start_ray "${nodes[0]}" --head --node-ip-address="$head_address" --port="$gcs_port" \
  --dashboard-host=127.0.0.1 --dashboard-port=$((gcs_port + 1)) --ray-client-server-port=$((gcs_port + 2)) \
  --dashboard-agent-listen-port=$((gcs_port + 3))

waited=0
until (exec 3<>"/dev/tcp/$head_address/$gcs_port") 2>/dev/null; do
  if ! kill -0 "${steps[0]}" 2>/dev/null || ((++waited > 240)); then
    echo "the Ray head did not start at $head_address:$gcs_port; its messages are above" >&2
    exit 1
  fi
  sleep 0.5
done

for node in "${nodes[@]:1}"; do
  start_ray "$node" --address="$head_address:$gcs_port" --dashboard-agent-listen-port=$((gcs_port + 3))
done

# The search uses nodes that join later too. It runs in the background, so that this script receives the signal.
python -m nas.search executor.address="$head_address:$gcs_port" "$@" &
search=$!
is_stopping=
trap 'is_stopping=1; kill -TERM "$search" 2>/dev/null || true' TERM
status=0
wait "$search" || status=$?
if [[ $is_stopping ]]; then
  status=0
  wait "$search" || status=$?
fi
exit "$status"
