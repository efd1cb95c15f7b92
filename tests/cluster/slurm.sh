#!/usr/bin/env bash
# A real Slurm on this machine alone, for the tests: munged, mariadbd, slurmdbd, slurmctld and slurmd, with one node, two
# pretended GPUs and the partitions 'cpu' and 'gpu'. Everything of it is in one directory, its ports are its own, and
# it listens to this machine only, so a Slurm that is here already is left alone.
#
#   slurm.sh missing            names the Debian packages that are needed and not installed
#   slurm.sh start DIRECTORY    then: export SLURM_CONF=DIRECTORY/slurm.conf. SLURM_TEST_CPUS: of the node, default 8
#   slurm.sh stop DIRECTORY     ends what start has started, jobs included
#   slurm.sh start-node DIRECTORY, start-controller DIRECTORY    slurmd or slurmctld again, after it was killed
#
# Root is needed to install the packages, and for GPUs that are devices; all else runs as anybody.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

declare -A package=(
  [munged]=munge [munge]=munge [mariadbd]=mariadb-server-core [mariadb-install-db]=mariadb-server-core
  [mariadb]=mariadb-client-core [slurmdbd]=slurmdbd [slurmctld]=slurmctld
  [slurmd]=slurmd [sbatch]=slurm-client
)
if [[ $1 == missing ]]; then
  for program in "${!package[@]}"; do
    command -v "$program" >/dev/null || echo "${package[$program]}"
  done | sort -u
  exit
fi

state=$(realpath -m "$2")
run=$state/run
host=$(hostname -s)
user=$(id -un)
export SLURM_CONF=$state/slurm.conf

wait_for() { # what it is called, then the command that succeeds once it is there
  local what=$1
  shift
  for _ in {1..9000}; do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  echo "slurm.sh: $what did not come up; its log is in $state/log" >&2
  exit 1
}

free_ports() {
  python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*[held.getsockname()[1] for held in sockets])'
}

start_munge() {
  (umask 077 && head -c 128 /dev/urandom >"$state/munge.key")
  munged --force --socket="$run/munge.socket" --key-file="$state/munge.key" --pid-file="$run/munged.pid" \
    --log-file="$state/log/munged.log" --seed-file="$state/munge.seed"
  wait_for munged munge -n -S "$run/munge.socket"
}

start_database() {
  local sql=(--no-defaults --socket="$run/mysql.socket" --user="$user")
  mariadb-install-db --no-defaults --user="$user" --datadir="$state/database" --auth-root-authentication-method=normal \
    --skip-test-db >"$state/log/mariadb-install.log" 2>&1
  mariadbd --no-defaults --user="$user" --datadir="$state/database" --socket="$run/mysql.socket" \
    --pid-file="$run/mariadbd.pid" --skip-networking --skip-log-bin --skip-grant-tables --innodb-buffer-pool-size=64M \
    --innodb-lock-wait-timeout=900 --log-error="$state/log/mariadbd.log" &
  wait_for mariadbd mariadb "${sql[@]}" -e "SELECT 1"
  mariadb "${sql[@]}" -e 'CREATE DATABASE accounts'
  cat >"$state/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$run/munge.socket
DbdHost=localhost
DbdPort=$1
SlurmUser=$user
StorageType=accounting_storage/mysql
StorageLoc=accounts
StorageUser=$user
LogFile=$state/log/slurmdbd.log
PidFile=$run/slurmdbd.pid
END
  chmod 600 "$state/slurmdbd.conf"
  # where MariaDB's library looks when it is told neither port nor socket
  MYSQL_UNIX_PORT=$run/mysql.socket slurmdbd
  wait_for slurmdbd bash -c "exec 3<>/dev/tcp/127.0.0.1/$1"
}

configure() { # the ports of slurmdbd, slurmctld and slurmd
  cat >"$SLURM_CONF" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$2
SlurmdPort=$3
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$run/munge.socket
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/node
SlurmctldPidFile=$run/slurmctld.pid
SlurmdPidFile=$run/slurmd.pid
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/slurmd.log
# Control groups need systemd, or rights that a container seldom has. So memory is accounted for, but not enforced.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,bf_interval=5
KillWait=2
# Tests ask after jobs that are done, on slow machines long after.
MinJobAge=7200
ReturnToService=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=$1
AccountingStoragePass=$run/munge.socket
# Jobs without a valid account are refused, as most clusters do.
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=${SLURM_TEST_CPUS:-8} RealMemory=64000 Gres=gpu:pretended:2
PartitionName=cpu Nodes=$host Default=YES
PartitionName=gpu Nodes=$host
END
  # Slurm accepts character devices only. Where none can be made, the GPUs are counted, and no job is told its own.
  mkdir "$state/dev"
  if mknod "$state/dev/gpu0" c 1 3 2>/dev/null && mknod "$state/dev/gpu1" c 1 3; then
    echo "Name=gpu Type=pretended File=$state/dev/gpu[0-1]" >"$state/gres.conf"
  else
    echo "Name=gpu Type=pretended Count=2 Flags=CountOnly" >"$state/gres.conf"
  fi
}

start_controller() {
  slurmctld
  wait_for slurmctld scontrol ping
}

start_node() {
  slurmd
  wait_for "the node" sh -c 'sinfo -h -o %T | grep -Eq "^(idle|mixed|allocated)$"'
}

case $1 in
start)
  mkdir -p "$state" && chmod 700 "$state"
  mkdir "$run" "$state/log"
  trap '[[ $? == 0 ]] || "$0" stop "$state"' EXIT
  read -ra ports < <(free_ports)
  start_munge
  start_database "${ports[0]}"
  configure "${ports[@]}"
  sacctmgr -iQ add cluster test >/dev/null
  sacctmgr -iQ add account lab >/dev/null
  sacctmgr -iQ add user "$user" account=lab >/dev/null
  start_controller
  start_node
  ;;
start-controller) start_controller ;;
start-node) start_node ;;
stop)
  # Only they can end the jobs. Nothing else is kept, so then the daemons need not take leave of one another.
  for daemon in slurmctld slurmd; do
    [[ ! -s $run/$daemon.pid ]] || kill -0 "$(<"$run/$daemon.pid")" 2>/dev/null || "$daemon" || true
  done
  if scancel --user="$user" 2>/dev/null; then
    for _ in {1..25}; do
      [[ -n $(squeue -h 2>/dev/null) ]] || break
      sleep 0.2
    done
  fi
  for file in "$run"/*.pid; do
    [[ ! -s $file ]] || kill -KILL "$(<"$file")" 2>/dev/null || true
  done
  ;;
*)
  echo "slurm.sh: there is no step '$1'; see the head of this file" >&2
  exit 2
  ;;
esac
