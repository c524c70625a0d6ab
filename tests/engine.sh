#!/usr/bin/env bash
# What tests/test_container.py needs: podman, and in a folder of its own its settings, its storage
# and the image that the project's Dockerfile begins with.
# Where that image can't be pulled, a stand-in is made of Debian packages, with pip where the
# official image has it. It carries this machine's CA bundle: never publish it.
# usage: engine.sh FOLDER
set -euo pipefail
folder=$1
tag=docker.io/library/python:3.11-slim

missing=()
for program in podman runc mmdebstrap podman-compose; do
  command -v $program > /dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
  install="apt-get install --yes --no-install-recommends ${missing[*]}"
  echo "engine: $install"
  [ "$(id -u)" = 0 ] || install="sudo --non-interactive $install"
  DEBIAN_FRONTEND=noninteractive $install > /dev/null
fi

mkdir -p "$folder"
cat > "$folder/containers.conf" << END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
cat > "$folder/storage.conf" << END
[storage]
driver = "overlay"
graphroot = "$folder/storage"
runroot = "$folder/run"
END
export CONTAINERS_CONF=$folder/containers.conf CONTAINERS_STORAGE_CONF=$folder/storage.conf

if podman image exists $tag; then
  echo "engine: $tag is there"
elif timeout 120 podman pull --quiet $tag 2> /dev/null; then
  echo "engine: $tag is pulled"
else
  echo "engine: $tag can't be pulled; making a stand-in"
  archive=$(mktemp --suffix .tar)
  trap 'rm -f "$archive"' EXIT
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='ln -sf python3 "$1/usr/bin/python"; rm -f "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED' \
    --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/' \
    --customize-hook='chroot "$1" sh -c "cd /usr/share/python-wheels && PYTHONPATH=\$(echo pip-*.whl) \
      python3 -m pip --isolated install --quiet --root-user-action ignore --no-index -f . pip setuptools"' \
    bookworm "$archive"
  path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  podman import --quiet --change "ENV PATH=$path" --change 'ENV LANG=C.UTF-8' "$archive" $tag
fi
