#!/usr/bin/env bash
# sudo as root, where it is not a set-user-ID program to the loader: env_reset, kept and given variables, in their order.
export KEPT=kept LANG=C.UTF-8
sudo -n --preserve-env=KEPT A=1 B=2 env | grep -v '^LD_PRELOAD='
sudo -n -i printenv HOME USER STABLE
sudo -n -u root -H C=3 printenv C STABLE HOME
# shellcheck disable=SC2016,SC2024 # the child's parent; the file is ours
sudo -n sh -c 'cat /proc/$PPID/maps' >maps
loaded maps
