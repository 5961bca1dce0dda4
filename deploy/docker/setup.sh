#!/bin/sh
# Registers and activates a subnet of three nodes on the development chain of compose.yaml; runs once, and does nothing when the subnet is there.
set -eu
tessera() { node /opt/tessera/bin/tessera.js "$@"; }
until tessera balance --coldkey //dev:0 >/dev/null 2>&1; do sleep 1; done
if tessera status >/dev/null 2>&1; then exit 0; fi
for i in 1 2 3; do
  [ -e "/data/n$i/keys/peer_id" ] || tessera keygen --data-dir "/data/n$i"
done
tessera register-subnet --data-dir /data/n1 --coldkey //dev:0 --announce-maddrs /ip4/127.0.0.1/tcp/31331
for i in 1 2 3; do
  hotkey="//dev:$((5 + i))"
  tessera register-subnet-node --data-dir "/data/n$i" --coldkey "//dev:$i" --hotkey "$hotkey" --announce-maddrs "/ip4/127.0.0.1/tcp/3133$i"
  tessera activate --hotkey "$hotkey"
done
tessera activate-subnet --coldkey //dev:0
