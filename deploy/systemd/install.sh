#!/bin/bash
# Installs the checkout that this file stands in as a systemd service. Run as root; running it again upgrades.
#   sudo deploy/systemd/install.sh
# It never touches /etc/edge-agent when that folder holds a configuration, and never /var/lib/edge-agent.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
target_dir=/opt/heat-pump-edge-agent
config_dir=/etc/edge-agent

[ "$(id -u)" = 0 ] || { echo "请用 root 运行 / run as root: sudo $0" >&2; exit 2; }
command -v systemd-sysusers >/dev/null || { echo "没有 systemd / no systemd on this machine" >&2; exit 2; }

# An upgrade stops the service first: old code must not start new workers. The units' watchdogs bridge the minute.
was_running=no
if systemctl is-active --quiet edge-agent; then was_running=yes; systemctl stop edge-agent; fi

install -d -m 0755 "$target_dir"
for item in edge_agent drivers scheduling hil_sim config tools pyproject.toml requirements.lock Makefile README.md; do
  rm -rf "${target_dir:?}/$item"
  cp -a "$source_dir/$item" "$target_dir/"
done
make -C "$target_dir" venv

install -m 0644 "$source_dir/deploy/systemd/edge-agent.sysusers.conf" /usr/lib/sysusers.d/edge-agent.conf
systemd-sysusers /usr/lib/sysusers.d/edge-agent.conf
install -m 0644 "$source_dir/deploy/systemd/edge-agent.service" /etc/systemd/system/edge-agent.service
install -m 0644 "$source_dir/deploy/systemd/70-edge-agent-serial.rules" /etc/udev/rules.d/70-edge-agent-serial.rules
if command -v udevadm >/dev/null; then # adapters that are plugged in already get it now; in a container there is no udev
  udevadm control --reload && udevadm trigger --subsystem-match=usb-serial || true
fi

if [ -e "$config_dir/site.yaml" ]; then
  "$target_dir/.venv/bin/edge-agent" check --config "$config_dir"
else
  "$target_dir/.venv/bin/edge-agent" init "$config_dir" --from ground-office
  echo "已写入示例配置,请修改后再启动 / an example was written, edit it before starting: $config_dir"
fi
systemctl daemon-reload
[ "$was_running" = no ] || systemctl start edge-agent
echo "下一步 / next:"
echo "  edge-agent check --config $config_dir      # $target_dir/.venv/bin/edge-agent"
echo "  systemctl enable --now edge-agent"
